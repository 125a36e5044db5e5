#!/usr/bin/env python3
"""How well each node knows the time when it starts, beside the smallest round trip that it has seen.

Two ratios of the bound that is stated with a start: by half of the smallest of the node's last 16 round
trips, as it tells the broker after the run, and by half of the smallest that it told in the whole benchmark.
One exchange alone proves no less than half of its round trip; several together may, and drift adds.
Aim: a median of 1 at most.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import Lab, Operator, end_cleanly
from figures import load, machine, row
from native import build
from starts import Fabric, Stated

from fabric.protocol.limits import BEAT_S

Run = tuple[Sequence[Stated], Mapping[str, int]]
"""What was stated of its starts, and the smallest round trip of each node after it."""


def runs_of(lab: Lab, program: str, runs: int, starts: int) -> list[Run]:
    """Make so many runs of so many starts each."""
    failures: list[str] = []
    fabric, found = Fabric(lab, [program], failures), []
    fabric.make(1)  # the first one warms up
    with Operator(lab.access) as operator:
        for _ in range(runs):
            made = [start.stated for start in fabric.make(starts) if start.stated]
            operator.pause(BEAT_S + 0.2)  # a beat of each node after the last start
            clocks = {info.name: info.clock for info in operator.nodes()}
            found.append((made, {name: clock.rtt_ns for name, clock in clocks.items() if clock}))
    for why in sorted(set(failures)):
        print(f"    {failures.count(why)} times: {why}")
    return found


def report(runs: Sequence[Run]) -> None:
    """Print bounds, round trips and both ratios."""
    least_ns = {node: min(rtts[node] for _, rtts in runs) for node in runs[0][1]}
    bounds = [
        (bound_ns, rtts[node], least_ns[node])
        for made, rtts in runs
        for stated in made
        for node, (_, bound_ns) in stated.at_ns.items()
    ]
    lines = {
        "bound, ms": [bound_ns / 1e6 for bound_ns, _, _ in bounds],
        "half of the last 16, ms": [rtt_ns / 2e6 for _, rtts in runs for rtt_ns in rtts.values()],
        "half of all, ms": [rtt_ns / 2e6 for rtt_ns in least_ns.values()],
        "bound / half of the last 16": [2 * bound_ns / rtt_ns for bound_ns, rtt_ns, _ in bounds],
        "bound / half of all": [2 * bound_ns / rtt_ns for bound_ns, _, rtt_ns in bounds],
    }
    print(f"  {'':28}{'of':>6}{'median':>10}{'p95':>10}{'max':>10}")
    for name, values in lines.items():
        print(f"  {name:28}{len(values):6}{row(values)}")
    reached = statistics.median(lines["bound / half of the last 16"]) <= 1
    print(f"  aim: {'yes' if reached else 'NO'}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[2, 4, 16])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--starts", type=int, default=5, help="of each run")
    options = parser.parse_args()
    end_cleanly()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        program = build(Path(place)).stamp_static
        for count in options.nodes:
            before = load()
            with Lab([f"n{index}" for index in range(count)], forked=True) as lab:
                runs = runs_of(lab, program, options.runs, options.starts)
            print(f"{count} nodes; load {before} before, {load()} after")
            report(runs)


if __name__ == "__main__":
    main()
