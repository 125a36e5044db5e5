"""PURE.  What to do while a node's disk is full."""

from typing import Final, Literal

WARN_S: Final = 1.0
"""A disk that is full for a moment, until the next acknowledgement, is no news."""

S: Final = 1_000_000_000

Action = Literal["", "warn", "give up", "relax"]


class DiskWatch:
    """Says when a full disk is news, and when waiting for it has no sense.  Instants are local nanoseconds.

    Output that waits for acknowledgements is as it should be, however long the broker is away.  Without
    anything that could be acknowledged the disk is full of other things, and only a person makes room.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_ns = round(limit_s * S)
        self._full_ns: int | None = None  # since when
        self._stuck_ns: int | None = None  # since when, and nothing that could be acknowledged
        self._told = False

    @property
    def is_on(self) -> bool:
        """Whether the disk was full when it was looked at last."""
        return self._full_ns is not None

    def look(self, *, full: bool, stuck: bool, now_ns: int) -> Action:
        """Return what to do now.

        Args:
            full: The disk could not take the output that came last.
            stuck: Acknowledgements will not make room.
            now_ns: This instant.

        Returns:
            ``warn`` once, when it has been full for a while; ``relax`` once when it is not any more;
            ``give up`` again and again when it has been full, and stuck, for too long.
        """
        if not full:
            told, self._told = self._told, False
            self._full_ns = self._stuck_ns = None
            return "relax" if told else ""
        self._full_ns = now_ns if self._full_ns is None else self._full_ns
        if not stuck:
            self._stuck_ns = None
        elif self._stuck_ns is None:
            self._stuck_ns = now_ns
        if not self._told and now_ns - self._full_ns >= WARN_S * S:
            self._told = True
            return "warn"
        is_over = self._stuck_ns is not None and now_ns - self._stuck_ns >= self._limit_ns
        return "give up" if is_over else ""
