"""An agent is restarted in each phase of a run, by SIGHUP or by a death: the run does not see it."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.integration.faults.lab import PATIENT, Agent, Lab
from tests.integration.faults.processes import until

HOLD: Final = """
[[startup.{role}]]
name  = "holder-{role}"     # the prepare of the next phase lasts until it ends
spawn = '''
trap 'touch {files}/asked-{role}' TERM; touch {files}/held-{role}
while [ ! -e {files}/go-{role} ]; do sleep 0.05; done
'''
until = "run"
grace = "50s"

[[startup.{role}]]
cmd = "while [ ! -e {files}/held-{role} ]; do sleep 0.02; done"
"""

TRIAL: Final = """
[trial]
name = "restarted"
lead = "1s"     # of each phase

[nodes]
victim = "victim"
other  = "other"
{hold}
[[run.victim]]
name = "numbers"
cmd  = ["{python}", "-uc", '''
import os, time
for number in range(300_000):
    print(number)
    if number % 1000 == 0:
        time.sleep(0.002)
    while number == 299_990 and not os.path.exists("{files}/go-numbers"):
        time.sleep(0.02)
''']

[[run.victim]]
name = "after"
cmd  = "echo ran >> {files}/after"

[[run.other]]
cmd = "true"

[[collect.victim]]
fetch = "{files}/after"

[[reset.victim]]
cmd = '''
touch {files}/in-reset
while [ ! -e {files}/go-reset ]; do sleep 0.05; done
echo done >> {files}/reset
'''
"""


class Restarts:
    """Restarts an agent this way and that way."""

    def __init__(self, agent: Agent, *, dies: bool) -> None:
        self.agent = agent
        self.dies = dies
        self.count = 0

    def now(self, lab: Lab) -> None:
        self.count += 1
        if self.dies:
            self.agent.kill()
            lab.start_agents(self.agent.name)
        else:
            self.agent.begin_again()
        self.dies = not self.dies


def test_a_run_does_not_see_that_an_agent_was_restarted(lab: Lab) -> None:
    """Each restart comes in another phase; no step starts twice, no byte is lost, nothing fails."""
    victim = lab.agents["victim"] = Agent(lab, "victim")
    victim.options = PATIENT
    lab.start_agents("victim", "other")
    files = lab.directory / "files"
    files.mkdir()
    hold = "".join(HOLD.format(role=role, files=files) for role in ("victim", "other"))
    run = lab.run(TRIAL.format(hold=hold, python=sys.executable, files=files))
    restarts = Restarts(victim, dies=False)

    def comes(sign: str) -> None:
        until((files / sign).exists, lambda: f"{sign}:\n{run.end_of_said()}")

    comes("asked-victim")  # it is being prepared
    restarts.now(lab)
    (files / "go-victim").touch()
    until(lambda: _is_armed(lab), "an armed step")
    comes("asked-other")
    restarts.now(lab)
    (files / "go-other").touch()
    run.wait_said("phase 1/run: go 1")
    restarts.now(lab)  # between go and t0
    run.wait_said("│ 20000\n")
    restarts.now(lab)  # its program talks
    restarts.now(lab)
    (files / "go-numbers").touch()
    comes("in-reset")
    restarts.now(lab)
    (files / "go-reset").touch()

    assert run.wait() == 0, run.said()
    assert restarts.count == 6
    run.check_bundle()
    out = run.out(1, "run", "victim", "numbers.stdout").decode()
    assert out == "".join(f"{number}\n" for number in range(300_000))
    assert (files / "after").read_text() == "ran\n"
    assert (files / "reset").read_text() == "done\n"
    assert run.said().count("was restarted and goes on") == restarts.count


def _is_armed(lab: Lab) -> bool:
    """Whether a program of the victim is held by its launcher: traced, and stopped."""
    states = []
    for pid in lab.steps("victim"):
        with suppress(OSError):  # it has just ended
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
    return "t" in states
