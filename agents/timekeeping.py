"""Fabric time on this node, for records, and what the broker is told of it."""

import time

from agents.kernel_clock import read_kernel_clock
from agents.session import Session
from fabric.clock import Clock
from fabric.protocol.messages import NodeClock
from fabric.protocol.numbers import MAX_INSTANT_NS, MAX_SPAN_NS, clamped
from fabric.timing.offset import Estimate, Exchange, Known


class Timekeeping:
    """Reads the node's clocks, and says what they mean by what the session knows.

    Args:
        session: That asks the broker for the time.
        clock: The local monotonic one.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    @property
    def epoch(self) -> int:
        """The present life of the broker, if something is known of its clock; else 0."""
        return self._session.epoch if self._session.knows_time else 0

    @property
    def known(self) -> Known:
        """What is known; the node's wall clock, of which nobody knows how wrong it is, before anything is."""
        if self._session.time.clock.epoch is not None:
            return self._session.time.clock
        return Estimate(_wall_ns() - self._clock.now_ns(), -1, 0)

    def exchange(self) -> tuple[int, ...]:
        """Return what a next life needs to know the time: the broker's epoch, and T1 to T4 of an exchange."""
        clock = self._session.time.clock
        if clock.epoch is None or clock.last is None:
            return ()
        last = clock.last
        return clock.epoch, last.t1_ns, last.t2_ns, last.t3_ns, last.t4_ns

    def remember(self, exchange: tuple[int, ...]) -> None:
        """Take what an earlier life has left; the local clock is the same as long as its launcher lives."""
        if len(exchange) == 5:  # noqa: PLR2004 - as `exchange` has it
            epoch, *instants = exchange
            self._session.time.clock.add(epoch, Exchange(*instants))

    def now(self) -> tuple[int, int]:
        """Return fabric time and its bound; bound -1 if none is known."""
        local_ns = self._clock.now_ns()
        known = self._session.time.clock.at(local_ns)
        if known is None:
            return _wall_ns(), -1
        return local_ns + known.offset_ns, known.bound_ns

    def told(self) -> NodeClock | None:
        """Return what the broker is told; None while nothing is known of its clock."""
        clock, local_ns, wall_ns = self._session.time.clock, self._clock.now_ns(), _wall_ns()
        known, drift = clock.at(local_ns), self._session.time.drift.seen
        if not self.epoch or known is None or clock.last is None:
            return None
        return NodeClock(
            epoch=self.epoch,
            told_ns=local_ns + known.offset_ns,
            asked_ns=clock.last.t4_ns + known.offset_ns,
            offset_ns=known.offset_ns,
            bound_ns=known.bound_ns,
            rtt_ns=known.rtt_ns,
            wall_ns=wall_ns - local_ns - known.offset_ns,
            contradictions=clock.contradictions,
            drift_ppb=drift.ppb if drift else None,
            drift_bound_ppb=drift.bound_ppb if drift else 0,
            kernel=read_kernel_clock(),
        )


def _wall_ns() -> int:
    """Return the wall clock, or the last instant that records can tell if it says something beyond."""
    return clamped(time.time_ns(), MAX_INSTANT_NS - MAX_SPAN_NS)
