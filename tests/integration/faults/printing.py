"""A program that prints numbered lines and keeps a witness of what it has printed, and an audit of both.

The witness is a file that it writes after each write to its output: what is in it was written for certain, so
it has to be stored.  At most one write more may be.
"""

import struct
import zlib
from pathlib import Path
from typing import Final, Literal

Stream = Literal["stdout", "stderr"]

TURN_LINES: Final = 25
"""In one write.  With 72 bytes each, and two streams every 10 ms at most: 0.4 MB/s."""

PROGRAM: Final = f"""
import os, struct, sys, time, zlib

def line(stream, number):
    body = "%s %08d %s" % (stream, number, "." * 46)
    return "%s %08x\\n" % (body, zlib.crc32(body.encode()))

sign, least, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pause_s = float(sys.argv[4]) if len(sys.argv) > 4 else 0.01
started = os.open(sign + "-started", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(started, b"started\\n")
witness = os.open(sign + "-witness", os.O_WRONLY | os.O_CREAT, 0o600)
number = 0
while number < least or (mode == "on" and not os.path.exists(sign + "-stop")):
    upto = number + {TURN_LINES}
    for place, stream in enumerate(("stdout", "stderr")):
        text = "".join(line(stream, one) for one in range(number, upto)).encode()
        os.write(1 + place, text)
        os.pwrite(witness, struct.pack("=Q", upto), 8 * place)
    number = upto
    time.sleep(pause_s)
while mode == "wait" and not os.path.exists(sign + "-stop"):
    time.sleep(0.02)
os.pwrite(witness, b"finished", 16)
"""
"""Arguments: where its signs go, how many lines at least, what it does then: prints (``on``) until told to
stop, is silent (``wait``) until it is told to stop, or ends (``end``); and its pause after each write, in
seconds, if it is not 0.01."""


def line(stream: Stream, number: int) -> str:
    """Return what the program prints as one line."""
    body = f"{stream} {number:08d} {'.' * 46}"
    return f"{body} {zlib.crc32(body.encode()):08x}"


LINE_BYTES: Final = len(line("stdout", 0)) + 1


def started(sign: Path) -> int:
    """Return how often the program was started."""
    path = Path(f"{sign}-started")
    return len(path.read_text().splitlines()) if path.exists() else 0


class Witness:
    """What the program says that it has printed."""

    def __init__(self, sign: Path) -> None:
        path = Path(f"{sign}-witness")
        data = path.read_bytes() if path.exists() else b""
        self._counts = struct.unpack("=2Q", data[:16].ljust(16, b"\0"))
        self.is_finished = data[16:] == b"finished"

    def count(self, stream: Stream) -> int:
        """Return how many lines of a stream it has printed at least."""
        return self._counts[("stdout", "stderr").index(stream)]


class Audit:
    """What was wrong with a stream: how many lines are missing, how many came twice or are no such lines."""

    def __init__(self, stream: Stream, lines: list[str], witness: Witness, *, whole: bool = True) -> None:
        """Hold lines against what was printed.

        Args:
            stream: Which one.
            lines: That somebody has got; the last may be half a line if the program was killed.
            witness: Of the program.
            whole: All of it should have come; else it may end anywhere.
        """
        self.lost = 0
        self.doubled = 0
        self.strange = ""
        self._may_be_cut = not (whole and witness.is_finished)
        number = 0
        for place, text in enumerate(lines):
            if text == line(stream, number):
                number += 1
            elif not self._is_cut(place, lines, line(stream, number)):
                number = self._odd(stream, text, number)
        printed = witness.count(stream)
        if whole:
            self.lost += max(0, printed - number)
        most = printed if witness.is_finished else printed + TURN_LINES
        if number > most:
            self.strange = self.strange or f"{number} lines, but {printed} were printed"

    @property
    def problem(self) -> str:
        """What was wrong, in words; nothing if nothing was."""
        if not (self.lost or self.doubled or self.strange):
            return ""
        return f"{self.lost} lines lost, {self.doubled} doubled; {self.strange}"

    def _is_cut(self, place: int, lines: list[str], wanted: str) -> bool:
        """Say whether this is the last line, of a program that was killed while it wrote."""
        return self._may_be_cut and place == len(lines) - 1 and wanted.startswith(lines[place])

    def _odd(self, stream: Stream, text: str, number: int) -> int:
        """Take in a line that is not the next one; return which one is then."""
        self.strange = self.strange or f"{text[:100]!r} instead of {stream} line {number}"
        words = text.split()
        if (
            len(words) == 4
            and words[0] == stream
            and words[1].isdigit()
            and text == line(stream, int(words[1]))
        ):
            came = int(words[1])
            self.lost += max(0, came - number)
            self.doubled += came < number
            return max(number, came + 1)
        self.doubled += 1
        return number


class Pieces:
    """What a tail shows of a stream: pieces with an offset each, and the first of their bytes."""

    def __init__(self, stream: Stream) -> None:
        self.end = 0
        self.lost_bytes = 0
        self.doubled_bytes = 0
        self.strange = ""
        self._stream = stream

    def take(self, offset: int, size: int, text: str) -> None:
        """Take the next one; ``text`` are its first bytes, for all are ASCII."""
        self.lost_bytes += max(0, offset - self.end)
        self.doubled_bytes += max(0, min(self.end, offset + size) - offset)
        self.end = max(self.end, offset + size)
        first, last = offset // LINE_BYTES, (offset + len(text)) // LINE_BYTES
        wanted = "".join(f"{line(self._stream, number)}\n" for number in range(first, last + 1))
        start = offset - first * LINE_BYTES
        if text != wanted[start : start + len(text)]:
            self.strange = self.strange or f"at {offset}: {text[:100]!r}"

    def finish(self, witness: Witness, *, whole: bool) -> str:
        """Hold it against what was printed; return what was wrong, nothing if nothing was."""
        printed = witness.count(self._stream) * LINE_BYTES
        if whole:
            self.lost_bytes += max(0, printed - self.end)
        if self.end > printed + (0 if witness.is_finished else TURN_LINES * LINE_BYTES):
            self.strange = self.strange or f"{self.end} bytes, but {printed} were printed"
        if not (self.lost_bytes or self.doubled_bytes or self.strange):
            return ""
        return f"{self.lost_bytes} bytes lost, {self.doubled_bytes} doubled; {self.strange}"
