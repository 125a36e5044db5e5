"""What ``fabric exec`` shows: the output of each node behind its name, and how the command ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fabric.controller.entry import Read
from fabric.controller.script import INTERRUPTED
from fabric.protocol.records import Notice, Output, OutputDropped, Record, StepFinished
from fabric.report.fold import folded, group
from fabric.report.folding import Folder
from fabric.report.ordering import AsTheyCome, Stage
from fabric.report.quantities import duration
from fabric.report.style import Palette, printable
from fabric.report.timeline import Line, Liner


class Shown(NamedTuple):
    """A line, and which of our own streams it belongs to."""

    text: str
    is_stderr: bool


class ExecView:
    """Makes lines of the records of one command.  ``now_ns`` is on one monotonic clock, the caller's."""

    def __init__(self, nodes: Sequence[str], *, fold: bool, color: bool) -> None:
        self._liner = Liner()
        self._fold: Stage = Folder(live=True) if fold else AsTheyCome()
        self._palette = Palette(color=color)
        self._width = 0 if fold else max(map(len, nodes), default=0)

    @property
    def deadline_ns(self) -> int | None:
        """When a line has waited long enough."""
        waits = (self._liner.deadline_ns, self._fold.deadline_ns)
        return min((at_ns for at_ns in waits if at_ns is not None), default=None)

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[Shown]:
        """Yield the lines to show now."""
        wanted = (read for read in reads if _is_shown(read.record))
        made = [line for read in wanted for line in self._liner.take(read, now_ns)]
        made += self._liner.expire(now_ns)
        yield from map(self._shown, self._fold.take(made, now_ns))

    def finish(self) -> Iterator[Shown]:
        """Yield what is left."""
        yield from map(self._shown, self._fold.take(self._liner.finish(), 0))
        yield from map(self._shown, self._fold.finish())

    def _shown(self, line: Line) -> Shown:
        palette = self._palette
        text = printable(line.text, color=palette.color)
        names = folded(line.nodes)
        count = f"  ({len(line.nodes)} nodes)" if len(line.nodes) > 1 else ""
        who = palette.node(names, f"{names}{count}:".ljust(self._width + 1)) + " " if names else ""
        if not line.stream:
            text = palette.level(line.level, text)
        return Shown(f"{who}{text}".rstrip(" "), is_stderr=line.stream != "stdout")


def endings(nodes: Sequence[str], ends: Mapping[str, StepFinished]) -> list[tuple[str, bool]]:
    """Return for each way in which the command ended a line, and whether it is a failure.

    ``lab[1-15]: exit 0, 0.2 s`` and ``lab16: exit 3, 1.1 s``; the duration is the longest of these nodes.
    """
    told = {node: ends.get(node) for node in nodes}
    lines = []
    for names, end in group(told, _way):
        longest_ns = max((each.duration_ns for each in map(ends.get, names) if each), default=0)
        seconds = f", {duration(longest_ns)}" if longest_ns else ""
        failed = end is None or end.failed
        lines.append((f"{folded(names)}: {printable(_way(end))}{seconds}", failed))
    return sorted(lines, key=lambda line: line[1])


def _is_shown(record: Record) -> bool:
    """Say whether it is output, or a word about it; what Ctrl-C does to phases is for trials."""
    if isinstance(record, Notice):
        return record.message not in INTERRUPTED.values() and not record.message.startswith("phase ")
    return isinstance(record, Output | OutputDropped)


def _way(end: StepFinished | None) -> str:
    if end is None:
        return "no result"
    if end.reason == "exited" and end.exit_code is not None:
        return f"exit {end.exit_code}"
    return end.message or end.reason.replace("_", " ")
