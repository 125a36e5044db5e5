"""Reading what an earlier life of the agent left of a journal."""

from dataclasses import dataclass, field
from pathlib import Path

from agents.journal import directory, foreign
from agents.journal.ledger import Ledger, StreamKey, StreamState
from agents.journal.limits import Limits
from agents.journal.packed import Span, matters_to_ledger, span_of
from agents.journal.segments import Segment, read_segment
from agents.journal.spool import Spool
from fabric.errors import DecodeError
from fabric.protocol import codec
from fabric.protocol.records import FileChunk, Output, OutputDropped


@dataclass(slots=True)
class Recovered:
    """What is there of a journal.  The defaults are those of a new one."""

    spool: Spool
    ledger: Ledger = field(default_factory=Ledger)
    segments: list[Segment] = field(default_factory=list)
    acknowledged: int = 0
    last: int = 0
    unacknowledged_bytes: int = 0
    damage: str = ""
    is_foreign: bool = False  # some of its records cannot be read by this version


def recover(path: Path, limits: Limits) -> Recovered:
    """Read a journal's files; cut what is not whole.

    A dead process leaves at most one torn record, the last one.  Only a power cut leaves more: then the
    journal ends before the first record that is damaged, or whose bytes are not in the spool.  One that is
    whole and cannot be read is of another version: it keeps its number, and what stands behind it counts.
    """
    return _Recovery(path, limits).run()


class _Recovery:
    def __init__(self, path: Path, limits: Limits) -> None:
        directory.complete(path)
        self._path = path
        self._streams: dict[StreamKey, StreamState] = {}  # also of steps that have finished since
        self._left = Recovered(Spool(path / directory.SPOOL, limits))
        self._left.acknowledged = directory.read_acknowledged(path)

    def run(self) -> Recovered:
        left = self._left
        left.spool.find()
        self._read_segments()
        left.last = max(left.acknowledged, left.segments[-1].last if left.segments else 0)
        left.spool.settle(self._streams)
        return left

    def _read_segments(self) -> None:
        left = self._left
        paths = sorted((self._path / directory.RECORDS).glob("*.records"))
        for index, path in enumerate(paths):
            if self._read_segment(path):
                continue
            lost = paths[index + 1 :]
            if lost:
                last = left.segments[-1].last if left.segments else 0
                left.damage = left.damage or f"the journal cannot be read after record {last}"
            for later in lost:
                later.unlink()
            return

    def _read_segment(self, path: Path) -> bool:
        """Take up one file.  Returns whether it is sound to its end."""
        left = self._left
        read = read_segment(path)
        if read is None:
            path.unlink()
            return False
        segment, ledger, bodies = read
        if ledger is None:
            ledger = left.ledger  # of another version: what is known goes on, or nothing is
            self._is_foreign(
                f"the journal says in another form where it stands before record {segment.first}"
            )
        if not left.segments:
            left.acknowledged = max(left.acknowledged, segment.first - 1)
        left.ledger = ledger
        self._streams.update(ledger.streams)
        left.segments.append(segment)
        for end, body in bodies:
            if not self._take(segment.last + 1, body):
                break
            segment.count += 1
            segment.size = end
        if path.stat().st_size == segment.size:
            return True
        with path.open("r+b") as file:
            file.truncate(segment.size)
        return False

    def _take(self, number: int, body: bytes) -> bool:
        """Take up one record.  Returns whether it is sound."""
        left = self._left
        if number > left.acknowledged or matters_to_ledger(body):
            try:
                record = codec.decode_record(codec.unpack_record(body))
            except DecodeError as error:
                self._is_foreign(f"record {number} of the journal is of another version: {error}")
                body = foreign.stand_in(number, body, error)
                record = None
            size_bytes = len(body)
            if isinstance(record, Output | FileChunk):
                if not self._take_span(number, span_of(record)):
                    return False
                size_bytes += record.size
            elif isinstance(record, OutputDropped):
                key = StreamKey(record.step, record.attempt, record.stream)
                self._streams[key] = StreamState(record.offset + record.size)
            if record is not None:
                left.ledger.note(record)
            if number > left.acknowledged:
                left.unacknowledged_bytes += size_bytes
        return True

    def _is_foreign(self, what: str) -> None:
        self._left.damage = self._left.damage or what
        self._left.is_foreign = True

    def _take_span(self, number: int, span: Span) -> bool:
        left = self._left
        if left.spool.holds(span):
            left.spool.record(number, span)
        elif number > left.acknowledged:
            left.damage = f"the bytes of record {number} of the journal is gone"
            return False
        self._streams[span.key] = StreamState(span.offset + span.size, ended=not span.size)
        return True
