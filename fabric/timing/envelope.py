"""PURE.  A limit to the offset that was proven at some instants, and what it is at all others.

Two clocks drift by DRIFT_PPM at most, so a limit that holds at one instant holds at any other one after it
was widened by the time between.  Over time these are cones, all with one slope, and the least of them counts.
"""

from bisect import bisect_left, bisect_right
from typing import Final

DRIFT_PPM: Final = 500
"""Greatest rate difference of two clocks that is believed, in parts per million.

All processes read CLOCK_MONOTONIC, for a launcher can sleep until an instant of no other clock that never
steps. Two crystals are within 200 ppm of each other, but NTP slews this clock too: the kernel limits its
frequency to 500 ppm.  More than that is seen for minutes after a daemon has begun to put right a clock that
was far off; then the evidence contradicts itself, which is told (`FabricOffset`)."""

KEPT: Final = 64
"""Most limits that are kept.  The last one is the best for the present; the others are for the past."""

_MILLION: Final = 1_000_000


def widened_ns(age_ns: int) -> int:
    """Return how far two clocks can drift apart in ``age_ns``, rounded up."""
    return -(-age_ns * DRIFT_PPM // _MILLION)


class Ceiling:
    """What the offset is at most.  Instants are local, in nanoseconds.

    A limit that another one makes worthless at every instant is not kept.  So of two that are kept the later
    one says more about all instants after it, and the earlier one about all before: one or two have to be
    looked at.
    """

    def __init__(self) -> None:
        self._instants: list[int] = []
        self._limits_ns: list[int] = []

    def add(self, instant_ns: int, limit_ns: int) -> None:
        """Take a limit that was proven at an instant, in any order."""
        if (known_ns := self.at(instant_ns)) is not None and known_ns <= limit_ns:
            return
        last = bisect_left(self._instants, instant_ns)
        first, end = last, len(self._instants)
        while first > 0 and self._is_beaten(first - 1, instant_ns, limit_ns):
            first -= 1
        while last < end and self._is_beaten(last, instant_ns, limit_ns):
            last += 1
        self._instants[first:last] = [instant_ns]
        self._limits_ns[first:last] = [limit_ns]
        del self._instants[:-KEPT], self._limits_ns[:-KEPT]

    def at(self, instant_ns: int) -> int | None:
        """Return the limit at an instant; None if nothing is known."""
        instants, limits_ns = self._instants, self._limits_ns
        after = bisect_right(instants, instant_ns)
        earlier_ns = limits_ns[after - 1] + widened_ns(instant_ns - instants[after - 1]) if after else None
        if after == len(instants):
            return earlier_ns
        later_ns = limits_ns[after] + widened_ns(instants[after] - instant_ns)
        return later_ns if earlier_ns is None else min(earlier_ns, later_ns)

    def clear(self) -> None:
        """Forget all."""
        self._instants.clear()
        self._limits_ns.clear()

    def __len__(self) -> int:
        return len(self._instants)

    def _is_beaten(self, index: int, instant_ns: int, limit_ns: int) -> bool:
        apart_ns = abs(self._instants[index] - instant_ns)
        return limit_ns + widened_ns(apart_ns) <= self._limits_ns[index]
