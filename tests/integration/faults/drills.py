"""A run in which something happens to one of two nodes at a chosen moment."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from agents.launcher import tree
from tests.integration.faults.lab import FabricRun, Lab
from tests.integration.faults.processes import until

Fault = Literal["agent-kill", "agent-stop", "launcher-kill", "launcher-stop"]
Stage = Literal["prepare", "ready", "run", "collect", "reset"]

PHASES: Final[dict[Stage, str]] = {
    "prepare": "1/run",
    "ready": "1/run",
    "run": "1/run",
    "collect": "1/collect",
    "reset": "1/reset",
}
"""Which phase each stage belongs to."""

_HOLD: Final = """
[[startup.{role}]]
name  = "holder"     # the prepare of the next phase lasts until it ends
spawn = '''
trap 'touch {files}/asked' TERM; touch {files}/held
while [ ! -e {files}/go-on ]; do sleep 0.05; done
'''
until = "run"
grace = "50s"

[[startup.{role}]]
cmd = "while [ ! -e {files}/held ]; do sleep 0.02; done"
"""

_TRIAL: Final = """
[trial]
name = "{name}"
lead = "1s"         # so that no go comes too late, nor an abort, on a machine that is busy

[nodes]
victim = "{victim}"
other  = "{other}"
{hold}
[[run.victim]]
name = "work"
cmd  = '''
echo "before"; echo "before, too" >&2
{run}
'''

[[run.other]]
cmd = "touch {files}/other-ran"

[[collect.victim]]
when = "always"
cmd  = '''
{collect}
true
'''

[[collect.other]]
when = "always"
cmd  = "echo collected >> {files}/collect-other"

[[reset.victim]]
cmd = '''
{reset}
echo done >> {files}/reset-victim
'''

[[reset.other]]
cmd = "echo done >> {files}/reset-other"
"""


class _Armed:
    """Says whether a launcher holds one step and is done with it: the step is stopped, and was so before."""

    def __init__(self, launcher: int) -> None:
        self._launcher = launcher
        self._last = ""

    def __call__(self) -> bool:
        children = list(tree.children(self._launcher))
        status = Path(f"/proc/{children[0]}/status").read_text() if len(children) == 1 else ""
        was, self._last = self._last, status.partition("voluntary_ctxt_switches")[2]
        return "State:\tt" in status and was == self._last


@dataclass
class Drill:
    """One fault in one stage."""

    lab: Lab
    fault: Fault
    stage: Stage

    @property
    def name(self) -> str:
        """Of the drill and its run."""
        return f"{self.fault}-{self.stage}"

    @property
    def victim(self) -> str:
        """The node that it happens to."""
        return f"v-{self.name}"

    @property
    def other(self) -> str:
        """The node that it does not happen to."""
        return f"o-{self.name}"

    @property
    def files(self) -> Path:
        """Where the steps leave their signs."""
        return self.lab.directory / f"files-{self.name}"

    def start(self) -> None:
        """Start the run."""
        self.files.mkdir()
        hold = {"prepare": _HOLD.format(role="victim", files=self.files)}
        hold["ready"] = _HOLD.format(role="other", files=self.files)
        # A reset that is done again, by an agent alone, does not wait again.
        pause = f"if [ ! -e {self.files}/reached ]; then touch {self.files}/reached; sleep 600; fi"
        pauses = {stage: pause if stage == self.stage else "" for stage in ("run", "collect", "reset")}
        text = _TRIAL.format(
            name=self.name,
            victim=self.victim,
            other=self.other,
            files=self.files,
            hold=hold.get(self.stage, ""),
            **pauses,
        )
        self.run: FabricRun = self.lab.run(text, name=self.name)

    def strike(self) -> None:
        """Wait for the moment, and do it."""
        agent = self.lab.agents[self.victim]
        sign = "asked" if self.stage in ("prepare", "ready") else "reached"
        until(lambda: self.has(sign), lambda: f"{sign} of {self.name}:\n{self.run.said()}")
        launcher = agent.launcher
        if self.stage == "ready":
            until(_Armed(launcher), "an armed step")
        if self.stage == "run":
            self.run.wait_said("before, too")
        what, how = self.fault.split("-")
        if (what, how) == ("agent", "kill"):
            agent.kill()
        else:
            pid = agent.pid if what == "agent" else launcher
            os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
        if self.stage == "ready":
            (self.files / "go-on").touch()

    def repair(self) -> None:
        """Let the node come back."""
        agent = self.lab.agents[self.victim]
        if self.fault == "agent-kill":
            agent.start()
        if self.fault == "agent-stop":
            os.kill(agent.pid, signal.SIGCONT)

    def has(self, sign: str) -> bool:
        """Say whether a step has left a sign."""
        return (self.files / sign).exists()

    def count(self, sign: str) -> int:
        """Return how often a step has left its sign."""
        path = self.files / sign
        return len(path.read_text().splitlines()) if path.exists() else 0
