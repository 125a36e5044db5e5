"""Packed records, looked at and not unpacked where that will do.  They are the journal's own: not checked."""

from typing import Final

from fabric.protocol import codec
from fabric.protocol.records import Output, StepFinished, StepStarted


def _mark(kind: str) -> bytes:
    """Return how a packed record of a kind begins: an array of two, a string below 32 bytes, the kind."""
    return bytes([0x92, 0xA0 | len(kind)]) + kind.encode()


_OUTPUT: Final = _mark(Output.kind)
_OF_LEDGER: Final = (_OUTPUT, _mark(StepStarted.kind), _mark(StepFinished.kind))


def as_output(body: bytes) -> Output | None:
    """Return the record if it is an output."""
    return Output(**codec.unpack_record(body)[1]) if body.startswith(_OUTPUT) else None


def size_bytes(body: bytes, output: Output | None) -> int:
    """Return what a record counts: itself and its output."""
    return len(body) + (output.size if output else 0)


def matters_to_ledger(body: bytes) -> bool:
    """Whether the ledger or the spool have to know of the record; most of a million others they need not."""
    return body.startswith(_OF_LEDGER)
