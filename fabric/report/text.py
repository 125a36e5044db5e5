"""Records as lines for a terminal: ``[ 12.345] lab3 db/etcd │ text``.

Output is put together to whole lines per stream, so that the lines of two programs never mix.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, Record
from fabric.report.events import node_of, step_of
from fabric.report.idle import IdlePhases
from fabric.report.lines import LineCutter, Piece
from fabric.report.sentences import Said, sentence_of
from fabric.report.style import Palette, is_plain, printable

IDLE_NS: Final = 300_000_000
"""A line that is not finished after so long is shown as it is: it may be a prompt or a progress bar."""

MORE: Final = "…"
"""Stands behind a piece whose line goes on, and before the piece that goes on with it."""

SEPARATORS: Final = {"stdout": "│", "stderr": "!"}
"""Without colours, too, the two streams look different."""

_WIDTH: Final = 32
"""Names up to this width are padded, so that the text stands in a column."""

_Key = tuple[str, str, int, str]
"""Node, step, attempt, stream."""


@dataclass(slots=True)
class _Stream:
    """A stream whose end was not read yet."""

    node: str
    first: Output
    cutter: LineCutter = field(default_factory=LineCutter)
    t_ns: int = 0  # fabric time of what is pending
    since_ns: int = 0  # when that came, on the caller's clock


class TextRenderer:
    """Makes lines of records.

    ``now_ns`` is on one monotonic clock, the caller's: it says how long an unfinished line has waited.
    """

    def __init__(self, *, origin_ns: int | None = None, color: bool = False) -> None:
        """Count times from ``origin_ns`` in fabric time, or from the first record that comes."""
        self._origin_ns = origin_ns
        self._palette = Palette(color=color)
        self._streams: dict[_Key, _Stream] = {}
        self._waiting: dict[_Key, _Stream] = {}  # with an unfinished line: few, of perhaps thousands
        self._idle = IdlePhases()
        self._width = 0

    @property
    def origin_ns(self) -> int:
        """The instant from which times count, in fabric time; 0 before the first record."""
        return self._origin_ns or 0

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        waiting = [stream.since_ns for stream in self._waiting.values()]
        if self._idle.since_ns is not None:
            waiting.append(self._idle.since_ns)
        return min(waiting) + IDLE_NS if waiting else None

    def render(self, read: Read, now_ns: int) -> list[str]:
        """Return the lines that are finished with this record; a text may hold several."""
        record = read.record
        if self._origin_ns is None:
            self._origin_ns = record.t_ns
        if isinstance(record, Output):
            lines = self._output(read, record, now_ns)
            return self._phases(self._idle.flush()) + lines if lines else lines
        if self._idle.hold(record, now_ns):
            return []
        said = sentence_of(record)
        if said is None:
            return []
        before = self._phases(self._idle.flush())
        if isinstance(record, OutputDropped):
            before += self._cut_short(read.node, record)
        return [*before, self._sentence(record.t_ns, said, node_of(read), record)]

    def _cut_short(self, node: str, record: OutputDropped) -> list[str]:
        """Return what came of a line of which the rest is missing: the next bytes belong to another one."""
        stream = self._streams.get((node, record.step, record.attempt, record.stream))
        if stream is None or not stream.cutter.pending:
            return []
        return self._lines(stream, stream.cutter.flush(ends=False))

    def expire(self, now_ns: int) -> list[str]:
        """Return the unfinished lines that have waited for long.  Safe to call at any time."""
        idle_ns = self._idle.since_ns
        is_long = idle_ns is not None and now_ns - idle_ns >= IDLE_NS
        return (self._phases(self._idle.flush()) if is_long else []) + [
            line
            for key in self._long_waiting(now_ns)
            for stream in [self._waiting.pop(key)]
            for line in self._lines(stream, stream.cutter.flush(ends=False))
        ]

    def finish(self) -> list[str]:
        """Return all unfinished lines: nothing more comes."""
        streams, self._streams, self._waiting = self._waiting, {}, {}
        return self._phases(self._idle.flush()) + [
            line
            for stream in streams.values()
            for line in self._lines(stream, stream.cutter.flush(ends=True))
        ]

    def _phases(self, held: Iterable[tuple[int, Said]]) -> list[str]:
        return [self._sentence(t_ns, said) for t_ns, said in held]

    def _sentence(self, t_ns: int, said: Said, node: str = "", record: Record | None = None) -> str:
        who = self._who(node, record) + " " if node and record is not None else ""
        return f"{self._time(t_ns)} {who}{self._palette.level(said.level, printable(said.text))}"

    def _output(self, read: Read, record: Output, now_ns: int) -> list[str]:
        key = (read.node, record.step, record.attempt, record.stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(read.node, record)
        if not stream.cutter.pending:
            stream.t_ns, stream.since_ns = record.t_ns, now_ns
        found: list[str] = []
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

    def _long_waiting(self, now_ns: int) -> list[_Key]:
        return [key for key, stream in self._waiting.items() if now_ns - stream.since_ns >= IDLE_NS]

    def _lines(self, stream: _Stream, piece: Piece) -> list[str]:
        """Return the piece, a head before each line; nothing if it is but the late newline of a shown one."""
        data = piece.data.removesuffix(b"\r") if piece.ends else piece.data
        if not data and not piece.begins:
            return []
        name = stream.first.stream
        separator = SEPARATORS[name]
        if name == "stderr":
            separator = self._palette.level("error", separator)
        head = f"{self._time(stream.t_ns)} {self._who(stream.node, stream.first)} {separator}"
        if data and piece.begins and piece.ends and is_plain(data):
            head += " "  # many lines at the cost of one: a program may print a gigabyte of them
            return [head + data.replace(b"\n", f"\n{head}".encode()).decode()]
        text = ("" if piece.begins else MORE) + self._shown(data) + ("" if piece.ends else MORE)
        return [f"{head} {line}" if line else head for line in text.split("\n")]

    def _shown(self, data: bytes) -> str:
        """Return the lines of a piece as they can be shown."""
        text = data.replace(b"\r\n", b"\n").decode("utf-8", "replace")
        return "\n".join(printable(line, color=self._palette.color) for line in text.split("\n"))

    def _who(self, node: str, record: Record) -> str:
        step = step_of(record)
        name = f"{node} {step.role}/{step.label}" if step is not None else node
        self._width = max(self._width, min(len(name), _WIDTH))
        return self._palette.node(node, name.ljust(self._width))

    def _time(self, t_ns: int) -> str:
        seconds = (t_ns - (self._origin_ns or 0)) / 1e9
        return self._palette.faint(f"[{seconds:7.3f}]")
