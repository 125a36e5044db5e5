"""PURE.  What a local clock says about fabric time, and how far off that may be.

RFC 5905 section 8: an exchange has the instants T1 (sent), T2 (received), T3 (answered) and T4 (received). T1
and T4 are local, T2 and T3 are fabric time.  What was sent at T1 came later, so at T1 the offset was T2 - T1
at most; what came at T4 was sent before, so at T4 it was T3 - T4 at least.  However long the two directions
took, nothing else is concluded.  From all exchanges together follows an interval for any instant: what each
of them allows there, widened by the drift since or until then, and all of them at once (Marzullo and Owicki,
1983).
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from fabric.timing.envelope import Ceiling, widened_ns

RECENT: Final = 16
"""So many exchanges say what a round trip is at present: two bursts, or a minute without one."""


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
    def most_ns(self) -> int:
        """The offset at T1 is not more: clocks are read in whole nanoseconds, rounded down."""
        return self.t2_ns - self.t1_ns + 1

    @property
    def least_ns(self) -> int:
        """The offset at T4 is not less."""
        return self.t3_ns - self.t4_ns - 1

    @property
    def is_possible(self) -> bool:
        """Whether an honest peer can have answered so, and no clock was set back meanwhile."""
        if self.t4_ns < self.t1_ns or self.t3_ns < self.t2_ns:
            return False
        return self.least_ns <= self.most_ns + widened_ns(self.t4_ns - self.t1_ns)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Fabric time is local time plus ``offset_ns``, give or take ``bound_ns`` (-1: nobody knows)."""

    offset_ns: int
    bound_ns: int
    rtt_ns: int  # the smallest one of late
    slow_rtt_ns: int = 0  # ... and the longest but one: whatever comes once may be chance

    def at(self, local_ns: int) -> "Estimate":
        """Return itself: a clock of which the same is known at every instant."""
        return self


class Known(Protocol):
    """What is known of fabric time at any local instant: a `FabricOffset`, or an `Estimate` for ever."""

    def at(self, local_ns: int) -> Estimate | None:
        """Return what is known of an instant, None if nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Contradiction:
    """No offset fits all exchanges: a clock was set, or stood still, or drifts by more than is believed."""

    gap_ns: int  # between what the last exchange allows and what those before it do
    local_ns: int  # when it was seen


class FabricOffset:
    """Fabric time minus local time at any local instant, as far as one life of the broker has proven it.

    More evidence never makes an interval wider.  Evidence that contradicts what is known replaces it: nothing
    is averaged.  Of instants before such a contradiction no bound is known afterwards.
    """

    def __init__(self) -> None:
        self.epoch: int | None = None  # that all of this is about
        self.contradictions = 0
        self.last: Exchange | None = None
        self._most = Ceiling()
        self._least = Ceiling()  # of the offset's negative
        self._rtts_ns: deque[int] = deque(maxlen=RECENT)
        self._slow_rtt_ns = 0
        self._since_ns: int | None = None

    def add(self, epoch: int, exchange: Exchange) -> Contradiction | None:
        """Take an exchange; say so if it contradicts those before it.

        One of another epoch forgets all before, for another life of the broker counts another time.  An
        impossible one is ignored.
        """
        if not exchange.is_possible:
            return None
        if epoch != self.epoch:
            self.epoch, self._since_ns = epoch, None
            self._forget()
        gap_ns = self._gap_ns(exchange)
        if gap_ns > 0:
            self._forget()
            self._since_ns = exchange.t1_ns
            self.contradictions += 1
        self.last = exchange
        self._most.add(exchange.t1_ns, exchange.most_ns)
        self._least.add(exchange.t4_ns, -exchange.least_ns)
        self._rtts_ns.append(max(0, exchange.rtt_ns))
        self._slow_rtt_ns = sorted(self._rtts_ns)[-2:][0]
        return Contradiction(gap_ns, exchange.t4_ns) if gap_ns > 0 else None

    def at(self, local_ns: int) -> Estimate | None:
        """Return what is known of a local instant, past or to come; None before the first exchange."""
        most_ns, negative_ns = self._most.at(local_ns), self._least.at(local_ns)
        if most_ns is None or negative_ns is None:
            return None
        offset_ns = (most_ns - negative_ns) // 2
        bound_ns = most_ns - offset_ns
        if self._since_ns is not None and local_ns < self._since_ns:
            bound_ns = -1
        return Estimate(offset_ns, bound_ns, min(self._rtts_ns), self._slow_rtt_ns)

    def _gap_ns(self, exchange: Exchange) -> int:
        """Return by how much an exchange is at odds with what is known; 0 or less if it is not."""
        most_ns, negative_ns = self._most.at(exchange.t4_ns), self._least.at(exchange.t1_ns)
        if most_ns is None or negative_ns is None:
            return 0
        return max(exchange.least_ns - most_ns, -negative_ns - exchange.most_ns)

    def _forget(self) -> None:
        self._most.clear()
        self._least.clear()
        self._rtts_ns.clear()
        self.last = None
