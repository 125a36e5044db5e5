"""A stream of bytes cut into lines, with bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LINE_LIMIT_BYTES: Final = 64 * 1024
"""A longer line comes in pieces of this size: no program can fill the memory with one line."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line, several whole lines, or a part of one."""

    data: bytes
    """Without the last newline.  Between whole lines theirs are in it."""

    begins: bool
    """It is the beginning of its line."""

    ends: bool
    """It is the end of its line."""


class LineCutter:
    """Puts chunks together and cuts them at their newlines."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False  # a piece of the line was given out

    @property
    def pending(self) -> bool:
        """Whether there is something that no newline ended yet."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the lines that end in this chunk, and the pieces of one that is too long.

        Whole lines come together as far as the limit goes: a program prints a million of them in a second.
        """
        start = 0
        while start < len(data):
            room = LINE_LIMIT_BYTES - len(self._rest)
            find = data.find if self._rest or self._begun else data.rfind
            newline = find(b"\n", start, start + room + 1)
            if newline < 0 and len(data) - start <= room:
                self._rest += data[start:]
                return
            stop = newline if newline >= 0 else start + room
            yield self._cut(data[start:stop], ends=newline >= 0)
            start = stop + 1 if newline >= 0 else stop

    def flush(self, *, ends: bool) -> Piece:
        """Give out what is pending, at the stream's end or because it waited for long."""
        return self._cut(b"", ends=ends)

    def _cut(self, data: bytes, *, ends: bool) -> Piece:
        piece = Piece(bytes(self._rest) + data, begins=not self._begun, ends=ends)
        self._rest.clear()
        self._begun = not ends
        return piece
