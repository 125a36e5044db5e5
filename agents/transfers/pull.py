"""PURE.  Which parts of a file to ask for: a window, in order, again after a while."""

from typing import Final

from agents.transfers.limits import ASK_AGAIN_S, NO_ANSWER_S
from fabric.protocol.limits import FILE_PART_BYTES, FILE_PARTS

_AGAIN_NS: Final = round(ASK_AGAIN_S * 1e9)
_NO_ANSWER_NS: Final = round(NO_ANSWER_S * 1e9)


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
        self._heard_ns: int | None = None  # when it began to wait for the next part

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
        while self._asked < min(self.size, self.received + FILE_PARTS * FILE_PART_BYTES):
            size = min(FILE_PART_BYTES, self.size - self._asked)
            parts.append((self._asked, size))
            self._asked += size
        if self._heard_ns is None:
            self._heard_ns = now_ns
        if parts:
            self._again_ns = now_ns + _AGAIN_NS
        return parts

    def is_given_up(self, now_ns: int) -> bool:
        """Whether it has waited for too long."""
        return self._heard_ns is not None and now_ns - self._heard_ns >= _NO_ANSWER_NS

    def take(self, offset: int, size: int, now_ns: int) -> bool:
        """Take note of a part that came.  Returns whether it is the next one."""
        if offset != self.received or size != min(FILE_PART_BYTES, self.size - offset) or not size:
            return False
        self.received += size
        self._heard_ns = now_ns
        self._asked = max(self._asked, self.received)
        self._again_ns = now_ns + _AGAIN_NS
        return True
