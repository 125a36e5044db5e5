"""PURE.  Which parts of a file to ask for: a window, in order, again after a while."""

from typing import Final

from agents.files.limits import ASK_AGAIN_S, PART_BYTES, WINDOW_PARTS

_AGAIN_NS: Final = round(ASK_AGAIN_S * 1e9)


class Pull:
    """The way of one file.  Instants are nanoseconds of the local monotonic clock.

    A part that does not follow what is there is not kept: the link keeps the order, so after a loss
    everything from there on is asked for again.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = 0
        self._asked = 0
        self._again_ns: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are there."""
        return self.received >= self.size

    @property
    def deadline_ns(self) -> int | None:
        """When `asks` has something to say again."""
        return None if self.is_complete else self._again_ns

    def asks(self, now_ns: int) -> list[tuple[int, int]]:
        """Return offset and size of the parts to ask for now."""
        if self._again_ns is not None and now_ns >= self._again_ns:
            self._asked = self.received
        parts = []
        while self._asked < min(self.size, self.received + WINDOW_PARTS * PART_BYTES):
            size = min(PART_BYTES, self.size - self._asked)
            parts.append((self._asked, size))
            self._asked += size
        if parts:
            self._again_ns = now_ns + _AGAIN_NS
        return parts

    def take(self, offset: int, size: int, now_ns: int) -> bool:
        """Take note of a part that came.  Returns whether it is the next one."""
        if offset != self.received or size != min(PART_BYTES, self.size - offset) or not size:
            return False
        self.received += size
        self._asked = max(self._asked, self.received)
        self._again_ns = now_ns + _AGAIN_NS
        return True
