"""One cell of the matrix as it goes on: a run on two nodes that comes to a moment, and what happens then."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from agents.launcher import tree
from tests.integration.faults.cells import Cell
from tests.integration.faults.lab import FABRIC, Agent, FabricRun, Lab
from tests.integration.faults.printing import PROGRAM
from tests.integration.faults.processes import until

LINES: Final = 500
"""Of each stream and each node, at least."""

FILE_BYTES: Final = 48_000_000
"""Of a file that is fetched: half a second at least, so that there is a middle."""

FETCHED_BYTES: Final = 2_000_000
"""So much of it has come when something happens."""

LEAD_S: Final = 5.0
"""From a go to its t0 where something is to happen in between; others come to their moment meanwhile."""

LEASE_S: Final = 4.0
"""Of a run whose controller does not come back."""

ENDING: Final = ("kill", "kill-for-good", "stop-for-good")
"""What ends the steps of a node."""

_HOLD: Final = """
[[startup.{role}]]
name  = "holder"     # the prepare of the next phase lasts until it ends
spawn = '''
trap 'touch {files}/asked' TERM; touch {files}/held
while [ ! -e {files}/go-on ]; do sleep 0.05; done
'''
until = "run"
grace = "100s"

[[startup.{role}]]
cmd = "while [ ! -e {files}/held ]; do sleep 0.02; done"
"""

_TRIAL: Final = """
[trial]
name = "{name}"
lead = "{lead_s}s"

[nodes]
victim = "{victim}"
other  = "{other}"
{hold}
[[run.victim]]
name    = "work-victim"
cmd     = ["{python}", "-S", "{program}", "{files}/victim", "{lines}", "{mode}"]
timeout = "200s"

[[run.other]]
name    = "work-other"
cmd     = ["{python}", "-S", "{program}", "{files}/other", "{lines}", "end"]
timeout = "200s"

{collect}{fetch}
[[reset.victim]]
cmd = '''
{reset}
echo done >> {files}/reset-victim
'''

[[reset.other]]
cmd = "echo done >> {files}/reset-other"
"""

_COLLECT: Final = """
[[collect.other]]
when = "always"
cmd  = "echo done >> {files}/collect-other"
"""

_FETCH: Final = """
[[collect.victim]]
fetch = "{big}"
when  = "always"
"""

# A reset that is done again, by an agent alone, does not wait again.
_RESET: Final = """
if [ ! -e {files}/reached ]; then
    touch {files}/reached
    until [ -e {files}/go-on ]; do sleep 0.05; done
fi
"""


class Case:
    """A run that is brought to its moment; what happens to it is a `Batch`'s."""

    def __init__(self, lab: Lab, cell: Cell, victim: Agent, other: Agent) -> None:
        self.lab = lab
        self.cell = cell
        self.victim = victim
        self.other = other
        self.files = lab.directory / f"files-{cell.name}"
        self.tails: list[Tail] = []
        self._tails = 0  # that were started

    @property
    def big(self) -> Path:
        """What is fetched."""
        return self.lab.directory / "big"

    def start(self) -> None:
        """Start the run; it comes to its moment by itself, or waits for `reach`."""
        self.files.mkdir()
        names: dict[str, object] = {"files": self.files, "big": self.big}
        stage = self.cell.stage
        role = {"prepare": "victim", "armed": "other", "go": "other"}.get(stage, "")
        text = _TRIAL.format(
            name=self.cell.name,
            lead_s=LEAD_S if stage == "go" else 0.5,
            victim=self.victim.name,
            other=self.other.name,
            hold=_HOLD.format(role=role, **names) if role else "",
            python=sys.executable,
            program=program_in(self.lab.directory),
            lines=LINES,
            mode={"run": "on", "fetch": "wait"}.get(stage, "end"),
            collect=_COLLECT.format(**names) if self.collects else "",
            fetch=_FETCH.format(**names) if stage == "fetch" else "",
            reset=_RESET.format(**names) if stage == "reset" else "",
            **names,
        )
        lease = ("--lease", str(LEASE_S)) if self.cell[:2] == ("controller", "kill") else ()
        self.run: FabricRun = self.lab.run(text, *lease, "--quiet", name=self.cell.name)

    def reach(self) -> None:
        """Return when it is at its moment."""
        match self.cell.stage:
            case "prepare":
                self._wait("asked")
            case "armed":
                self._wait("asked")
                until(_Armed(self.victim.launcher), f"an armed step of {self.cell.name}")
            case "go":
                self._wait("asked")
                self.follow()
                self.tails[0].wait_shown("run_started")  # or it would tell of the go too late
                self.go_on()
                self.tails[0].wait_shown("phase_started", "run")
            case "run":
                self.follow()
                self.tails[0].wait_more(100_000)
            case "fetch":
                until(lambda: self.has("victim-started"), self.run.end_of_said)
                (self.files / "victim-stop").touch()
                until(lambda: self.fetched_bytes() >= FETCHED_BYTES, self.run.end_of_said)
            case "reset":
                self._wait("reached")

    def follow(self) -> None:
        """Show the run by a tail of its own, from its start to its end."""
        until(lambda: self.run_id != "", self.run.end_of_said)
        self.tails.append(Tail(self.lab, self.run_id, f"tail{self._tails}-{self.cell.name}"))
        self._tails += 1

    def go_on(self) -> None:
        """Let the run come to its end, but for a program that prints."""
        (self.files / "go-on").touch()

    def finish(self) -> None:
        """Let the program that prints end, too."""
        (self.files / "victim-stop").touch()

    @property
    def run_id(self) -> str:
        """Id of the run; nothing while it has none."""
        found = [path.name for path in self.run.output.glob("*") if path.name != "latest"]
        return found[0] if found else ""

    @property
    def collects(self) -> bool:
        """Whether there is a phase between its step and the reset: of two the long lead is long enough."""
        return self.cell.stage != "go"

    @property
    def is_ended_in_reset(self) -> bool:
        """Whether its reset is ended by the fault: it must not be done by then, or it would be done twice."""
        return self.cell.stage == "reset" and self.cell.victim == "agent" and self.cell.fault in ENDING

    @property
    def is_late(self) -> bool:
        """Whether its moment is over: it would say nothing of what happens now."""
        if self.cell.stage in ("prepare", "armed", "go"):
            return self.has("victim-started")
        if self.cell.stage == "fetch":
            return self.fetched_bytes() >= FILE_BYTES
        return self.has("reset-victim")

    def has(self, sign: str) -> bool:
        """Say whether a step has left a sign."""
        return (self.files / sign).exists()

    def count(self, sign: str) -> int:
        """Return how often a step has left its sign."""
        path = self.files / sign
        return len(path.read_text().splitlines()) if path.exists() else 0

    def fetched_bytes(self) -> int:
        """Return how much of the file is in the bundle by now."""
        total = 0
        for path in (self.run.output / self.run_id).rglob("big*"):
            with contextlib.suppress(FileNotFoundError):  # it was moved just now
                total += path.stat().st_size
        return total

    def remove(self) -> None:
        """Remove what takes much room."""
        for path in (self.lab.directory / "again" / self.run_id, self.run.output):
            shutil.rmtree(path, ignore_errors=True)

    def _wait(self, sign: str) -> None:
        until(lambda: self.has(sign), lambda: f"{sign} of {self.cell.name}: {self.run.end_of_said()}")


class Tail:
    """A fabric-tail that follows one run to its end, or one run after the other."""

    def __init__(self, lab: Lab, run: str, name: str) -> None:
        self._path = lab.directory / f"{name}.log"
        self._read = 0  # so many bytes of it
        self._run = ""  # whose events follow
        self._events: dict[str, list[dict[str, Any]]] = {}
        what = (run, "--follow") if run else ("--follow-runs",)
        words = (*FABRIC, "tail", *what, "--json", "--broker", lab.url)
        self.process: subprocess.Popen[bytes] = lab.spawn(name, words, place="readers" if run else "others")

    def events(self, run: str = "") -> list[dict[str, Any]]:
        """Return what it has shown, or what of one run."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            *lines, rest = file.read().split(b"\n")
            self._read = file.tell() - len(rest)
        for line in lines:
            if not line.startswith(b"{"):
                continue  # what it says to its user
            event = json.loads(line)
            if event["type"] == "run":
                self._run = event["run"]
            else:
                self._events.setdefault(self._run, []).append(event)
        return self._events.get(run, [])

    def wait_shown(self, kind: str, phase: str | None = None, run: str = "") -> None:
        """Wait until it has shown an event."""

        def is_shown() -> bool:
            return any(one["type"] == kind and one.get("phase") == phase for one in self.events(run))

        until(is_shown, lambda: f"{kind} {phase} in {self._path}")

    def wait_more(self, size: int) -> None:
        """Wait until it has shown so many bytes more."""
        wanted = self._path.stat().st_size + size
        until(lambda: self._path.stat().st_size >= wanted, f"more in {self._path}")

    def wait_over(self) -> None:
        """Wait until it has shown all."""
        until(lambda: self.process.poll() is not None, f"the end of {self._path}")

    def end(self) -> None:
        """Kill it if it lives."""
        self.process.kill()
        self.process.wait()


class _Armed:
    """Says whether a step is held at its start: stopped by its launcher, and was so before."""

    def __init__(self, launcher: int) -> None:
        self._launcher = launcher
        self._last = ""

    def __call__(self) -> bool:
        children = list(tree.children(self._launcher))
        status = Path(f"/proc/{children[0]}/status").read_text() if len(children) == 1 else ""
        was, self._last = self._last, status.partition("voluntary_ctxt_switches")[2]
        return "State:\tt" in status and was == self._last


def program_in(directory: Path) -> Path:
    """Write the program that prints, if it is not there; return where it is."""
    path = directory / "program.py"
    if not path.exists():
        path.write_text(PROGRAM)
    return path


def make_big(path: Path) -> str:
    """Write the file that is fetched; return its digest."""
    if not path.exists():
        path.write_bytes(os.urandom(1_000_000) * (FILE_BYTES // 1_000_000))
    return digest_of(path)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
