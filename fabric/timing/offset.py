"""What the local clock says about fabric time, and how far off that may be.

RFC 5905 section 8: an exchange has the instants T1 (sent), T2 (received), T3 (answered) and T4 (received).
T1 and T4 are local, T2 and T3 are fabric time.  The true offset lies in ((T2 - T4) + (T3 - T1) over two
each) plus or minus half the round trip, whatever the two directions took.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

DRIFT_PPM: Final = 100
"""Greatest rate difference of two clocks that is believed: quartz is within 50 ppm, NTP slews by up to 500
but CLOCK_MONOTONIC of two healthy machines stays well below this over the seconds between two probes."""

EXCHANGES: Final = 32
"""How many exchanges are kept: four bursts."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question for the time and its answer; nanoseconds."""

    t1_ns: int
    t2_ns: int
    t3_ns: int
    t4_ns: int

    @property
    def rtt_ns(self) -> int:
        """Time on the way, without the time at the broker."""
        return (self.t4_ns - self.t1_ns) - (self.t3_ns - self.t2_ns)

    @property
    def offset_ns(self) -> int:
        """Fabric minus local."""
        return ((self.t2_ns - self.t1_ns) + (self.t3_ns - self.t4_ns)) // 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """Fabric time is local time plus ``offset_ns``, give or take ``bound_ns``."""

    offset_ns: int
    bound_ns: int
    rtt_ns: int


class OffsetFilter:
    """Keeps the exchanges of one broker epoch and believes the one that bounds the offset best now."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES)

    def add(self, epoch: int, exchange: Exchange) -> None:
        """Take an exchange.  One of another epoch forgets all before; an impossible one is ignored."""
        if exchange.rtt_ns < 0 or exchange.t4_ns < exchange.t1_ns:
            return
        if epoch != self._epoch:
            self._epoch = epoch
            self._exchanges.clear()
        self._exchanges.append(exchange)

    def fresh(self, since_ns: int) -> int:
        """Return how many exchanges were answered at or after the local instant ``since_ns``."""
        return sum(exchange.t4_ns >= since_ns for exchange in self._exchanges)

    def estimate(self, now_ns: int) -> Estimate | None:
        """Return the best estimate at the local instant ``now_ns``, or None before the first exchange."""
        if not self._exchanges:
            return None
        best = min(self._exchanges, key=lambda exchange: _bound_ns(exchange, now_ns))
        return Estimate(best.offset_ns, _bound_ns(best, now_ns), best.rtt_ns)


def _bound_ns(exchange: Exchange, now_ns: int) -> int:
    age_ns = max(0, now_ns - exchange.t4_ns)
    return exchange.rtt_ns // 2 + 1 + age_ns * DRIFT_PPM // 1_000_000
