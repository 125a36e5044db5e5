"""Packed records, looked at and not unpacked where that will do.  They are the journal's own: not checked."""

from typing import Final, NamedTuple

from agents.journal.ledger import StreamKey
from fabric.protocol import codec
from fabric.protocol.records import Output, StepFinished, StepStarted


def _mark(kind: str) -> bytes:
    """Return how a packed record of a kind begins: an array of two, a string below 32 bytes, the kind."""
    return bytes([0x92, 0xA0 | len(kind)]) + kind.encode()


_OUTPUT: Final = _mark(Output.kind)
_OF_LEDGER: Final = (_OUTPUT, _mark(StepStarted.kind), _mark(StepFinished.kind))


class Span(NamedTuple):
    """Bytes of a stream of which a record speaks."""

    key: StreamKey
    offset: int
    size: int


def span_of(output: Output) -> Span:
    """Return the bytes of which a record speaks."""
    return Span(StreamKey(output.step, output.attempt, output.stream), output.offset, output.size)


def packed_span(body: bytes) -> Span | None:
    """Return the bytes of which a packed record speaks; None if it is no output."""
    if not body.startswith(_OUTPUT):
        return None
    _, fields = codec.unpack_record(body)
    key = StreamKey(fields["step"], fields["attempt"], fields["stream"])
    return Span(key, fields["offset"], fields["size"])


def size_bytes(body: bytes, span: Span | None) -> int:
    """Return what a record counts: itself and its output."""
    return len(body) + (span.size if span else 0)


def matters_to_ledger(body: bytes) -> bool:
    """Whether the ledger or the spool have to know of the record; most of a million others they need not."""
    return body.startswith(_OF_LEDGER)
