"""PURE.  The skew of a phase: latest minus earliest actual start of the programs that its go released."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from fabric.protocol.records import StepStarted
from fabric.report.quantities import duration

Proof = Literal["", "held", "broken", "open"]
"""Whether a limit held: no limit; for certain; broken for certain; the clocks are not known well enough."""

Way = Literal["", "exec_stop", "gate", "mixed"]

ORDER_NS: Final = 1_000_000
"""A launcher needs its order so long before the instant, or it is late for that reason."""

SHARE: Final = 2
"""What made up at least one of so many parts of a delay is called its cause."""


@dataclass(frozen=True, slots=True)
class Skew:
    """How far apart the starts were, and how far off that may be."""

    skew_ns: int
    bound_ns: int
    latest_node: str
    earliest_node: str
    vague_node: str  # whose clock is known least well
    vague_ns: int  # ... its bound
    nodes: int
    way: Way  # how the programs were held until then; "": not known
    delayed_by: str  # what made the latest one late, in a sentence; "": not known

    def proof(self, limit_s: float | None) -> Proof:
        """Say whether the skew is within a limit."""
        if limit_s is None:
            return ""
        limit_ns = round(limit_s * 1e9)
        if self.skew_ns + self.bound_ns <= limit_ns:
            return "held"
        return "broken" if self.skew_ns - self.bound_ns > limit_ns else "open"


@dataclass(slots=True)
class SkewMeter:
    """Collects the starts of one phase."""

    t0_ns: int
    _starts: list[tuple[str, StepStarted]] = field(default_factory=list)

    def add(self, node: str, started: StepStarted) -> None:
        """Take a start in.

        Only programs that were planned for t0 itself count: what an agent does by itself begins between
        two turns of its own, and has no start of which more could be said.
        """
        if started.go and started.event != "agent":
            self._starts.append((node, started))

    @property
    def result(self) -> Skew | None:
        """The skew, or None if fewer than two nodes started something, or a start has no bound."""
        slack_ns = 1_000 + 2 * max((abs(start.bound_ns) for _, start in self._starts), default=0)
        starts = [one for one in self._starts if abs(one[1].planned_ns - self.t0_ns) <= slack_ns]
        if len({node for node, _ in starts}) < 2:  # noqa: PLR2004 - one node has no skew
            return None
        return None if any(start.bound_ns < 0 for _, start in starts) else _skew(starts)


def _skew(starts: list[tuple[str, StepStarted]]) -> Skew:
    earliest = min(starts, key=lambda one: one[1].t_ns)
    latest = max(starts, key=lambda one: one[1].t_ns)
    vague = max(starts, key=lambda one: one[1].bound_ns)
    records = [start for _, start in starts]
    skew_ns = latest[1].t_ns - earliest[1].t_ns
    return Skew(
        skew_ns=skew_ns,
        bound_ns=_bound_ns(records, skew_ns),
        latest_node=latest[0],
        earliest_node=earliest[0],
        vague_node=vague[0],
        vague_ns=vague[1].bound_ns,
        nodes=len({node for node, _ in starts}),
        way=_way(records),
        delayed_by=delay(latest[1]),
    )


def _bound_ns(starts: list[StepStarted], skew_ns: int) -> int:
    """Return how far off the skew may be.

    With clocks that are known equally well it is the sum of the bounds of the earliest and the latest; one
    that is known less well may have been the earliest or the latest in truth.
    """
    most_ns = max(one.t_ns + one.bound_ns for one in starts) - min(one.t_ns - one.bound_ns for one in starts)
    least_ns = max(one.t_ns - one.bound_ns for one in starts) - min(one.t_ns + one.bound_ns for one in starts)
    return max(most_ns - skew_ns, skew_ns - max(0, least_ns))


def _way(starts: list[StepStarted]) -> Way:
    ways = {start.way for start in starts if start.way}
    return "mixed" if len(ways) > 1 else next(iter(ways), "")


def delay(start: StepStarted) -> str:
    """Say in a sentence what delayed a start; "" if its record does not tell."""
    if not start.planned_ns or not (start.ordered_ns or start.woke_ns):
        return ""
    late_ns = start.t_ns - start.planned_ns
    if start.ordered_ns > start.planned_ns - ORDER_NS:
        by_ns = start.ordered_ns - start.planned_ns
        when = f"{duration(abs(by_ns))} {'after' if by_ns > 0 else 'before'} the instant"
        return f"the go came late: its launcher had it {when}"
    woke_ns = start.woke_ns - start.planned_ns if start.woke_ns else 0
    if woke_ns * SHARE >= late_ns:
        return f"its launcher woke {duration(max(0, woke_ns))} late"
    rest = duration(max(0, late_ns - woke_ns))
    if start.way == "gate":
        return f"its program was slow to be executed: {rest}"
    return f"its release had to wait {rest} for its turn"


def excess(skew: Skew, limit_s: float | None) -> str:
    """Say that a skew is not shown to be within the limit of the trial; "" if it is, or there is none."""
    proof = skew.proof(limit_s)
    if limit_s is None or proof in ("", "held"):
        return ""
    found = f"skew {duration(skew.skew_ns)} ± {duration(skew.bound_ns)}"
    limit = f"max_skew {duration(round(limit_s * 1e9))}"
    last = f"{skew.latest_node} was the last" + (f": {skew.delayed_by}" if skew.delayed_by else "")
    if proof == "broken":
        return f"{found} is over {limit}; {last}"
    vague = f"the clock of {skew.vague_node} is known to ± {duration(skew.vague_ns)} only"
    return f"{found} is not proven to be within {limit}: {vague}; {last}"


def skew_of(t0_ns: int, starts: Iterable[tuple[str, StepStarted]]) -> Skew | None:
    """Return the skew of the starts of a phase, each with its node."""
    meter = SkewMeter(t0_ns)
    for node, start in starts:
        meter.add(node, start)
    return meter.result
