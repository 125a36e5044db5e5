#!/usr/bin/env python3
"""How far apart a program starts on many nodes: the fabric, two floors and other tools, on one machine.

Each start is told by the program itself: a tiny C program that prints CLOCK_MONOTONIC in its first
instructions (static), or in the first line of its main, after the dynamic linker (dynamic).  A figure is the
latest minus the earliest of one start.  The ways take turns.

floor A: processes that are there before, sleep to one instant and execute the program.  floor B: the same
without executing anything.  As many nodes as processors are measured twice: all that belongs to a node bound
to a processor of its own, then as it comes.
Other tools are measured if they are installed: apt-get install openssh-server clustershell pdsh openmpi-bin
libopenmpi-dev; Salt if --salt names the bin directory of a virtual environment with it (pip install salt).
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from common import Lab, end_cleanly
from figures import load, machine, p95, row, svg
from native import Programs, build
from saltlab import Salt
from sequential import Players
from sshd import Sshd
from starts import Fabric, Way, floor, mpi, sequential, ssh_ways

NEEDS = {
    "ssh": ("ssh", "sshd", "ssh-keygen"),
    "ClusterShell": ("clush",),
    "pdsh": ("pdsh",),
    "MPI": ("mpicc", "mpirun"),
}
"""What has to be installed for each of the other tools."""


@dataclass(frozen=True)
class Case:
    """One number of nodes; what the ways of it need lives as long as the stack."""

    programs: Programs
    nodes: tuple[str, ...]
    cpus: Sequence[int] | None  # None: nothing is bound
    stack: ExitStack
    salt: Path | None

    @property
    def pinned(self) -> bool:
        """Whether each node has a processor of its own."""
        return self.cpus is not None


def floors(case: Case) -> Iterator[Way]:
    """B, and A for each program."""
    static, dynamic = case.programs.stamp_static, case.programs.stamp_dynamic
    commands = {
        "floor B": ("none", ()),
        "floor A": ("static", (static,)),
        "floor A dynamic": ("dynamic", (dynamic,)),
        "floor A sh -c": ("shell", ("/bin/sh", "-c", static)),
    }
    for name, (runs, command) in commands.items():
        yield Way(name, runs, floor(case.programs, len(case.nodes), pinned=case.pinned, command=command))
    apart = floor(case.programs, len(case.nodes), pinned=case.pinned, command=(static,), apart=True)
    yield Way("floor A sessions", "static", apart)


def fabric(case: Case) -> Iterator[Way]:
    """The fabric, for each program."""
    static, dynamic = case.programs.stamp_static, case.programs.stamp_dynamic
    lab = case.stack.enter_context(Lab(case.nodes, cpus=case.cpus))
    commands: dict[str, tuple[str, str | list[str]]] = {
        "fabric": ("static", [static]),
        "fabric dynamic": ("dynamic", [dynamic]),
        "fabric sh -c": ("shell", static),
    }
    for name, (runs, command) in commands.items():
        failures: list[str] = []
        yield Way(name, runs, Fabric(lab, command, failures).make, failures=failures)


def conductor(case: Case) -> Iterator[Way]:
    """Go to one node after the other."""
    players = case.stack.enter_context(Players(len(case.nodes), case.cpus))
    yield Way("Conductor's way", "static", sequential(players, case.programs.stamp_static))


def barrier(case: Case) -> Iterator[Way]:
    """A barrier of MPI."""
    if case.programs.mpi_start and shutil.which("mpirun"):
        yield Way("MPI barrier", "static", mpi(case.programs, len(case.nodes), pinned=case.pinned))


def ssh(case: Case) -> Iterator[Way]:
    """Fan-out over ssh."""
    if all(map(shutil.which, NEEDS["ssh"])):
        sshd = case.stack.enter_context(Sshd(case.nodes, case.cpus))
        yield from ssh_ways(sshd, case.programs.stamp_static, len(case.nodes))


def minions(case: Case) -> Iterator[Way]:
    """Salt."""
    if case.salt:
        salt = case.stack.enter_context(Salt(case.salt, len(case.nodes), case.cpus))
        failures: list[str] = []
        make = partial(salt.make, case.programs.stamp_static, len(case.nodes), failures)
        yield Way("Salt", "static", make, failures=failures)


WAYS: dict[str, Callable[[Case], Iterator[Way]]] = {
    "fabric": fabric,
    "conductor": conductor,
    "mpi": barrier,
    "ssh": ssh,
    "salt": minions,
}


def measure(ways: Sequence[Way], starts: int, rounds: int) -> None:
    """Have all ways make their starts in turn; each one's first start, which warms up, does not count."""
    for way in ways:
        way.make(1)
    for index in range(rounds):
        count = starts // rounds + (index < starts % rounds)
        for way in ways:
            way.found += way.make(count) if count else ()


def report(ways: Sequence[Way]) -> None:
    """Print the figures of one number of nodes."""
    medians = {way.name: statistics.median(way.skews_ms) for way in ways if way.found}
    print(f"  {'way':20}{'program':>9}{'starts':>8}{'median':>10}{'p95':>10}{'max':>10}   / floor A")
    for way in ways:
        if way.found:
            ratio = medians[way.name] / medians[_floor_of(way)]
            print(f"  {way.name:20}{way.runs:>9}{len(way.found):8}{row(way.skews_ms)}{ratio:11.3f}")
        for why in sorted(set(way.failures)):
            print(f"    {way.failures.count(why)} times: {why}")
    if any(start.stated for way in ways for start in way.found):
        _report_stated(ways)
        _report_aims(ways)


def _floor_of(way: Way) -> str:
    """Return the floor that executes the same; for what has a shell of its own, it is the one without."""
    return {"dynamic": "floor A dynamic", "shell": "floor A sh -c"}.get(way.runs, "floor A")


def _report_stated(ways: Sequence[Way]) -> None:
    print("  what the fabric states of its starts, beside what the programs saw:")
    print(
        "  off: the stated skew and the programs'; lag: from a stated start to the first that its program saw"
    )
    heads = ("skew", "bound", "max bound", "off median", "off max", "lag min", "lag median", "lag max")
    print(f"  {'':16}{''.join(f'{head:>11}' for head in heads)}   off <= bound   held by")
    for way in ways:
        pairs = [(start.skew_ms, start.stated) for start in way.found if start.stated]
        if not pairs:
            continue
        off = [abs(stated.skew_ms - seen) for seen, stated in pairs]
        bounds = [stated.bound_ms for _, stated in pairs]
        lags = [lag for _, stated in pairs for lag in stated.lags_ms] or [float("nan")]
        skew = statistics.median(stated.skew_ms for _, stated in pairs)
        values = [skew, statistics.median(bounds), max(bounds), statistics.median(off), max(off)]
        values += [min(lags), statistics.median(lags), max(lags)]
        inside = sum(one <= bound for one, bound in zip(off, bounds, strict=True))
        held = "/".join(sorted({name for _, stated in pairs for name in stated.ways}))
        columns = "".join(f"{value:11.3f}" for value in values)
        print(f"  {way.name:16}{columns}{inside:7} of {len(pairs):3}   {held}")


def _report_aims(ways: Sequence[Way]) -> None:
    by_name = {way.name: way.skews_ms for way in ways if way.found}
    for way in ways:
        if not way.name.startswith("fabric") or not way.found:
            continue
        below = by_name[_floor_of(way)]
        mine = way.skews_ms
        said = [
            f"median {_is(statistics.median(mine) < statistics.median(below))}",
            f"p95 {_is(p95(mine) < p95(below))}",
        ]
        print(f"  aim: {way.name} below {_floor_of(way)}: {', '.join(said)}")
    peers = [name for name in by_name if not name.startswith(("fabric", "floor"))]
    if peers and "fabric" in by_name:
        best = min(peers, key=lambda name: statistics.median(by_name[name]))
        reached = statistics.median(by_name["fabric"]) < statistics.median(by_name[best])
        print(f"  aim: fabric below the best of the other tools ({best}): {_is(reached)}")


def _is(reached: bool) -> str:
    return "yes" if reached else "NO"


def missing(options: argparse.Namespace) -> list[str]:
    """Say which of the other tools are not measured."""
    names = [name for name, needs in NEEDS.items() if not all(map(shutil.which, needs))]
    return names + ([] if options.salt else ["Salt"])


def cases_of(counts: Sequence[int], cpus: list[int]) -> Iterator[tuple[int, list[int] | None]]:
    """Yield each number of nodes; as many as processors come bound to them first, and then free."""
    for count in dict.fromkeys(counts):
        if count == len(cpus):
            yield count, cpus
        yield count, None


def main() -> None:
    """Measure, print, and write the numbers and a plot."""
    cpus = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[len(cpus), 4, 16, 64])
    parser.add_argument("--starts", type=int, default=50, help="of each way")
    parser.add_argument("--rounds", type=int, default=5, help="turns in which a way makes its starts")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS), help="beside the floors")
    parser.add_argument("--salt", type=Path, help="directory of salt-master, salt-minion and their python")
    parser.add_argument(
        "-o", dest="output", type=Path, help="directory for start_skew.json and start_skew.svg"
    )
    options = parser.parse_args()
    end_cleanly()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"not installed, so not measured: {', '.join(missing(options)) or 'nothing'}")
    groups, cases = {}, []
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        programs = build(Path(place))
        for count, bound in cases_of(options.nodes, cpus):
            nodes = tuple(f"n{index}" for index in range(count))
            before = load()
            with ExitStack() as stack:
                case = Case(programs, nodes, bound, stack, options.salt)
                ways = [*floors(case), *(way for name in options.ways for way in WAYS[name](case))]
                measure(ways, options.starts, options.rounds)
            title = f"{count} nodes" + (", one for each processor" if bound else "")
            print(f"{title}; milliseconds; load {before} before, {load()} after")
            report(ways)
            groups[title] = {way.name: way.skews_ms for way in ways}
            raw = {way.name: [asdict(start) for start in way.found] for way in ways}
            cases.append({"nodes": count, "bound": bound is not None, "before": before, "ways": raw})
            if options.output:  # after each case: the larger ones take long, and may be interrupted
                options.output.mkdir(parents=True, exist_ok=True)
                text = json.dumps({"machine": machine(), "not_measured": missing(options), "cases": cases})
                (options.output / "start_skew.json").write_text(text)
                (options.output / "start_skew.svg").write_text(svg(groups, "ms"))


if __name__ == "__main__":
    main()
