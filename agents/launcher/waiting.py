"""Waiting for an instant: asleep nearly to its end, then awake."""

from __future__ import annotations

import time

from agents.launcher import libc

EARLY_NS = 3_000_000
"""The loop stops polling so long before an instant: epoll counts whole milliseconds and rounds up."""

LEAST_SPIN_NS, MOST_SPIN_NS = 30_000, 500_000
"""A sleep ends 5 to 100 us late on a quiet machine.  What is later than the most is no matter of the timer:
somebody else had the processor, and who spins longer only takes it from others."""

_FORGET = 8  # a late wake-up counts for so many waits, less each time


class Waiter:
    """Waits for instants of CLOCK_MONOTONIC, and learns how late its sleeps end."""

    def __init__(self, *, spins: bool) -> None:
        self._spins = spins
        self._late_ns = MOST_SPIN_NS // 4  # until there is a measurement

    @property
    def spin_ns(self) -> int:
        """How long it is awake before the instant."""
        return min(max(LEAST_SPIN_NS, 2 * self._late_ns), MOST_SPIN_NS) if self._spins else 0

    def wait_until(self, t_ns: int) -> int:
        """Return the present instant, which is ``t_ns`` or a later one, never an earlier."""
        wake_ns = t_ns - self.spin_ns
        now = time.monotonic_ns
        now_ns = now()
        if now_ns < wake_ns:
            while now_ns < wake_ns:  # a signal ends a sleep
                libc.sleep_until(wake_ns)
                now_ns = now()
            self.learn(now_ns - wake_ns)
        while now_ns < t_ns:
            now_ns = now()
        return now_ns

    def learn(self, late_ns: int) -> None:
        """Take in how late a sleep has ended."""
        if late_ns <= MOST_SPIN_NS:
            self._late_ns = max(late_ns, self._late_ns - self._late_ns // _FORGET)
