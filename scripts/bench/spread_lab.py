#!/usr/bin/env python3
"""How far apart a program starts when each node is behind a link of its own with a delay of its own.

Every node's connections go through a relay of this benchmark: delays from 0.1 ms to the most of the lab,
jitter of a tenth; once with symmetric links, and once with two of each three asymmetric.  All have one clock
here, so what the programs say can be compared, and what the fabric says of its starts can be checked, one by
one: its skew and the clock of each node have to be within the bounds that it states.

sequential: go is sent to one node after the other over connections that are there.  PUB: one word to all,
each starts on receipt.  fabric: the same program by a trial.  Most 0 has the relays, but no delay.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from common import Lab, Operator, end_cleanly
from figures import load, machine, row, svg
from links import Link, Relay, Rule, address, links_of
from native import Programs, build
from pubsub import Subscribers
from sequential import Players
from start_skew import measure
from starts import Fabric, Start, Stated, Way, sequential

NET_FABRIC, NET_PLAYERS, NET_PUB = 1, 2, 3
PLAYER_PORT = 7450


class Centre:
    """Ways to start from one place over links; all is set up on a stack."""

    def __init__(self, programs: Programs, links: Sequence[Link], stack: ExitStack) -> None:
        self._programs = programs
        self._links = links
        self._stack = stack

    def ways(self) -> list[Way]:
        """Set all of them up."""
        nodes, stamp = len(self._links), self._programs.stamp_static
        self.lab = self._stack.enter_context(
            Lab([f"n{index}" for index in range(nodes)], links=self._relay_agents)
        )
        players = self._stack.enter_context(Players(nodes, links=self._relay_players))
        subscribers = self._stack.enter_context(Subscribers(nodes, self._relay_subscribers))
        fabric = Way("fabric", "static", lambda _: ())
        fabric.make = Fabric(self.lab, [stamp], fabric.failures).make
        return [
            Way("sequential", "static", sequential(players, stamp)),
            Way(
                "PUB", "static", lambda count: [Start(tuple(subscribers.start(stamp))) for _ in range(count)]
            ),
            fabric,
        ]

    def _relay_agents(self, lab: Lab) -> Mapping[str, str]:
        ports = lab.ports()
        self._relay(
            Rule((address(NET_FABRIC, index), port), port, link, towards_node=False)
            for index, link in enumerate(self._links)
            for port in ports[:3]
        )
        return {
            node: f"tcp://{address(NET_FABRIC, index)}:{ports[0]}" for index, node in enumerate(lab.nodes)
        }

    def _relay_players(self, ports: Sequence[int]) -> list[tuple[str, int]]:
        ends = [(address(NET_PLAYERS, index), PLAYER_PORT) for index in range(len(ports))]
        self._relay(
            Rule(end, port, link, towards_node=True)
            for end, port, link in zip(ends, ports, self._links, strict=True)
        )
        return ends

    def _relay_subscribers(self, port: int) -> list[tuple[str, int]]:
        ends = [(address(NET_PUB, index), port) for index in range(len(self._links))]
        self._relay(
            Rule(end, port, link, towards_node=False) for end, link in zip(ends, self._links, strict=True)
        )
        return ends

    def _relay(self, rules: Iterable[Rule]) -> None:
        self._stack.enter_context(Relay(self._programs.relay, list(rules)))


def wrong_in(start: Start, truth: tuple[int, int]) -> list[str]:
    """Return what the fabric says of one of its starts and is not so.

    Args:
        start: By the fabric.
        truth: Fabric time minus the clock of this machine lies between these, in nanoseconds.
    """
    stated = start.stated
    if stated is None or stated.true_skew_ms is None:
        return ["no skew is stated"]
    wrong = []
    if abs(stated.skew_ms - stated.true_skew_ms) > stated.bound_ms:
        said = f"{stated.skew_ms:.3f} ms +- {stated.bound_ms:.3f}"
        wrong.append(f"skew {said}, but it was {stated.true_skew_ms:.3f}")
    return wrong + [
        f"{node}: clock {error_ms:.3f} ms off, bound {bound_ms:.3f}"
        for node, (error_ms, bound_ms) in stated.clock_errors_ms(truth).items()
        if error_ms > bound_ms
    ]


def report(
    ways: Sequence[Way], links: Sequence[Link], still: Mapping[str, float], truth: tuple[int, int]
) -> int:
    """Print the figures of one lab; return in how many starts the fabric said something wrong."""
    print(f"  {'':16}{'starts':>8}{'median':>10}{'p95':>10}{'max':>10}   / without delay")
    for way in ways:
        if way.found:
            grown = statistics.median(way.skews_ms) / still.get(way.name, statistics.median(way.skews_ms))
            print(f"  {way.name:16}{len(way.found):8}{row(way.skews_ms)}{grown:14.2f}")
        for why in sorted(set(way.failures)):
            print(f"    {way.failures.count(why)} times: {why}")
    starts = next(way.found for way in ways if way.name == "fabric")
    _report_stated([start.stated for start in starts if start.stated], links, truth)
    wrong = {number: found for number, start in enumerate(starts, 1) if (found := wrong_in(start, truth))}
    print(f"  the bound held in {len(starts) - len(wrong)} of {len(starts)} starts")
    for number, found in list(wrong.items())[:10]:
        print(f"    start {number}: {'; '.join(found)}")
    return len(wrong)


def _report_stated(stated: Sequence[Stated], links: Sequence[Link], truth: tuple[int, int]) -> None:
    true = [(one, one.true_skew_ms) for one in stated if one.true_skew_ms is not None]
    lines = {
        "stated skew": [one.skew_ms for one in stated],
        "its bound": [one.bound_ms for one in stated],
        "true skew": [value for _, value in true],
        "|stated - true|": [abs(one.skew_ms - value) for one, value in true],
        "clock error": [error for one in stated for error, _ in one.clock_errors_ms(truth).values()],
    }
    for name, values in lines.items():
        if values:
            print(f"  {name:16}{len(values):8}{row(values)}")
    halves = {f"n{index}": (link.down_ms + link.up_ms) / 2 for index, link in enumerate(links)}
    bounds = [
        bound_ns / 1e6 / halves[node]
        for one in stated
        for node, (_, bound_ns) in one.at_ns.items()
        if halves[node] >= 1
    ]
    if bounds:
        print(f"  bounds of the clocks, by half of their links' delays there and back: {row(bounds)}")
    print(f"  (the true clock is known to {(truth[1] - truth[0]) / 2e6:.3f} ms)")


def labs(options: argparse.Namespace) -> Iterator[tuple[str, list[Link]]]:
    """Yield a title and the links of each lab."""
    for most_ms in options.most:
        for kind in options.links if most_ms else ["symmetric"]:
            title = f"{options.nodes} nodes, {kind} delays up to {most_ms:g} ms"
            yield title, links_of(options.nodes, most_ms, asymmetric=kind == "asymmetric")


def main() -> None:
    """Measure and print; exit 1 if a bound did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument(
        "--most", type=float, nargs="*", default=[0, 1, 10, 50], help="milliseconds, labs for each"
    )
    kinds = ["symmetric", "asymmetric"]
    parser.add_argument("--links", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--starts", type=int, default=50, help="of each way")
    parser.add_argument("--rounds", type=int, default=5, help="turns in which a way makes its starts")
    parser.add_argument("-o", dest="output", type=Path, help="directory for spread_lab.svg")
    options = parser.parse_args()
    end_cleanly()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    groups: dict[str, dict[str, list[float]]] = {}
    still: dict[str, float] = {}
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        programs = build(Path(place))
        for title, links in labs(options):
            before = load()
            with ExitStack() as stack:
                centre = Centre(programs, links, stack)
                ways = centre.ways()
                measure(ways, options.starts, options.rounds)
                with Operator(centre.lab.access) as operator:
                    truth = operator.clock_offset()
            print(f"{title}; milliseconds; load {before} before, {load()} after")
            wrong += report(ways, links, still, truth)
            groups[title] = {way.name: way.skews_ms for way in ways}
            still = still or {way.name: statistics.median(way.skews_ms) for way in ways if way.found}
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "spread_lab.svg").write_text(svg(groups, "ms"))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
