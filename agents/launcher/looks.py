"""For how long nobody had looked when an end of a program is seen: it may be so much older."""

from __future__ import annotations

AT_ONCE_NS = 100_000
"""A wait of less than this was none: what ended it was there before it began."""


class Looks:
    """Says how old what is found after a wait may be.  Instants are one monotonic clock's, in nanoseconds."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns

    def away_ns(self, began_ns: int, ended_ns: int) -> int:
        """Return for how long nobody had looked; 0 if it came during the wait, which it ended at once.

        What was there before the wait came at any time since the end of the last one: a loop that released
        programs meanwhile, and let them run, may be some 30 ms late.
        """
        away_ns = ended_ns - self._looked_ns if ended_ns - began_ns < AT_ONCE_NS else 0
        self._looked_ns = ended_ns
        return away_ns
