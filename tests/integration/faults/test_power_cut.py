"""The power of a node fails: its agent, its launcher and the end of its journal are gone at once."""

import os
import signal
from pathlib import Path
from typing import Final

from tests.integration.faults import counting
from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

TRIAL: Final = f"""
[trial]
name = "power"
lead = "150ms"

[nodes]
victim = "victim"

{counting.STEP}
[[reset.victim]]
cmd = "echo done >> {{files}}/reset-victim"
"""


def lose_the_end(state: Path) -> int:
    """Make of the journal what a power cut may have left of it; return how many bytes of records are gone."""
    (journal,) = (state / "journals").glob("*/*/")
    newest = max((journal / "records").glob("*.records"))
    written = len(newest.read_bytes().rstrip(b"\0"))
    os.truncate(newest, written // 2)
    (journal / "boot").write_text("the boot before")
    return written - written // 2


def test_what_the_disk_of_a_node_has_lost_is_not_numbered_again(lab: Lab) -> None:
    """The sink has what it was sent, the run says that more may be missing, and the node is reset."""
    lab.start_agents("victim")
    run = counting.run_counting(lab, TRIAL)
    victim = lab.agents["victim"]
    launcher = victim.launcher
    os.kill(victim.pid, signal.SIGSTOP)  # so that neither sees the other's end
    os.kill(launcher, signal.SIGKILL)
    victim.kill()
    until(lambda: not lab.steps("victim"), "the end of its steps")
    assert lose_the_end(victim.state) > 1000

    lab.start_agents("victim")
    assert run.wait() == 3, run.said()
    run.check_bundle()
    until((lab.directory / "reset-victim").exists, "the victim's own reset")
    lab.wait_free("victim")
    until(lambda: not list((victim.state / "journals").glob("*/*")), "the end of its journals")
    replayed = lab.command("tail", run.run, "--node", "victim").stdout
    assert "victim was booted anew" in replayed
    counting.check_counted(replayed)
    assert (lab.directory / "reset-victim").read_text() == "done\n"
