"""PURE.  How fast a run is read: as fast as it can be shown, and after Ctrl-C without what is left.

Instants are nanoseconds of the controller's monotonic clock.
"""

from typing import Final, Literal

HURRY_NS: Final = 1_000_000_000
"""So long after Ctrl-C it may be behind; then what is still to be read is let be."""

Wish = Literal["read", "pause", "hurry"]


class Pace:
    """Says what the reader of a run is to do."""

    def __init__(self) -> None:
        self.was_interrupted = False
        """Ctrl-C came."""
        self._current_ns = 0  # when nothing was left to read or to show, or when Ctrl-C came
        self.hurried = False
        """It has let be what was left."""

    @property
    def deadline_ns(self) -> int | None:
        """When to call `decide` though nothing has come."""
        is_due = self.was_interrupted and not self.hurried
        return self._current_ns + HURRY_NS if is_due else None

    def interrupted(self, now_ns: int) -> None:
        """Take in that Ctrl-C came."""
        if not self.was_interrupted:
            self.was_interrupted = True
            self._current_ns = now_ns

    def decide(self, now_ns: int, *, has_room: bool, is_current: bool) -> Wish:
        """Return what is to be done now.

        Args:
            now_ns: This instant.
            has_room: More can be shown.
            is_current: Nothing is left to read or to show.
        """
        if self.hurried:
            return "read"  # and nothing of it is shown
        if self.was_interrupted:
            if is_current:
                self._current_ns = now_ns
            elif now_ns - self._current_ns >= HURRY_NS:
                self.hurried = True
                return "hurry"
        return "read" if has_room else "pause"
