"""Output that is missing between records, told as a record of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, StepFinished, Stream

_StreamKey = tuple[str, str, int, Stream]  # node, step, attempt

GAP = "they never came"
END = "the end of it never came"


@dataclass(slots=True)
class Losses:
    """Follows the offsets of every stream; ``whole`` if the run is read from its first record on.

    What is dropped as the trial allows has a record, `OutputDropped`.  Anything else that is missing must not
    look as if it had never been written: a record of the same kind is put where it would have stood.
    """

    whole: bool
    _offsets: dict[_StreamKey, int] = field(default_factory=dict)  # of the byte that comes next
    _joined: set[tuple[str, str, int]] = field(default_factory=set)  # attempts not read from their beginning

    def told(self, reads: Iterable[Read]) -> Iterator[Read]:
        """Yield all records, and before those that do not follow, what is missing."""
        for read in reads:
            record = read.record
            if isinstance(record, Output | OutputDropped):
                yield from self._follow(read, record)
            elif isinstance(record, StepFinished):
                yield from self._finish(read, record)
            yield read

    def _follow(self, read: Read, record: Output | OutputDropped) -> Iterator[Read]:
        attempt = (read.node, record.step, record.attempt)
        key: _StreamKey = (*attempt, record.stream)
        if key not in self._offsets and record.offset and not self.whole:
            self._joined.add(attempt)
        expected = self._offsets.get(key, 0 if self.whole else record.offset)
        if record.offset > expected:
            yield _missing(read, record.stream, expected, record.offset, GAP)
        self._offsets[key] = record.offset + record.size

    def _finish(self, read: Read, record: StepFinished) -> Iterator[Read]:
        attempt = (read.node, record.step, record.attempt)
        sizes: tuple[tuple[Stream, int], ...] = (
            ("stdout", record.stdout_bytes),
            ("stderr", record.stderr_bytes),
        )
        for stream, size in sizes:
            seen = self._offsets.pop((*attempt, stream), 0 if self.whole else None)
            if seen is not None and seen < size and attempt not in self._joined:
                yield _missing(read, stream, seen, size, END)
        self._joined.discard(attempt)


def _missing(read: Read, stream: Stream, offset: int, end: int, why: str) -> Read:
    record = read.record
    assert isinstance(record, Output | OutputDropped | StepFinished)
    dropped = OutputDropped(
        t_ns=record.t_ns,
        bound_ns=record.bound_ns,
        step=record.step,
        attempt=record.attempt,
        stream=stream,
        offset=offset,
        size=end - offset,
        why=why,
    )
    return Read(read.number, read.node, dropped, b"", read.incarnation)
