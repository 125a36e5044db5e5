"""What ``fabric exec`` shows: the output of each node behind its name, and how the command ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from fabric.controller.entry import Read
from fabric.controller.script import INTERRUPTED
from fabric.protocol.records import Notice, Output, OutputDropped, Record, StepFinished
from fabric.report.events import node_of
from fabric.report.fold import folded, group
from fabric.report.folding import Folder
from fabric.report.quantities import lasted
from fabric.report.sentences import sentence_of
from fabric.report.streams import OutputText
from fabric.report.style import Palette, printable
from fabric.report.timeline import Line, Liner


class Shown(NamedTuple):
    """Lines, without the last newline, and which of our own streams they belong to."""

    text: str
    is_stderr: bool


class ExecView(Protocol):
    """Makes lines of the records of one command.  ``now_ns`` is on one monotonic clock, the caller's."""

    @property
    def deadline_ns(self) -> int | None:
        """When a line has waited long enough."""

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[Shown]:
        """Yield what is to be shown now."""

    def finish(self) -> Iterator[Shown]:
        """Yield what is left."""


def exec_view(nodes: Sequence[str], *, fold: bool, color: bool) -> ExecView:
    """Return the view for these nodes; with ``fold`` equal lines of many stand there once."""
    return _Folded(color=color) if fold else _AsItComes(nodes, color=color)


class _AsItComes:
    """Many lines at once: a program may print a million of them in a second."""

    def __init__(self, nodes: Sequence[str], *, color: bool) -> None:
        self._output = OutputText(self._head, color=color)
        self._palette = Palette(color=color)
        self._width = max(map(len, nodes), default=0) + 1

    @property
    def deadline_ns(self) -> int | None:
        return self._output.deadline_ns

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[Shown]:
        for read in reads:
            record = read.record
            if isinstance(record, Output):
                found = self._output.take(read, record, now_ns)
            elif isinstance(record, OutputDropped):
                found = self._output.cut_short(read.node, record)
            else:
                found = []
            for one in found:
                yield Shown(one.text, one.stream != "stdout")
            if _is_word(record):
                yield from self._word(read)
        for one in self._output.expire(now_ns):
            yield Shown(one.text, one.stream != "stdout")

    def finish(self) -> Iterator[Shown]:
        for one in self._output.finish():
            yield Shown(one.text, one.stream != "stdout")

    def _word(self, read: Read) -> Iterator[Shown]:
        said = sentence_of(read.record)
        if said is None:
            return
        node = node_of(read)
        who = f"{self._name(node)} " if node else ""
        yield Shown(who + self._palette.level(said.level, printable(said.text)), is_stderr=True)

    def _head(self, node: str, _record: Output, _t_ns: int) -> str:
        return self._name(node)

    def _name(self, node: str) -> str:
        return self._palette.node(node, f"{node}:".ljust(self._width))


class _Folded:
    """Line by line: each waits for the same one of other nodes."""

    def __init__(self, *, color: bool) -> None:
        self._liner = Liner()
        self._fold = Folder(live=True)
        self._palette = Palette(color=color)
        self._head = lru_cache(maxsize=1024)(self._make_head)  # the same nodes say thousands of lines

    @property
    def deadline_ns(self) -> int | None:
        waits = (self._liner.deadline_ns, self._fold.deadline_ns)
        return min((at_ns for at_ns in waits if at_ns is not None), default=None)

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[Shown]:
        yield from map(self._shown, self._fold.take(self._made(reads, now_ns), now_ns))

    def finish(self) -> Iterator[Shown]:
        yield from map(self._shown, self._fold.take(self._liner.finish(), 0))
        yield from map(self._shown, self._fold.finish())

    def _made(self, reads: Iterable[Read], now_ns: int) -> Iterator[Line]:
        for read in reads:
            if isinstance(read.record, Output) or _is_word(read.record):
                yield from self._liner.take(read, now_ns)
        yield from self._liner.expire(now_ns)

    def _shown(self, line: Line) -> Shown:
        palette = self._palette
        text = printable(line.text, color=palette.color)
        if not line.stream:
            text = palette.level(line.level, text)
        return Shown(self._head(line.nodes) + text, line.stream != "stdout")

    def _make_head(self, nodes: tuple[str, ...]) -> str:
        names = folded(nodes)
        count = f"  ({len(nodes)} nodes)" if len(nodes) > 1 else ""
        return f"{self._palette.node(names, f'{names}{count}:')} " if names else ""


def endings(nodes: Sequence[str], ends: Mapping[str, StepFinished]) -> list[tuple[str, bool]]:
    """Return for each way in which the command ended a line, and whether it is a failure.

    ``lab[1-15]: exit 0, 0.2 s`` and ``lab16: exit 3, 1.1 s``; the duration is the longest of these nodes.
    """
    told = {node: ends.get(node) for node in nodes}
    lines = []
    for names, end in group(told, _way):
        longest = max((each for each in map(ends.get, names) if each), key=_duration_ns, default=None)
        known = longest is not None and longest.duration_ns
        seconds = f", {lasted(longest.duration_ns, longest.seen_late_ns)}" if longest and known else ""
        failed = end is None or end.failed
        lines.append((f"{folded(names)}: {printable(_way(end))}{seconds}", failed))
    return sorted(lines, key=lambda line: line[1])


def _duration_ns(end: StepFinished) -> int:
    return end.duration_ns


def _is_word(record: Record) -> bool:
    """Say whether it is a word about the output; what Ctrl-C does to phases is for trials."""
    if isinstance(record, Notice):
        return record.message not in INTERRUPTED.values() and not record.message.startswith("phase ")
    return isinstance(record, OutputDropped)


def _way(end: StepFinished | None) -> str:
    if end is None:
        return "no result"
    if end.reason == "exited" and end.exit_code is not None:
        return f"exit {end.exit_code}"
    return end.message or end.reason.replace("_", " ")
