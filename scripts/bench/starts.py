"""Ways to start a program on many nodes at once, all asked in the same manner: so many starts, please.

Each start is told by what the programs themselves said: the first instant that they saw, by one clock.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import Lab, program
from native import Programs
from sequential import Players
from sshd import Sshd

MPI = ("--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1")
"""More ranks than processors are only usable if those who wait let others run."""


@dataclass(frozen=True)
class Stated:
    """What the fabric's bundle says of a start; milliseconds."""

    skew_ms: float
    bound_ms: float
    latest_node: str
    delayed_by: str
    ways: tuple[str, ...]  # how the steps were held until then, each once
    local_ns: Mapping[str, int]  # by node: the start by its own clock, which is the same for all here
    at_ns: Mapping[str, tuple[int, int]]  # by node: the start in fabric time, and its bound
    seen_ns: Mapping[str, int]  # by node: what its program saw first

    @property
    def true_skew_ms(self) -> float | None:
        """The skew by the one clock that all nodes have here; None if the fabric does not say it."""
        ends = self.local_ns.values()
        return (max(ends) - min(ends)) / 1e6 if ends else None

    @property
    def lags_ms(self) -> list[float]:
        """From each stated start to what the program saw first, by the one clock."""
        return [(self.seen_ns[node] - local_ns) / 1e6 for node, local_ns in self.local_ns.items()]

    def clock_errors_ms(self, truth: tuple[int, int]) -> dict[str, tuple[float, float]]:
        """Return by node how far off its clock was for certain, and its bound.

        Args:
            truth: Fabric time minus the clock of this machine lies between these, in nanoseconds.
        """
        found = {}
        for node, local_ns in self.local_ns.items():
            t_ns, bound_ns = self.at_ns[node]
            offset_ns = t_ns - local_ns
            error_ns = max(0, truth[0] - offset_ns, offset_ns - truth[1])
            found[node] = (error_ns / 1e6, bound_ns / 1e6)
        return found


@dataclass(frozen=True)
class Start:
    """What the programs of one start said, in nanoseconds of CLOCK_MONOTONIC."""

    stamps_ns: tuple[int, ...]
    stated: Stated | None = None

    @property
    def skew_ms(self) -> float:
        """The latest minus the earliest."""
        return (max(self.stamps_ns) - min(self.stamps_ns)) / 1e6


@dataclass
class Way:
    """A way to start a program: ``make`` is called with a number of starts, and makes them."""

    name: str
    runs: str  # static, dynamic or shell: which of the programs
    make: Callable[[int], Sequence[Start]]
    found: list[Start] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def skews_ms(self) -> list[float]:
        """Of all starts that came about."""
        return [start.skew_ms for start in self.found]


def floor(
    programs: Programs, nodes: int, *, pinned: bool, command: Sequence[str] = (), apart: bool = False
) -> Callable[[int], list[Start]]:
    """Processes that are there before and sleep to one instant: A with a command, B without.

    ``apart``: each has a session of its own.
    """
    kind = "session" if apart else "run" if command else "stamp"
    words = [programs.floor, str(int(pinned)), kind, str(nodes)]

    def make(count: int) -> list[Start]:
        return numbers([*words, str(count), *command])

    return make


def mpi(programs: Programs, nodes: int, *, pinned: bool) -> Callable[[int], list[Start]]:
    """Ranks that meet at a barrier; each then starts the program."""
    assert programs.mpi_start is not None
    bound = ("--map-by", "core", "--bind-to", "core") if pinned else ("--bind-to", "none")
    words = ["mpirun", *MPI, *bound, "-np", str(nodes), programs.mpi_start]

    def make(count: int) -> list[Start]:
        return numbers([*words, str(count), programs.stamp_static])

    return make


def numbers(words: Sequence[str]) -> list[Start]:
    """Return what a program says that prints a line of numbers for each start."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed: {done.stderr}")
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    return [Start(tuple(map(int, line.split()))) for line in done.stdout.splitlines() if line]


def by_ssh(call: Callable[..., str], stamp: str, nodes: int) -> Callable[[int], list[Start]]:
    """One of the ways of `Sshd`; each line of the output ends with the number."""

    def make(count: int) -> list[Start]:
        found = []
        for _ in range(count):
            said = [int(line.rsplit(maxsplit=1)[-1]) for line in call(stamp).splitlines()]
            if len(said) != nodes:
                raise SystemExit(f"{len(said)} of {nodes} nodes answered")
            found.append(Start(tuple(said)))
        return found

    return make


def sequential(players: Players, stamp: str) -> Callable[[int], list[Start]]:
    """Go to one after the other."""
    return lambda count: [Start(tuple(players.start(stamp))) for _ in range(count)]


class Fabric:
    """Runs of a trial whose only phase starts a program on all nodes of a lab.

    Args:
        lab: With its agents.
        command: A text for `sh -c`, or the words of a program.
        failures: Takes what was wrong with a run.
    """

    def __init__(self, lab: Lab, command: str | Sequence[str], failures: list[str]) -> None:
        self._lab = lab
        self._command = command
        self._failures = failures

    def make(self, count: int) -> list[Start]:
        """Make a run of so many repeats; return those starts that came about."""
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            trial = Path(place) / "start.toml"
            trial.write_text(
                f'[trial]\nname = "start"\nrepeat = {count}\n'
                f"[nodes]\na = {json.dumps(self._lab.nodes)}\n"
                f"[run]\na = {{ cmd = {json.dumps(self._command)} }}\n"
                '[reset]\na = { cmd = "true", when = "failed" }\n'
            )
            words = [program("fabric-run"), "-q", "-o", f"{place}/runs", str(trial)]
            done = subprocess.run(
                words, env=self._lab.environment, check=False, capture_output=True, text=True
            )
            bundle = Path(place) / "runs" / "latest"
            if not (bundle / "events.jsonl").exists():
                self._failures.append((done.stdout + done.stderr).strip())
                return []
            result = json.loads((bundle / "result.json").read_text())
            self._failures += [f"{result['verdict']}: {why}" for why in result["why"]]
            lines = (bundle / "events.jsonl").read_text().splitlines()
        return starts_of(lines, round(result["started"] * 1e9), len(self._lab.nodes))


def starts_of(events: Sequence[str], begun_ns: int, nodes: int) -> list[Start]:
    """Return the starts of which a bundle's events tell; only those in which every node's program spoke."""
    said: dict[int, dict[str, str]] = {}
    began: dict[int, dict[str, dict[str, Any]]] = {}
    ended: dict[int, dict[str, Any]] = {}
    for event in map(json.loads, events):
        if event.get("phase") != "run":
            continue
        repeat = event["repeat"]
        if event["type"] == "output" and event["stream"] == "stdout":
            texts = said.setdefault(repeat, {})
            texts[event["node"]] = texts.get(event["node"], "") + event["text"]
        elif event["type"] == "step_started":
            began.setdefault(repeat, {})[event["node"]] = event
        elif event["type"] == "phase_ended":
            ended[repeat] = event
    return [
        _start({node: int(text) for node, text in said[repeat].items()}, event, began[repeat], begun_ns)
        for repeat, event in sorted(ended.items())
        if sum(bool(text.strip()) for text in said.get(repeat, {}).values()) == nodes
    ]


def _start(
    seen_ns: dict[str, int], ended: dict[str, Any], began: dict[str, dict[str, Any]], begun_ns: int
) -> Start:
    if ended["skew"] is None:
        return Start(tuple(seen_ns.values()))
    stated = Stated(
        skew_ms=ended["skew"] * 1e3,
        bound_ms=ended["skew_bound"] * 1e3,
        latest_node=ended["latest_node"],
        delayed_by=ended.get("delayed_by", ""),
        ways=tuple(sorted({start.get("way") or start["event"] for start in began.values()})),
        local_ns={node: round(start["local"] * 1e9) for node, start in began.items() if start.get("local")},
        at_ns={
            node: (begun_ns + round(start["t"] * 1e9), round(start["bound"] * 1e9))
            for node, start in began.items()
        },
        seen_ns=seen_ns,
    )
    return Start(tuple(seen_ns.values()), stated)


def ssh_ways(sshd: Sshd, stamp: str, nodes: int) -> list[Way]:
    """Return those of the ways over ssh whose programs are installed."""
    ways = [Way("ssh side by side", "static", by_ssh(sshd.plain, stamp, nodes))]
    if shutil.which("clush"):
        ways.append(Way("ClusterShell", "static", by_ssh(sshd.clush, stamp, nodes)))
    if shutil.which("pdsh"):
        ways.append(Way("pdsh", "static", by_ssh(sshd.pdsh, stamp, nodes)))
    return ways
