"""PURE.  How a peer of the broker knows the time: it asks, remembers what is proven, notices what cannot be.

Instants are nanoseconds of the local monotonic clock.
"""

from dataclasses import dataclass
from typing import Final

from fabric.timing.drift import DriftWatch
from fabric.timing.envelope import DRIFT_PPM
from fabric.timing.offset import Contradiction, Exchange, FabricOffset
from fabric.timing.probing import Due, Probing

TELL_NS: Final = 60_000_000_000
"""A clock that runs wrong contradicts itself every few seconds; people are told so often."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of an answer."""

    is_burst_over: bool
    contradiction: Contradiction | None  # that people are to be told


class Timekeeper:
    """Knows the time of one broker after another."""

    def __init__(self, now_ns: int) -> None:
        self.clock = FabricOffset()
        """What is known, perhaps of an earlier life of the broker: see its ``epoch``."""
        self.drift = DriftWatch()
        self._probing = Probing(now_ns)
        self._told_ns: int | None = None

    @property
    def deadline_ns(self) -> int:
        """When `expire` has something to do, if the broker can be asked."""
        return self._probing.deadline_ns

    def begin_burst(self, now_ns: int) -> None:
        """Ask until enough is known of the present; `expire` says when, also after each answer."""
        self._probing.begin_burst(now_ns)

    def stop(self) -> None:
        """Expect no answers any more: the connection is gone."""
        self._probing.stop()

    def expire(self, now_ns: int) -> Due:
        """Say whether to ask now, or whether a burst is over for want of answers."""
        if now_ns < self._probing.deadline_ns:
            return ""  # as nearly always: what is known need not be looked at
        return self._probing.expire(now_ns, self.clock.at(now_ns))

    def answered(self, epoch: int, exchange: Exchange) -> Learnt:
        """Take an answer of the broker's life ``epoch``, at the instant T4 of the exchange."""
        now_ns = exchange.t4_ns
        found = self.clock.add(epoch, exchange)
        if found is not None:
            self.drift.clear()
        if exchange.is_possible:
            self.drift.add(epoch, exchange)
        is_told = found is not None and (self._told_ns is None or now_ns - self._told_ns >= TELL_NS)
        if is_told:
            self._told_ns = now_ns
        is_over = self._probing.answered(exchange.t1_ns, self.clock.at(now_ns), now_ns)
        return Learnt(is_over, found if is_told else None)


def contradicted(who: str, found: Contradiction) -> str:
    """Say to people what a contradiction means."""
    return (
        f"the clocks of {who} and of the broker are {found.gap_ns / 1e6:.3f} ms off what was known and "
        f"a drift of {DRIFT_PPM} ppm can explain: one was set, stood still or runs wrong.  That knowledge is "
        f"dropped, and instants before now have no bound any more"
    )
