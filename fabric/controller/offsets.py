"""PURE.  Starts with `at` or `spread`: how late each was, by the very clock that it was planned on."""

from collections.abc import Iterable
from typing import Any, Final

from fabric.protocol.records import StepStarted

NS: Final = 1e9

SLACK_NS: Final = 1_000
"""A start that is planned for t0 itself belongs to the skew; instants are rounded on their way."""


def late_s(start: StepStarted) -> float | None:
    """Return how much later than planned a start was; None if it was to be as soon as its turn came.

    Both instants are of one node's clock, so its bound is not in their difference.
    """
    return (start.t_ns - start.planned_ns) / NS if start.planned_ns else None


def offsets_of(t0_ns: int, starts: Iterable[tuple[str, StepStarted]]) -> dict[str, Any] | None:
    """Return what is told of the starts of a phase that were planned for after its t0; None without any.

    What an agent does by itself does not count: it is not started by a launcher.
    """
    found = [
        (late, node, start.step.rsplit("/", 1)[1])
        for node, start in starts
        if start.planned_ns - t0_ns > SLACK_NS + 2 * abs(start.bound_ns) and start.event != "agent"
        if (late := late_s(start)) is not None
    ]
    if not found:
        return None
    from statistics import median  # late, with fractions and decimal: few phases have such starts

    worst, node, step = max(found)
    return {
        "starts": len(found),
        "median_late_s": median(late for late, _, _ in found),
        "max_late_s": worst,
        "node": node,
        "step": step,
    }
