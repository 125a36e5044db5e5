"""Records as single lines with their instants, for what puts lines in order, folds or searches them.

`fabric.report.text` writes records as they come, many lines at once; here each line is a thing of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, PhaseStarted, Record, StepFinished, StepStarted
from fabric.report.events import node_of, step_of
from fabric.report.lines import LineCutter, Piece
from fabric.report.sentences import sentence_of
from fabric.report.streams import IDLE_NS, MORE
from fabric.report.style import Level, printable
from fabric.report.whose import Whose

BARE: Final = {StepStarted: "started", StepFinished: "finished"}
"""What stays of these sentences where lines are folded: pids and durations differ on every node."""


class Line(NamedTuple):
    """One line of the timeline; plain values only, for it may have to wait in a file.

    ``nodes`` is empty for the run itself, and has many where equal lines were folded.  ``stream`` is empty
    for a sentence about a record.  ``place`` is the phase that it belongs to, "" for none.
    """

    t_ns: int
    nodes: tuple[str, ...]
    step: str  # StepId, or ""
    attempt: int
    who: str  # role/label, with its phase if that is over; or ""
    place: str
    stream: str
    text: str
    level: Level
    is_loss: bool = False  # says that something is missing: never filtered away
    bound_ns: int = 0  # of the instant; -1: not known
    is_open: bool = False  # it may belong before a line of another node that stands above it


@dataclass(slots=True)
class _Stream:
    first: Output
    cutter: LineCutter = field(default_factory=LineCutter)
    t_ns: int = 0
    bound_ns: int = 0
    since_ns: int = 0


class Liner:
    """Makes lines of records, and says what is missing between them.

    ``now_ns`` is on one monotonic clock, the caller's: it says how long an unfinished line has waited.
    """

    def __init__(self, *, bare: bool = False) -> None:
        """With ``bare``, sentences leave out what differs from node to node though the same has happened."""
        self._bare = bare
        self._whose = Whose()
        self._streams: dict[tuple[str, str, int, str], _Stream] = {}
        self._newest_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        waiting = (stream.since_ns for stream in self._streams.values() if stream.cutter.pending)
        return min((since_ns + IDLE_NS for since_ns in waiting), default=None)

    def take(self, read: Read, now_ns: int) -> Iterator[Line]:
        """Yield the lines that are finished with this record."""
        record = read.record
        self._whose.note(record)
        if record.bound_ns >= 0:
            self._newest_ns = max(self._newest_ns, record.t_ns)
        if isinstance(record, Output):
            yield from self._output(read, record, now_ns)
            return
        if isinstance(record, OutputDropped):
            yield from self._loss(read.node, record)
            return
        said = sentence_of(record)
        if said is not None:
            text = _bare_text(record, said.text) if self._bare else said.text
            yield self._line(node_of(read), record, text, level=said.level)

    def expire(self, now_ns: int) -> Iterator[Line]:
        """Yield the unfinished lines that have waited for long.  Safe to call at any time."""
        for (node, *_), stream in self._streams.items():
            if stream.cutter.pending and now_ns - stream.since_ns >= IDLE_NS:
                yield from self._lines(node, stream, stream.cutter.flush(ends=False))

    def finish(self) -> Iterator[Line]:
        """Yield all unfinished lines: nothing more comes."""
        streams, self._streams = self._streams, {}
        for (node, *_), stream in streams.items():
            if stream.cutter.pending:
                yield from self._lines(node, stream, stream.cutter.flush(ends=True))

    # --- output -----------------------------------------------------------------------------------------

    def _output(self, read: Read, record: Output, now_ns: int) -> Iterator[Line]:
        key = (read.node, record.step, record.attempt, record.stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(record)
        if not stream.cutter.pending:
            stream.t_ns, stream.bound_ns, stream.since_ns = record.t_ns, record.bound_ns, now_ns
        for piece in stream.cutter.feed(bytes(read.data)):
            yield from self._lines(read.node, stream, piece)
            stream.t_ns, stream.bound_ns, stream.since_ns = record.t_ns, record.bound_ns, now_ns
        if not record.size:
            del self._streams[key]
            if stream.cutter.pending:
                yield from self._lines(read.node, stream, stream.cutter.flush(ends=True))

    def _loss(self, node: str, record: OutputDropped) -> Iterator[Line]:
        """Say what is missing, behind what came of the line before it."""
        stream = self._streams.get((node, record.step, record.attempt, record.stream))
        if stream is not None and stream.cutter.pending:
            yield from self._lines(node, stream, stream.cutter.flush(ends=False))
        said = sentence_of(record)
        assert said is not None, "what is missing is never passed over"
        yield self._line(node, record, said.text, level=said.level, is_loss=True)

    def _lines(self, node: str, stream: _Stream, piece: Piece) -> Iterator[Line]:
        data = piece.data.removesuffix(b"\r") if piece.ends else piece.data
        if not data and not piece.begins:
            return
        text = data.replace(b"\r\n", b"\n").decode("utf-8", "replace")
        text = ("" if piece.begins else MORE) + text + ("" if piece.ends else MORE)
        when = (stream.t_ns, stream.bound_ns)
        first = self._line(node, stream.first, "", stream=stream.first.stream, when=when)
        t_ns, nodes, step, attempt, who, place, name, _, level, is_loss, bound_ns, _ = first
        for one in text.split("\n"):  # there may be thousands, which differ in nothing else
            yield Line(t_ns, nodes, step, attempt, who, place, name, one, level, is_loss, bound_ns)

    # --- one line ---------------------------------------------------------------------------------------

    def _line(
        self,
        node: str,
        record: Record,
        text: str,
        *,
        level: Level = "plain",
        stream: str = "",
        when: tuple[int, int] | None = None,
        is_loss: bool = False,
    ) -> Line:
        step = step_of(record)
        t_ns, bound_ns = when or (record.t_ns, record.bound_ns)
        if bound_ns < 0 and self._newest_ns:
            t_ns = self._newest_ns  # its own may be that of a clock that is hours off
        return Line(
            t_ns=t_ns or self._newest_ns,
            nodes=(node,) if node else (),
            step=str(step) if step else "",
            attempt=getattr(record, "attempt", 0),
            who=self._whose.name(step) if step else "",
            place=step.phase_id if step else str(getattr(record, "phase", "")),
            stream=stream,
            text=text,
            level=level,
            is_loss=is_loss,
            bound_ns=bound_ns,
        )


def _bare_text(record: Record, text: str) -> str:
    if isinstance(record, StepStarted):
        return BARE[StepStarted]
    if isinstance(record, StepFinished) and not record.failed and record.exit_code is not None:
        return f"{BARE[StepFinished]}: exit {record.exit_code}"
    return text


def plain_text(line: Line) -> str:
    """Return what a search looks at and what equal lines share: no colours, no control characters."""
    return printable(line.text)


def phase_start(record: Record) -> tuple[str, int] | None:
    """Return the phase that a record starts and its t0, None for every other record."""
    return (record.phase, record.t0_ns) if isinstance(record, PhaseStarted) else None
