"""Counts of what was refused, told at a limited rate: a flood of garbage must not become a flood of lines."""

from collections import Counter
from typing import Final

REFUSED_EVERY_NS: Final = 10_000_000_000
"""Refused messages are counted, and told so often."""


class Refusals:
    """Counts by event.  ``now_ns`` is of one clock, the caller's."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: dict[str, int] = {}
        self.total = 0

    def count(self, event: str, now_ns: int, every_ns: int = REFUSED_EVERY_NS) -> int:
        """Count one; return how many there were since the last line if one is due, else 0."""
        self.total += 1
        self._counts[event] += 1
        told_ns = self._told.get(event)
        if told_ns is not None and now_ns - told_ns < every_ns:
            return 0
        self._told[event] = now_ns
        return self._counts.pop(event)
