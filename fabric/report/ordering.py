import heapq
import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from typing import IO, Final, Protocol

import msgpack

from fabric.report.fold import folded
from fabric.report.quantities import duration
from fabric.report.timeline import Line

WINDOW_NS: Final = 250_000_000
"""A line of a run that goes on waits so long for earlier ones: several times a record's way."""

LATE_NS: Final = 1_000_000_000
"""A node that was cut off reports late.  What belongs further up by more than this is said to."""

HELD_LINES: Final = 20_000
"""Most lines that wait in memory; with more the oldest go out, or into a file."""

_PIECES: Final = 64
"""So many sorted pieces become one: each is an open file."""

_READ_BYTES: Final = 1 << 16


_Item = tuple[int, int, Line]
"""When, in which order it came, what."""


class Stage(Protocol):
    """Takes lines and gives them out, sooner or later.  ``now_ns`` is on the caller's monotonic clock."""

    @property
    def deadline_ns(self) -> int | None:
        """When to call `take` though nothing has come."""

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield what can go out now."""

    def finish(self) -> Iterator[Line]:
        """Yield what is left: nothing more comes."""


class AsTheyCome:
    """Changes nothing: the order of the run's records."""

    deadline_ns: int | None = None

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield them all."""
        yield from lines

    def finish(self) -> Iterator[Line]:
        """Yield nothing."""
        yield from ()


class MovingWindow:
    """Puts the lines of the last moment in order; what comes later is shown, and said to be late."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._heap: list[tuple[int, int, int, Line]] = []  # fabric time, order of coming, when it came
        self._order = count()
        self._newest_ns = 0
        self._shown_ns = 0
        self._late: set[tuple[str, ...]] = set()  # nodes of which this was said

    @property
    def deadline_ns(self) -> int | None:
        """When the earliest line has waited long enough."""
        return self._heap[0][2] + self._window_ns if self._heap else None

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield what nothing earlier is expected before."""
        for line in lines:
            self._newest_ns = max(self._newest_ns, line.t_ns)
            heapq.heappush(self._heap, (line.t_ns, next(self._order), now_ns, line))
            if len(self._heap) > HELD_LINES:
                yield from self._pop()
        while self._heap and self._is_due(now_ns):
            yield from self._pop()

    def finish(self) -> Iterator[Line]:
        """Yield the rest in order."""
        while self._heap:
            yield from self._pop()

    def _is_due(self, now_ns: int) -> bool:
        t_ns, _, came_ns, _ = self._heap[0]
        return self._newest_ns - t_ns >= self._window_ns or now_ns - came_ns >= self._window_ns

    def _pop(self) -> Iterator[Line]:
        line = heapq.heappop(self._heap)[3]
        behind_ns = self._shown_ns - line.t_ns
        self._shown_ns = max(self._shown_ns, line.t_ns)
        if behind_ns < LATE_NS:
            self._late.discard(line.nodes)
        elif line.nodes not in self._late:
            self._late.add(line.nodes)
            who = folded(line.nodes) or "the run"
            text = f"late by {duration(behind_ns)}: what {who} says now belongs further up"
            yield line._replace(step="", who="", stream="", text=text, level="warning", is_loss=True)
        yield line


class WholeOrder:
    """Puts everything in order before the first line goes out, with flat memory: pieces are in files."""

    deadline_ns: int | None = None

    def __init__(self, held_lines: int = HELD_LINES) -> None:
        self._held_lines = held_lines
        self._held: list[_Item] = []
        self._pieces: list[IO[bytes]] = []
        self._order = count()

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield nothing yet."""
        for line in lines:
            self._held.append((line.t_ns, next(self._order), line))
            if len(self._held) >= self._held_lines:
                self._spill()
        yield from ()

    def finish(self) -> Iterator[Line]:
        """Yield all of it in order."""
        held, self._held = sorted(self._held), []
        yield from (line for _, _, line in self._merged(held))

    def _merged(self, held: list[_Item]) -> Iterator[_Item]:
        pieces, self._pieces = self._pieces, []
        yield from heapq.merge(*map(_read_piece, pieces), held)
        for piece in pieces:
            piece.close()

    def _spill(self) -> None:
        held, self._held = sorted(self._held), []
        items = self._merged(held) if len(self._pieces) >= _PIECES else iter(held)
        piece = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it was read
        packer = msgpack.Packer()
        for item in items:
            piece.write(packer.pack(item))
        self._pieces.append(piece)


def _read_piece(piece: IO[bytes]) -> Iterator[_Item]:
    piece.seek(0)
    for t_ns, order, raw in msgpack.Unpacker(piece, read_size=_READ_BYTES, use_list=False):
        yield t_ns, order, Line(*raw)
