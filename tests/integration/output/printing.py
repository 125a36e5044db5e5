"""Programs that print, and looks at what becomes of it: memory, the feed, the files of agent and broker."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.integration.faults.lab import FABRIC, FabricRun, Lab
from tests.integration.faults.processes import BOUND_S, until

MIB: Final = 1 << 20

LINE: Final = "%011d " + "x" * 87
"""With its newline 100 bytes."""

NUMBERED: Final = """
import sys
for first in range(0, {count}, 10_000):
    sys.stdout.write("".join({line!r} % n + "\\n" for n in range(first, min(first + 10_000, {count}))))
"""


class Program:
    """A Python program in a file, as the one step of a trial."""

    def __init__(self, lab: Lab, code: str) -> None:
        self.path = lab.directory / "program.py"
        self.path.write_text(code)

    @property
    def trial(self) -> str:
        """A trial that runs it on lab1."""
        return f"""
[trial]
name = "output"
lead = "300ms"      # on a busy machine no go is aborted
[nodes]
only = "lab1"
[[run.only]]
name = "print"
cmd  = ["{sys.executable}", "{self.path}"]
"""


def numbered(lab: Lab, count: int) -> Program:
    """Return a program that prints so many numbered lines of 100 bytes, as fast as it can."""
    return Program(lab, NUMBERED.format(count=count, line=LINE))


def check_numbered(path: Path, count: int) -> None:
    """All lines are there, each once and in order."""
    with path.open() as file:
        for number, line in enumerate(file):
            assert line == LINE % number + "\n"
    assert number == count - 1


def out(run: FabricRun, stream: str = "stdout") -> Path:
    """Return the file of what the program printed."""
    return run.bundle / "out" / "1" / "run" / "lab1" / f"print.{stream}"


def events(run: FabricRun) -> list[dict[str, Any]]:
    """Return the whole lines of events.jsonl, which is written while the run goes on."""
    path = run.bundle / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def event(run: FabricRun, kind: str) -> dict[str, Any]:
    """Return the one event of a kind."""
    (found,) = (one for one in events(run) if one["type"] == kind)
    return found


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # a zombie has none


class Peaks:
    """The most memory of processes that end by themselves: looked at as long as they live."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self.mib: dict[str, float] = dict.fromkeys(pids, 0.0)

    def look(self) -> None:
        """Note how much it is now."""
        for name, pid in self._pids.items():
            if Path(f"/proc/{pid}").exists():
                self.mib[name] = max(self.mib[name], peak_mib(pid))


def peaks_of_the_fabric(lab: Lab) -> Mapping[str, float]:
    """Return the peaks of agent, launcher and broker in MiB."""
    assert lab.broker is not None
    agent = lab.agents["lab1"]
    pids = {"agent": agent.pid, "launcher": agent.launcher, "broker": lab.broker.pid}
    return {name: peak_mib(pid) for name, pid in pids.items()}


def log_bytes(lab: Lab) -> int:
    """Return how much the broker has stored."""
    return sum(path.stat().st_size for path in (lab.directory / "broker" / "runs").rglob("*.records"))


def spool_bytes(lab: Lab) -> int:
    """Return how much output the agent holds."""
    total = 0
    for path in (lab.agents["lab1"].state / "journals").rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # acknowledged meanwhile
    return total


class Tail:
    """A ``fabric-tail --follow`` that prints into a file."""

    def __init__(self, lab: Lab, run: str, *options: str) -> None:
        self.path = lab.directory / "tail.out"
        words = [*FABRIC, "tail", run, "--follow", "--broker", lab.url, *options]
        with self.path.open("wb") as file:
            self.process = subprocess.Popen(
                words, env=lab.environment, stdin=subprocess.DEVNULL, stdout=file, start_new_session=True
            )

    def wait_for(self, text: str) -> None:
        """Wait until it has printed something."""
        until(lambda: text in self.path.read_text(errors="replace"), lambda: f"{text!r} in {self.path}")

    def end(self, within_s: float = BOUND_S) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait(within_s)
