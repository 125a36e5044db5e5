"""PURE.  Whether `max_skew` could be proven with the clocks of the nodes, told before they start."""

from collections.abc import Iterable
from typing import Final

from fabric.report.quantities import duration

NAMED: Final = 4
"""Most nodes that are named: who mends the worst ones sees the others next time."""


class Doubts:
    """Compares a limit with the bounds that nodes state when they are ready.

    The skew of two nodes is known to the sum of their bounds, so the two widest ones decide.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_ns = None if limit_s is None else round(limit_s * 1e9)
        self._bounds_ns: dict[str, int] = {}
        self._told: set[str] = set()

    def ready(self, node: str, bound_ns: int) -> None:
        """Note how well the clock of a node is known."""
        self._bounds_ns[node] = bound_ns

    def about(self, nodes: Iterable[str]) -> str:
        """Say why the limit cannot be proven when these nodes start together; "" if it can, or was said."""
        if self._limit_ns is None:
            return ""
        limit_ns = self._limit_ns
        known = {node: self._bounds_ns[node] for node in nodes if node in self._bounds_ns}
        widest = sorted(known, key=lambda node: (-known[node], node))
        if sum(known[node] for node in widest[:2]) <= limit_ns or len(widest) == 1:
            return ""
        named = [node for node in widest if known[node] + known[widest[0]] > limit_ns or node == widest[0]]
        if self._told.issuperset(named):
            return ""
        self._told.update(named)
        shown = ", ".join(f"{node} ± {duration(known[node])}" for node in named[:NAMED])
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        limit = f"max_skew {duration(limit_ns)}"
        return f"{limit} cannot be proven with these clocks, for their bounds add up: {shown}{more}"
