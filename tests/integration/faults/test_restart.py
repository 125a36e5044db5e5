"""An agent is killed in the middle of a run and started again after its launcher has given up, or died."""

import os
import signal
import sys
import time
from typing import Final

from fabric.protocol.limits import SILENCE_S
from tests.integration.faults import counting
from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

TRIAL: Final = f"""
[trial]
name = "restarted"
lead = "150ms"

[nodes]
victim = "victim"
other  = "other"

[[startup.victim]]
name  = "background"
spawn = "echo spawned; sleep 600"

{counting.STEP}
[[run.other]]
cmd = "sleep 600"

[[reset.victim]]
cmd = "echo done >> {{files}}/reset-victim"

[[reset.other]]
cmd = "echo done >> {{files}}/reset-other"
"""

AFTER: Final = """
[trial]
name = "after"
lead = "150ms"
[nodes]
all = ["victim", "other"]
[run]
all = "echo works"
"""


def test_a_restarted_agent_has_lost_its_part_but_none_of_its_output(lab: Lab) -> None:
    """It came too late.  What the step had written is there once and in order; its node is reset."""
    lab.start_agents("victim", "other")
    files = lab.directory
    run = counting.run_counting(lab, TRIAL)
    victim = lab.agents["victim"]
    old = [victim.launcher, *lab.steps("victim")]

    victim.kill()
    until(lambda: not set(old) & set(lab.living()), "the end of the grace")
    lab.start_agents("victim")

    assert run.wait() == 3, run.said()
    assert any("victim has restarted" in why and "1/run" in why for why in run.result["why"]), run.result[
        "why"
    ]
    assert not lab.steps("victim")
    run.check_bundle()
    until((files / "reset-victim").exists, "the victim's own reset")
    lab.wait_free("victim", "other")
    replayed = lab.command("tail", run.run, "--node", "victim", "--step", "numbers")
    assert "the agent was restarted while it ran" in replayed.stdout
    complete = counting.check_counted(replayed.stdout)
    stored = run.out(1, "run", "victim", "numbers.stdout").decode()
    assert "\n".join(complete).startswith(stored.rstrip("\n"))

    after = lab.run(AFTER)
    assert after.wait() == 0, after.said()
    for name in ("reset-victim", "reset-other"):
        assert (files / name).read_text() == "done\n"


def test_an_agent_that_is_stopped_says_so_and_the_run_does_not_wait_for_it(lab: Lab) -> None:
    """Whoever upgrades an agent has a node that is away at once, and a run that says who was stopped."""
    lab.start_agents("victim", "other")
    run = lab.run(TRIAL.format(python=sys.executable, files=lab.directory))
    until(lambda: "victim/numbers" in run.said(), run.said)
    lab.agents["victim"].end()
    stopped_s = time.monotonic()
    assert lab.nodes()["victim"]["state"] == "away"
    assert run.wait() == 3, run.said()
    assert time.monotonic() - stopped_s < SILENCE_S  # nobody waited for a silence
    whys = run.result["why"]
    assert any("the agent on victim has ended: SIGTERM" in why for why in whys), whys
    lab.start_agents("victim")
    lab.wait_free("victim", "other")
    until((lab.directory / "reset-victim").exists, "the victim's own reset")


RESET: Final = """
[trial]
name = "resets"
[nodes]
victim = "victim"
other  = "other"
[run]
victim = "touch here"
[[reset.victim]]
cmd = "echo done >> {files}/resets"
[[reset.other]]
cmd = "until test -e {files}/go; do sleep 0.05; done"
"""


def test_a_run_leaves_no_directory_when_the_agent_is_killed_after_its_reset(lab: Lab) -> None:
    """It owes nothing then, so nothing of the run is taken up again that would remove it at its end."""
    lab.start_agents("victim", "other")
    run = lab.run(RESET.format(files=lab.directory))
    victim = lab.agents["victim"]
    until(lambda: run.said().count("victim-1 finished") == 2, run.said)  # its run and its reset
    launcher = victim.launcher
    victim.kill()
    os.kill(launcher, signal.SIGKILL)  # else the next agent would go on
    lab.start_agents("victim")
    (lab.directory / "go").touch()
    assert run.wait() == 3, run.said()
    until(lambda: not list((victim.state / "scratch").iterdir()), "the end of its directory")
    assert (lab.directory / "resets").read_text() == "done\n"
