"""PURE.  The broker is away: when to look why, and when to tell it.

Instants are nanoseconds of the local monotonic clock.
"""

from typing import Final, Literal

from agents.step_run import NANOSECONDS

FIRST_NS: Final = 3 * NANOSECONDS
"""Before the first look: a broker that only starts again is back by then."""

LOOK_NS: Final = 2 * NANOSECONDS
"""A look that takes longer is told without what it finds: a name server may be away, too."""

AGAIN_NS: Final = (60 * NANOSECONDS, 3600 * NANOSECONDS)
"""From one line to the next: at first, and at most; doubled each time.  A lab may be off for a weekend."""

Do = Literal["", "look", "tell"]


class Absence:
    """Counts from the start of the agent, and from each loss of the connection."""

    def __init__(self, now_ns: int) -> None:
        self._is_here = False
        self._tell_ns: int | None = None  # of a look that goes on
        self._look_ns, self._pause_ns = now_ns + FIRST_NS, AGAIN_NS[0]

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do; None while the broker is there."""
        if self._is_here:
            return None
        return self._look_ns if self._tell_ns is None else self._tell_ns

    def ended(self) -> None:
        """Note that the broker has let this node in."""
        self._is_here, self._tell_ns = True, None

    def began(self, now_ns: int) -> bool:
        """Note that there is no connection; return whether there was one, which is to be told."""
        was_here, self._is_here = self._is_here, False
        if was_here:
            self._look_ns, self._pause_ns = now_ns + FIRST_NS, AGAIN_NS[0]
        return was_here

    def refused(self, now_ns: int) -> None:
        """Note that the broker is there and says why it does not let this node in: that is told instead."""
        self._tell_ns, self._look_ns = None, now_ns + AGAIN_NS[0]

    def expire(self, now_ns: int) -> Do:
        """Return what is due.  Safe to call at any time."""
        due_ns = self.deadline_ns
        if due_ns is None or now_ns < due_ns:
            return ""
        if self._tell_ns is not None:
            return self.looked(now_ns)
        self._tell_ns = now_ns + LOOK_NS
        return "look"

    def looked(self, now_ns: int) -> Do:
        """Note that a look has found something; return whether it is to be told still."""
        if self._is_here or self._tell_ns is None:
            return ""
        self._tell_ns, self._look_ns = None, now_ns + self._pause_ns
        self._pause_ns = min(self._pause_ns * 2, AGAIN_NS[1])
        return "tell"
