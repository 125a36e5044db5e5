"""Packed records, looked at and not unpacked where that will do.  They are the journal's own: not checked."""

from typing import Final, NamedTuple

from agents.journal.ledger import StreamKey
from fabric.protocol import codec
from fabric.protocol.records import (
    FileBegun,
    FileChunk,
    FileEnded,
    Output,
    OutputDropped,
    StepFinished,
    StepStarted,
)


def _mark(kind: str) -> bytes:
    """Return how a packed record of a kind begins: an array of two, a string below 32 bytes, the kind."""
    return bytes([0x92, 0xA0 | len(kind)]) + kind.encode()


_OUTPUT: Final = _mark(Output.kind)
_CHUNK: Final = _mark(FileChunk.kind)
_OF_LEDGER: Final = (
    *(_OUTPUT, _CHUNK),
    *map(_mark, (OutputDropped.kind, FileBegun.kind, FileEnded.kind)),
    *map(_mark, (StepStarted.kind, StepFinished.kind)),
)


class Span(NamedTuple):
    """Bytes of a stream of which a record speaks."""

    key: StreamKey
    offset: int
    size: int


def span_of(record: Output | FileChunk) -> Span:
    """Return the bytes of which a record speaks."""
    if isinstance(record, Output):
        key = StreamKey(record.step, record.attempt, record.stream)
    else:
        key = StreamKey.of_file(record.step, record.attempt, record.file)
    return Span(key, record.offset, record.size)


def packed_span(body: bytes) -> Span | None:
    """Return the bytes of which a packed record speaks; None if it brings none."""
    if body.startswith(_OUTPUT):
        _, fields = codec.unpack_record(body)
        key = StreamKey(fields["step"], fields["attempt"], fields["stream"])
    elif body.startswith(_CHUNK):
        _, fields = codec.unpack_record(body)
        key = StreamKey.of_file(fields["step"], fields["attempt"], fields["file"])
    else:
        return None
    return Span(key, fields["offset"], fields["size"])


def size_bytes(body: bytes, span: Span | None) -> int:
    """Return what a record counts: itself and its output."""
    return len(body) + (span.size if span else 0)


def matters_to_ledger(body: bytes) -> bool:
    """Whether the ledger or the spool have to know of the record; most of a million others they need not."""
    return body.startswith(_OF_LEDGER)
