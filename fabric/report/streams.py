"""PURE.  Output as text: whole lines, a head before each, so that the lines of two programs never mix."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, Stream
from fabric.report.lines import LineCutter, Piece
from fabric.report.style import is_plain, printable

IDLE_NS: Final = 300_000_000
"""A line that is not finished after so long is shown as it is: it may be a prompt or a progress bar."""

MORE: Final = "…"
"""Stands behind a piece whose line goes on, and before the piece that goes on with it."""

Head = Callable[[str, Output, int], str]
"""Takes the node, the first record of the stream and the instant of a line; returns what stands before it."""

_Key = tuple[str, str, int, str]
"""Node, step, attempt, stream."""


class Text(NamedTuple):
    """Lines of one stream, without the last newline; there may be thousands in one text."""

    stream: Stream
    text: str


@dataclass(slots=True)
class _Stream:
    """A stream whose end was not read yet."""

    node: str
    first: Output
    cutter: LineCutter = field(default_factory=LineCutter)
    t_ns: int = 0  # fabric time of what is pending
    since_ns: int = 0  # when that came, on the caller's clock


class OutputText:
    """Puts chunks of output together to lines.

    ``now_ns`` is on one monotonic clock, the caller's: it says how long an unfinished line has waited.
    """

    def __init__(self, head: Head, *, color: bool) -> None:
        """Write ``head`` before each line; keep the program's own colours with ``color``."""
        self._head = head
        self._color = color
        self._streams: dict[_Key, _Stream] = {}
        self._waiting: dict[_Key, _Stream] = {}  # with an unfinished line: few, of perhaps thousands

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        waiting = [stream.since_ns for stream in self._waiting.values()]
        return min(waiting) + IDLE_NS if waiting else None

    def take(self, read: Read, record: Output, now_ns: int) -> list[Text]:
        """Return the lines that are finished with this record."""
        key = (read.node, record.step, record.attempt, record.stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(read.node, record)
        if not stream.cutter.pending:
            stream.t_ns, stream.since_ns = record.t_ns, now_ns
        found: list[Text] = []
        for piece in stream.cutter.feed(bytes(read.data)):
            found += self._lines(stream, piece)
            stream.t_ns, stream.since_ns = record.t_ns, now_ns
        if not record.size:
            del self._streams[key]
            if stream.cutter.pending:
                found += self._lines(stream, stream.cutter.flush(ends=True))
        if stream.cutter.pending:
            self._waiting[key] = stream
        else:
            self._waiting.pop(key, None)
        return found

    def cut_short(self, node: str, record: OutputDropped) -> list[Text]:
        """Return what came of a line of which the rest is missing: the next bytes belong to another one."""
        stream = self._streams.get((node, record.step, record.attempt, record.stream))
        if stream is None or not stream.cutter.pending:
            return []
        return list(self._lines(stream, stream.cutter.flush(ends=False)))

    def expire(self, now_ns: int) -> list[Text]:
        """Return the unfinished lines that have waited for long.  Safe to call at any time."""
        long = [key for key, stream in self._waiting.items() if now_ns - stream.since_ns >= IDLE_NS]
        return [
            text
            for key in long
            for stream in [self._waiting.pop(key)]
            for text in self._lines(stream, stream.cutter.flush(ends=False))
        ]

    def finish(self) -> list[Text]:
        """Return all unfinished lines: nothing more comes."""
        streams, self._streams, self._waiting = self._waiting, {}, {}
        return [
            text
            for stream in streams.values()
            for text in self._lines(stream, stream.cutter.flush(ends=True))
        ]

    def _lines(self, stream: _Stream, piece: Piece) -> Iterator[Text]:
        """Yield the piece, a head before each line; nothing if it is but the late newline of a shown one."""
        data = piece.data.removesuffix(b"\r") if piece.ends else piece.data
        if not data and not piece.begins:
            return
        name = stream.first.stream
        head = self._head(stream.node, stream.first, stream.t_ns)
        if data and piece.begins and piece.ends and is_plain(data):
            head += " "  # many lines at the cost of one: a program may print a gigabyte of them
            yield Text(name, head + data.replace(b"\n", f"\n{head}".encode()).decode())
            return
        text = ("" if piece.begins else MORE) + self._shown(data) + ("" if piece.ends else MORE)
        yield Text(name, "\n".join([f"{head} {line}" if line else head for line in text.split("\n")]))

    def _shown(self, data: bytes) -> str:
        """Return the lines of a piece as they can be shown."""
        text = data.replace(b"\r\n", b"\n").decode("utf-8", "replace")
        if text.replace("\n", "").isprintable():  # seen for all lines at once
            return text
        return "\n".join([printable(line, color=self._color) for line in text.split("\n")])
