"""PURE.  The skew of a phase: latest minus earliest actual start of the steps that its go released."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fabric.protocol.records import StepStarted


@dataclass(frozen=True, slots=True)
class Skew:
    """How far apart the starts were, and how far off that may be."""

    skew_ns: int
    bound_ns: int  # sum of the bounds of the two nodes
    latest_node: str
    nodes: int
    event: str  # which instant a start is: "release", "exec" or "mixed"


@dataclass(slots=True)
class SkewMeter:
    """Collects the starts of one phase."""

    t0_ns: int
    _starts: list[tuple[int, int, str, str]] = field(default_factory=list)

    def add(self, node: str, started: StepStarted) -> None:
        """Take a start in; only those count that were planned for t0 itself."""
        if started.go and abs(started.planned_ns - self.t0_ns) <= 1_000 + 2 * abs(started.bound_ns):
            self._starts.append((started.t_ns, started.bound_ns, node, started.event))

    @property
    def result(self) -> Skew | None:
        """The skew, or None if fewer than two nodes started something, or a start has no bound."""
        nodes = {node for _, _, node, _ in self._starts}
        if len(nodes) < 2 or any(bound < 0 for _, bound, _, _ in self._starts):  # noqa: PLR2004
            return None
        earliest, latest = min(self._starts), max(self._starts)
        events = {event for _, _, _, event in self._starts}
        return Skew(
            skew_ns=latest[0] - earliest[0],
            bound_ns=latest[1] + earliest[1],
            latest_node=latest[2],
            nodes=len(nodes),
            event=events.pop() if len(events) == 1 else "mixed",
        )


def excess(skew: Skew, limit_s: float | None) -> str:
    """Say that a skew is over the limit of the trial; "" if it is not, or there is none."""
    if limit_s is None or skew.skew_ns <= limit_s * 1e9:
        return ""
    found = f"skew {skew.skew_ns / 1e6:.3f} ms (+- {skew.bound_ns / 1e6:.3f} ms)"
    return f"{found} is over max_skew {limit_s * 1e3:g} ms; {skew.latest_node} was the last"


def skew_of(t0_ns: int, starts: Iterable[tuple[str, StepStarted]]) -> Skew | None:
    """Return the skew of the starts of a phase, each with its node."""
    meter = SkewMeter(t0_ns)
    for node, start in starts:
        meter.add(node, start)
    return meter.result
