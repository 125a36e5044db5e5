"""What a command shows of a run while it reads it: text for people, JSON lines for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fabric.controller.entry import Read
from fabric.report.events import event_line, event_of, is_event, node_of, step_of
from fabric.report.text import TextRenderer


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted; an empty set wants all.  A role or a step wants records of steps only."""

    nodes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()

    def __contains__(self, read: Read) -> bool:
        if self.nodes and node_of(read) not in self.nodes:
            return False
        if not (self.roles or self.steps):
            return True
        step = step_of(read.record)
        if step is None or (self.roles and step.role not in self.roles):
            return False
        return not self.steps or step.label in self.steps


class View(Protocol):
    """Turns records into lines.  ``now_ns`` is on one monotonic clock, the caller's."""

    @property
    def deadline_ns(self) -> int | None:
        """When to call `lines` though nothing has come."""

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[str]:
        """Yield the lines to show now, without their newlines."""

    def finish(self) -> Iterator[str]:
        """Yield what is left: nothing more comes."""


class TextView:
    """For people."""

    def __init__(self, *, origin_ns: int | None = None, color: bool = False) -> None:
        self._renderer = TextRenderer(origin_ns=origin_ns, color=color)

    @property
    def deadline_ns(self) -> int | None:
        """When an unfinished line has waited long enough."""
        return self._renderer.deadline_ns

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[str]:
        """Yield the lines that are finished, and those that have waited for long."""
        for read in reads:
            yield from self._renderer.render(read, now_ns)
        yield from self._renderer.expire(now_ns)

    def finish(self) -> Iterator[str]:
        """Yield the unfinished lines."""
        yield from self._renderer.finish()


class JsonView:
    """For programs: the lines of events.jsonl."""

    deadline_ns: int | None = None

    def __init__(self, *, origin_ns: int | None = None) -> None:
        self._origin_ns = origin_ns

    def lines(self, reads: Iterable[Read], now_ns: int) -> Iterator[str]:
        """Yield one line for each record that is worth one."""
        for read in reads:
            if self._origin_ns is None:
                self._origin_ns = read.record.t_ns
            if is_event(read.record):
                yield event_line(event_of(read, self._origin_ns))

    def finish(self) -> Iterator[str]:
        """Yield nothing: no event is unfinished."""
        yield from ()
