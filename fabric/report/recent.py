"""PURE.  The last words of each step, and of everyone: what a person asks for when something has failed.

Memory is bounded for each step and as a whole, whatever is printed; a step that ended well is soon forgotten.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from fabric.controller.entry import Read
from fabric.protocol.records import Output, StepFinished

LINES: Final = 20
"""Of a failed step so many of its last lines are told."""

STEP_BYTES: Final = 8192
"""Kept of one attempt of a step."""

STEPS: Final = 4000
"""Most attempts of which something is kept: 200 steps on each of 20 nodes; the one heard last stays."""

WINDOW_NS: Final = 2_000_000_000
"""How far back everyone's words are kept, in fabric time."""

WINDOW_BYTES: Final = 512 * 1024
WORD_BYTES: Final = 1024
"""Most of one chunk that is kept as somebody's words."""

ENDED: Final = 1000
"""So many attempts are kept that ended well, the last ones: a metric may turn out not to be in them."""

StepKey = tuple[str, str, int]  # node, step, attempt


@dataclass(frozen=True, slots=True)
class Line:
    """A line, without its newline."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """The last bytes of a chunk of output, with its instant in fabric time."""

    t_ns: int
    node: str
    step: str
    stream: str
    data: bytes
    is_cut: bool = False  # its beginning is not there


@dataclass(slots=True)
class _Tail:
    """The last chunks of both streams, in the order in which they came."""

    chunks: deque[tuple[str, bytes]] = field(default_factory=deque)
    size: int = 0
    is_cut: bool = False

    def add(self, stream: str, data: bytes | memoryview) -> None:
        kept = bytes(data[-STEP_BYTES:])
        self.is_cut |= len(kept) < len(data)
        self.chunks.append((stream, kept))
        self.size += len(kept)
        while self.size > STEP_BYTES and len(self.chunks) > 1:
            self.size -= len(self.chunks.popleft()[1])
            self.is_cut = True

    def lines(self, limit: int) -> tuple[Line, ...]:
        """Return the last lines, each where its newline came; the unfinished ones stand last."""
        found: list[Line] = []
        begun: dict[str, bytes] = {}
        for stream, data in self.chunks:
            *whole, rest = (begun.pop(stream, b"") + data).split(b"\n")
            found += (Line(stream, line) for line in whole)
            if rest:
                begun[stream] = rest
        found += (Line(stream, rest) for stream, rest in begun.items())
        return tuple(found[-limit:])


class Recent:
    """Takes the output of a run in."""

    def __init__(self) -> None:
        self._tails: OrderedDict[StepKey, _Tail] = OrderedDict()
        self._ended: OrderedDict[StepKey, _Tail] = OrderedDict()
        self._words: deque[Words] = deque()
        self._size = 0
        self._newest_ns = 0

    def take(self, read: Read) -> None:
        """Take the next record in."""
        record = read.record
        if isinstance(record, Output):
            if record.size:
                self._take(read.node, record, read.data)
        elif isinstance(record, StepFinished) and not record.failed:
            self._end((read.node, record.step, record.attempt))

    def lines(self, node: str, step: str, attempt: int, limit: int = LINES) -> tuple[Line, ...]:
        """Return the last lines of a step, of both streams as they came; none if it is forgotten."""
        key = (node, step, attempt)
        tail = self._tails.get(key) or self._ended.get(key)
        return tail.lines(limit) if tail is not None else ()

    def words(self, t_ns: int) -> list[Words]:
        """Return what was said in the two seconds before an instant, in the order of time."""
        found = [words for words in self._words if t_ns - WINDOW_NS <= words.t_ns <= t_ns]
        return sorted(found, key=lambda words: words.t_ns)

    def _end(self, key: StepKey) -> None:
        tail = self._tails.pop(key, None)
        if tail is None:
            return
        self._ended[key] = tail
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)

    def _take(self, node: str, record: Output, data: bytes | memoryview) -> None:
        key = (node, record.step, record.attempt)
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = _Tail()
            if len(self._tails) > STEPS:
                self._tails.popitem(last=False)
        self._tails.move_to_end(key)
        tail.add(record.stream, data)
        kept, is_cut = bytes(data[-WORD_BYTES:]), len(data) > WORD_BYTES
        words = Words(record.t_ns, node, record.step, record.stream, kept, is_cut)
        self._words.append(words)
        self._size += len(words.data) + 100
        self._newest_ns = max(self._newest_ns, record.t_ns)
        while self._size > WINDOW_BYTES or self._words[0].t_ns < self._newest_ns - 2 * WINDOW_NS:
            self._size -= len(self._words.popleft().data) + 100
