"""The views of ``fabric-tail`` that put lines in order, search and fold them."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from fabric.controller.entry import Read
from fabric.report.events import event_line, event_of, is_event
from fabric.report.fold import folded
from fabric.report.folding import Folder
from fabric.report.ordering import AsTheyCome, MovingWindow, Stage, WholeOrder
from fabric.report.places import Places
from fabric.report.proof import Proven
from fabric.report.style import Palette, printable
from fabric.report.text import SEPARATORS
from fabric.report.timeline import Line, Liner, phase_start, plain_text

ClockName = Literal["run", "wall", "phase"]

OPEN: Final = "~"
"""Stands behind the time of a line whose place is not proven."""

_WIDTH: Final = 32
"""Names up to this width are padded, so that the text stands in a column."""


class Clock:
    """How an instant is shown: since the run's start, by this machine's time zone, since the phase's t0."""

    def __init__(self, name: ClockName, origin_ns: int | None) -> None:
        self._name = name
        self._origin_ns = origin_ns
        self._starts: dict[str, int] = {}
        self._latest = ("", 0)  # phase that began last

    def note(self, read: Read) -> None:
        """Take in when phases begin, and when the run did."""
        if self._origin_ns is None:
            self._origin_ns = read.record.t_ns
        found = phase_start(read.record)
        if found is not None:
            self.begun(*found)

    def begun(self, phase: str, t0_ns: int) -> None:
        """Take in when a phase began whose record may not be read."""
        self._starts[phase] = t0_ns

    def text(self, line: Line) -> str:
        """Return the instant of a line."""
        if self._name == "wall":
            local = datetime.fromtimestamp(line.t_ns / 1e9, UTC).astimezone()
            return f"[{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}]"
        if self._name == "phase":
            place, start_ns = self._phase(line)
            return f"[{place} {(line.t_ns - start_ns) / 1e9:+7.3f}]"
        return f"[{(line.t_ns - (self._origin_ns or 0)) / 1e9:7.3f}]"

    def _phase(self, line: Line) -> tuple[str, int]:
        """Return the line's own phase and its t0; without one, the phase that had begun last by then."""
        own_ns = self._starts.get(line.place)
        if own_ns is not None:
            return line.place, own_ns
        begun = ((start_ns, phase) for phase, start_ns in self._starts.items() if start_ns <= line.t_ns)
        start_ns, phase = max(begun, default=(self._origin_ns or 0, "start"))
        return phase, start_ns


class Writer:
    """Makes text of lines."""

    def __init__(self, clock: Clock, *, color: bool, fold: bool) -> None:
        self._clock = clock
        self._palette = Palette(color=color)
        self._fold = fold
        self._width = 0
        self._name = lru_cache(maxsize=1024)(self._make_name)  # the same nodes say thousands of lines

    def text(self, line: Line) -> str:
        """Return the line as it is shown."""
        palette = self._palette
        head = palette.faint(self._clock.text(line))
        gap = palette.level("warning", OPEN) if line.is_open else " "
        who = f"{self._who(line)} " if line.nodes else ""
        text = printable(line.text, color=palette.color)
        if not line.stream:
            return f"{head}{gap}{who}{palette.level(line.level, text)}"
        separator = SEPARATORS[line.stream]
        separator = palette.level("error", separator) if line.stream == "stderr" else separator
        return f"{head}{gap}{who}{separator} {text}".rstrip(" ")

    def _who(self, line: Line) -> str:
        nodes, name = self._name(line.nodes, line.who)
        self._width = max(self._width, min(len(name), _WIDTH))
        return self._palette.node(nodes, name.ljust(self._width))

    def _make_name(self, among: tuple[str, ...], who: str) -> tuple[str, str]:
        nodes = folded(among)
        count = f"  ({len(among)} nodes)" if self._fold and len(among) > 1 else ""
        return nodes, f"{nodes}{count} {who}" if who else f"{nodes}{count}"


class TimelineView:
    """For people: one line at a time, put in order, searched and folded as they wish.

    Args:
        clock: Which times are shown.
        order: Puts the lines in order.
        wanted: Whether a line of output is shown; None shows sentences, too.
        fold: Collects equal lines of many nodes.
        color: Use colours.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        order: Stage | None = None,
        wanted: Callable[[str], bool] | None = None,
        fold: Folder | None = None,
        color: bool = False,
    ) -> None:
        self._clock = clock
        self._liner = Liner(bare=fold is not None)
        self._order: Stage = order or AsTheyCome()
        self._wanted = wanted
        self._fold: Stage = fold or AsTheyCome()
        self._writer = Writer(clock, color=color, fold=fold is not None)

    @property
    def deadline_ns(self) -> int | None:
        """When a line has waited long enough for something."""
        parts = (self._liner, self._order, self._fold)
        waits = [part.deadline_ns for part in parts]
        return min((at_ns for at_ns in waits if at_ns is not None), default=None)

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[str]:
        """Yield the lines to show now."""
        ordered = self._order.take(self._searched(self._made(reads, now_ns)), now_ns)
        yield from map(self._writer.text, self._fold.take(ordered, now_ns))

    def finish(self) -> Iterator[str]:
        """Yield what is left."""
        rest = self._order.take(self._searched(self._liner.finish()), 0)
        yield from map(self._writer.text, self._fold.take(rest, 0))
        yield from map(self._writer.text, self._fold.take(self._order.finish(), 0))
        yield from map(self._writer.text, self._fold.finish())

    def _made(self, reads: Iterable[Read], now_ns: int) -> Iterator[Line]:
        for read in reads:
            self._clock.note(read)
            yield from self._liner.take(read, now_ns)
        yield from self._liner.expire(now_ns)

    def _searched(self, lines: Iterable[Line]) -> Iterator[Line]:
        if self._wanted is None:
            yield from lines
            return
        for line in lines:
            if line.is_loss or (line.stream and self._wanted(plain_text(line))):
                yield line


class JsonTimelineView:
    """For programs: the lines of events.jsonl, in the order of fabric time."""

    def __init__(self, *, origin_ns: int | None, order: Stage) -> None:
        self._origin_ns = origin_ns
        self._order = order
        self._places = Places()

    @property
    def deadline_ns(self) -> int | None:
        """When a line has waited long enough for earlier ones."""
        return self._order.deadline_ns

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[str]:
        """Yield the lines to show now."""
        yield from (
            line.text
            for line in self._order.take(map(self._line, filter(_is_event, reads)), now_ns)
            if not line.is_loss
        )

    def finish(self) -> Iterator[str]:
        """Yield what is left."""
        yield from (line.text for line in self._order.finish() if not line.is_loss)

    def _line(self, read: Read) -> Line:
        if self._origin_ns is None:
            self._origin_ns = read.record.t_ns
        text = event_line(event_of(read, self._origin_ns))
        return Line(self._places.of(read), (read.node,), "", 0, "", "", "", text, "plain")


def _is_event(read: Read) -> bool:
    return is_event(read.record)


def searcher(pattern: "re.Pattern[str]", *, invert: bool) -> Callable[[str], bool]:
    """Return what tells whether a line is wanted."""
    return lambda text: (pattern.search(text) is not None) != invert


def order_of(*, merge: bool, live: bool) -> Stage:
    """Return what puts lines in order: all where the run is read to an end, else those of a moment."""
    if not merge:
        return AsTheyCome()
    return Proven(MovingWindow() if live else WholeOrder())
