"""Records as lines for a terminal: ``[ 12.345] lab3 db/etcd │ text``.

Output is put together to whole lines per stream, so that the lines of two programs never mix.
"""

from collections.abc import Iterable
from typing import Final

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, Record
from fabric.report.events import node_of, step_of
from fabric.report.idle import IdlePhases
from fabric.report.sentences import Said, sentence_of
from fabric.report.streams import IDLE_NS, OutputText
from fabric.report.style import Palette, printable
from fabric.report.whose import Whose

SEPARATORS: Final = {"stdout": "│", "stderr": "!"}
"""Without colours, too, the two streams look different."""

_WIDTH: Final = 32
"""Names up to this width are padded, so that the text stands in a column."""


class TextRenderer:
    """Makes lines of records.

    ``now_ns`` is on one monotonic clock, the caller's: it says how long an unfinished line has waited.
    """

    def __init__(self, *, origin_ns: int | None = None, color: bool = False) -> None:
        """Count times from ``origin_ns`` in fabric time, or from the first record that comes."""
        self._origin_ns = origin_ns
        self._palette = Palette(color=color)
        self._output = OutputText(self._head, color=color)
        self._idle = IdlePhases()
        self._whose = Whose()
        self._width = 0

    @property
    def origin_ns(self) -> int:
        """The instant from which times count, in fabric time; 0 before the first record."""
        return self._origin_ns or 0

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        idle_ns = self._idle.since_ns
        times = [self._output.deadline_ns, None if idle_ns is None else idle_ns + IDLE_NS]
        return min((time for time in times if time is not None), default=None)

    def render(self, read: Read, now_ns: int) -> list[str]:
        """Return the lines that are finished with this record; a text may hold several."""
        record = read.record
        self._whose.note(record)
        if self._origin_ns is None:
            self._origin_ns = record.t_ns
        if isinstance(record, Output):
            lines = [one.text for one in self._output.take(read, record, now_ns)]
            return self._phases(self._idle.flush()) + lines if lines else lines
        if self._idle.hold(record, now_ns):
            return []
        said = sentence_of(record)
        if said is None:
            return []
        before = self._phases(self._idle.flush())
        if isinstance(record, OutputDropped):
            before += [one.text for one in self._output.cut_short(read.node, record)]
        return [*before, self._sentence(record.t_ns, said, node_of(read), record)]

    def expire(self, now_ns: int) -> list[str]:
        """Return the unfinished lines that have waited for long.  Safe to call at any time."""
        idle_ns = self._idle.since_ns
        is_long = idle_ns is not None and now_ns - idle_ns >= IDLE_NS
        return (self._phases(self._idle.flush()) if is_long else []) + [
            one.text for one in self._output.expire(now_ns)
        ]

    def finish(self) -> list[str]:
        """Return all unfinished lines: nothing more comes."""
        return self._phases(self._idle.flush()) + [one.text for one in self._output.finish()]

    def _phases(self, held: Iterable[tuple[int, Said]]) -> list[str]:
        return [self._sentence(t_ns, said) for t_ns, said in held]

    def _sentence(self, t_ns: int, said: Said, node: str = "", record: Record | None = None) -> str:
        who = self._who(node, record) + " " if node and record is not None else ""
        return f"{self._time(t_ns)} {who}{self._palette.level(said.level, printable(said.text))}"

    def _head(self, node: str, record: Output, t_ns: int) -> str:
        separator = SEPARATORS[record.stream]
        if record.stream == "stderr":
            separator = self._palette.level("error", separator)
        return f"{self._time(t_ns)} {self._who(node, record)} {separator}"

    def _who(self, node: str, record: Record) -> str:
        step = step_of(record)
        name = f"{node} {self._whose.name(step)}" if step is not None else node
        self._width = max(self._width, min(len(name), _WIDTH))
        return self._palette.node(node, name.ljust(self._width))

    def _time(self, t_ns: int) -> str:
        seconds = (t_ns - (self._origin_ns or 0)) / 1e9
        return self._palette.faint(f"[{seconds:7.3f}]")
