"""PURE.  Lines of text in bytes that come in pieces."""

from collections.abc import Iterator
from typing import Final

from fabric.protocol.records import Stream

LINE_BYTES: Final = 8192
"""A longer line is taken apart: so much of it is kept at one time, whatever a program writes."""


class Lines:
    """Both streams of a program, each cut into its lines.  Bytes that are no UTF-8 are replaced."""

    def __init__(self) -> None:
        self.last = ""  # line that had something in it
        self._rests: dict[Stream, bytes] = {}

    def take(self, stream: Stream, data: bytes) -> Iterator[str]:
        """Yield the lines that ``data`` ends, then what has come so far of the one after them.

        So a prompt, which has no end of line, is seen as soon as a line is; one that goes on comes again.
        """
        *lines, rest = (self._rests.get(stream, b"") + data).split(b"\n")
        if len(rest) > LINE_BYTES:
            whole = len(rest) - len(rest) % LINE_BYTES
            lines += [rest[at : at + LINE_BYTES] for at in range(0, whole, LINE_BYTES)]
            rest = rest[whole:]
        self._rests[stream] = rest
        for line in (*lines, rest):
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text.strip():
                self.last = text.strip()[-LINE_BYTES:]
                yield text
