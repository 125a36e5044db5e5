"""Clocks.  Machines never read one: shells do, once each turn, and hand the instant in."""

import time
from typing import Protocol


class Clock(Protocol):
    """Something that says what time it is."""

    def now_ns(self) -> int:
        """Return nanoseconds that never go back."""
        ...


def wall_ns() -> int:
    """Return what people and daemons have set this machine's clock to: nothing may go by it alone."""
    return time.time_ns()


class MonotonicClock:
    """CLOCK_MONOTONIC of this machine: the clock of agents and controllers."""

    def now_ns(self) -> int:
        """Return nanoseconds since some instant that is fixed while the machine is up."""
        return time.monotonic_ns()


class FabricClock:
    """Fabric time: the wall clock when this was made, plus the monotonic clock since.

    Only the broker has one.  Setting the machine's wall clock later changes nothing here, so fabric
    time never steps while a broker lives; which life it is, the epoch says.
    """

    def __init__(self, offset_ns: int | None = None) -> None:
        """Begin, or count on: ``offset_ns`` is fabric time minus the monotonic clock."""
        self._offset_ns = time.time_ns() - time.monotonic_ns() if offset_ns is None else offset_ns

    def now_ns(self) -> int:
        """Return nanoseconds since the Unix epoch, as the broker counts them."""
        return self._offset_ns + time.monotonic_ns()
