"""Equal lines of many nodes, once: ``lab[1-97]  (97 nodes) text``."""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fabric.report.ordering import HELD_LINES
from fabric.report.timeline import Line, plain_text

WAIT_NS: Final = 1_000_000_000
"""A line waits so long for the same one of other nodes."""

SETTLE_NS: Final = 100_000_000
"""... but only so long if all nodes that have begun the step have said it."""

APART_NS: Final = 2_000_000_000
"""In what is stored, equal lines that are so far apart in fabric time are not folded."""


@dataclass(slots=True)
class _Group:
    line: Line
    what: Hashable
    nodes: dict[str, None]
    since_ns: int


@dataclass(slots=True)
class _Turns:
    """The waiting groups of one text: the first time that nodes say it, the second time ..."""

    groups: list[_Group] = field(default_factory=list)  # one, mostly: a deque takes 600 bytes
    gone: int = 0  # groups before these
    said: dict[tuple[str, ...], int] = field(default_factory=dict)  # how often, by node


class Folder:
    """Collects equal lines.

    Lines are equal if step, attempt, stream and text are, and if they are the same occurrence of that text on
    their node.  ``live``: groups wait by the caller's clock, else by the instants of the lines, so that what
    is stored is folded in the same way each time.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._groups: deque[_Group] = deque()  # in the order in which they began
        self._turns: dict[Hashable, _Turns] = {}
        self._begun: dict[tuple[str, int], set[str]] = {}  # nodes that were heard of, by step and attempt
        self._heard_last: tuple[str, ...] = ()
        self._newest_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When the oldest group has waited long enough."""
        if not self._groups or not self._live:
            return None
        return self._groups[0].since_ns + self._wait_ns(self._groups[0])

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield the groups that have waited long enough."""
        groups = self._groups
        for line in lines:
            self._newest_ns = max(self._newest_ns, line.t_ns)
            self._add(line, now_ns)
            if len(groups) > HELD_LINES:
                yield self._pop()
        while self._groups and self._is_due(now_ns):
            yield self._pop()

    def finish(self) -> Iterator[Line]:
        """Yield the rest."""
        while self._groups:
            yield self._pop()

    def _add(self, line: Line, now_ns: int) -> None:
        nodes = line.nodes
        if nodes is not self._heard_last:  # thousands of lines come together
            self._heard_last = nodes
            self._begun.setdefault((line.step, line.attempt), set()).update(nodes)
        what: Hashable = (line.step, line.attempt, line.stream, plain_text(line), line.level)
        if not nodes:
            what = object()  # the run itself says nothing twice
        turns = self._turns.get(what)
        if turns is None:
            turns = self._turns[what] = _Turns()
        turn = turns.said.get(nodes, 0)
        turn = max(turn, turns.gone)
        turns.said[nodes] = turn + 1
        if turn - turns.gone < len(turns.groups):
            turns.groups[turn - turns.gone].nodes.update(dict.fromkeys(nodes))
            return
        group = _Group(line, what, dict.fromkeys(nodes), now_ns)
        turns.groups.append(group)
        self._groups.append(group)

    def _is_due(self, now_ns: int) -> bool:
        oldest = self._groups[0]
        if not self._live:
            return self._newest_ns - oldest.line.t_ns >= APART_NS
        return now_ns - oldest.since_ns >= self._wait_ns(oldest)

    def _wait_ns(self, group: _Group) -> int:
        line = group.line
        if not line.nodes:
            return 0
        is_whole = len(group.nodes) >= len(self._begun.get((line.step, line.attempt), ()))
        return SETTLE_NS if is_whole else WAIT_NS

    def _pop(self) -> Line:
        group = self._groups.popleft()
        turns = self._turns[group.what]
        turns.groups.pop(0)  # it is the oldest of this text, too
        turns.gone += 1
        if not turns.groups:
            del self._turns[group.what]
        return group.line if len(group.nodes) == 1 else group.line._replace(nodes=tuple(group.nodes))
