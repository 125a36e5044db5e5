"""PURE.  Lines of text in bytes that come in pieces."""

from typing import Final

from fabric.protocol.records import Stream

LINE_BYTES: Final = 8192
"""A longer line is taken apart: so much of it is kept at one time, whatever a program writes."""


class Lines:
    """Both streams of a program, each cut into its lines.  Bytes that are no UTF-8 are replaced."""

    def __init__(self) -> None:
        self.last = ""  # line that had something in it
        self._rests: dict[Stream, bytes] = {}

    def take(self, stream: Stream, data: bytes) -> list[str]:
        """Return the lines that ``data`` ends, and what has come so far of the next one; no empty ones.

        So a prompt, which has no end of line, is seen as soon as a line is; one that goes on comes again.
        All is decoded at once, for a program may write a million lines a second.
        """
        whole, _, rest = (self._rests.get(stream, b"") + data).rpartition(b"\n")
        found = whole.decode(errors="replace").split("\n")
        if len(rest) > LINE_BYTES:
            end = len(rest) - len(rest) % LINE_BYTES
            found += [_text(rest[at : at + LINE_BYTES]) for at in range(0, end, LINE_BYTES)]
            rest = rest[end:]
        self._rests[stream] = rest
        lines = [line.removesuffix("\r") for line in (*found, _text(rest)) if line.strip()]
        if lines:
            self.last = lines[-1].strip()[-LINE_BYTES:]
        return lines


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
