"""Records that an agent of another version has packed, and that this one cannot read.

Nor can the broker of this version: it would refuse each batch that has one, and the agent would send it for
ever, with all that stands behind it.  So a notice goes in its place, under its number.  A sink that has the
record itself takes the notice for a repetition, and drops it.
"""

from typing import Final

from fabric.errors import DecodeError
from fabric.protocol import codec
from fabric.protocol.records import Notice

_LAST_NS: Final = 1 << 62


def readable(number: int, body: bytes) -> bytes:
    """Return a packed record of an earlier life, or the notice that goes in its place."""
    try:
        codec.decode_record(codec.unpack_record(body))
    except DecodeError as error:
        return stand_in(number, body, error)
    return body


def stand_in(number: int, body: bytes, error: DecodeError) -> bytes:
    """Return a packed notice that says that a record cannot be read, at the instant of that record."""
    said = f"record {number} was written by another version of the agent, and cannot be read: {error}"
    return codec.encode_record(Notice(t_ns=_instant(body), bound_ns=-1, level="error", message=said[:500]))


def _instant(body: bytes) -> int:
    """Return the instant of a record of which only the form is known; 0 if it says none."""
    try:
        _, fields = codec.unpack_record(body)
        t_ns = fields["t_ns"]
    except (DecodeError, ValueError, TypeError, KeyError):
        return 0
    return t_ns if type(t_ns) is int and 0 <= t_ns < _LAST_NS else 0
