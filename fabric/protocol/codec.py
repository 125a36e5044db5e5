"""Bytes to messages and back: the only reader of untrusted bytes.

A message is msgpack ``[kind, {field: value}]``.  The kinds are a closed table; every field must be there
that has no default, no other may be than are known, and each is checked against its annotation.  A field that
lacks is of what an earlier version has stored: peers have all of them, for they have the same version.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from reprlib import Repr
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgpack

from fabric.errors import DecodeError
from fabric.protocol import messages, records
from fabric.protocol.limits import MAX_FRAME_BYTES, MAX_ITEMS, MAX_TEXT_BYTES
from fabric.protocol.numbers import Within
from fabric.protocol.versions import check_version

M = TypeVar("M")
Check = Callable[[Any, str], Any]
"""Takes a raw value and where it stands; returns the value or raises DecodeError."""

MESSAGES: Final[Mapping[str, type]] = {cls.kind: cls for cls in get_args(messages.Message)}
RECORDS: Final[Mapping[str, type]] = {cls.kind: cls for cls in get_args(records.Record)}

_INT64: Final = 1 << 63


def encode(message: Any) -> bytes:
    """Return the frame of a message.

    Raises:
        DecodeError: If the frame would be larger than a peer takes.
    """
    frame: bytes = msgpack.packb([message.kind, _fields_of(message)], default=_plain)
    if len(frame) > MAX_FRAME_BYTES:
        raise DecodeError(f"{message.kind}: {len(frame)} bytes are over the limit of {MAX_FRAME_BYTES}")
    return frame


def encode_readable(message: Any) -> bytes:
    """Return the frame of a message that has texts of users in it, after a look at it as its reader has.

    A peer drops what it cannot read, and no answer comes.

    Raises:
        DecodeError: If the frame, or something in it, is larger than a peer takes.
    """
    frame = encode(message)
    if len(frame) > MAX_TEXT_BYTES:  # else no text in it can be longer, either
        try:
            _unpack(frame)
        except DecodeError:
            what = f"a text in it is over the limit of {MAX_TEXT_BYTES} bytes"
            raise DecodeError(f"{message.kind}: {what}, or a list over that of {MAX_ITEMS}") from None
    return frame


def decode(frame: bytes | memoryview) -> messages.Message:
    """Return the message in a frame.

    Raises:
        VersionMismatch: If it is a hello of another version of the protocol.
        DecodeError: If it is anything but a well-formed message.
    """
    raw = _unpack(frame)
    if not (isinstance(raw, list) and len(raw) == 2 and isinstance(raw[0], str)):  # noqa: PLR2004
        raise _wrong("frame", "[kind, fields]", raw)
    kind, body = raw
    cls = MESSAGES.get(kind)
    if cls is None:
        raise DecodeError(f"frame: unknown kind {kind!r:.40}")
    if isinstance(body, dict) and "protocol" in _names(cls):
        check_version(kind, body)
    message: messages.Message = _reader(cls)(body, kind)
    return message


def decode_as(frame: bytes | memoryview, wanted: type[M]) -> M:
    """Return the message in a frame, which has to be of one type.

    Raises:
        DecodeError: If it is another message or none.
    """
    message = decode(frame)
    if not isinstance(message, wanted):
        raise DecodeError(f"frame: expected {wanted.__name__}, got {type(message).__name__}")
    return message


def encode_record(record: records.Record) -> bytes:
    """Return a record as it stands inside a batch, for `encode_batch`."""
    packed: bytes = msgpack.packb([record.kind, _fields_of(record)], default=_plain)
    return packed


def encode_batch(batch: messages.Batch, packed: Sequence[bytes]) -> bytes:
    """Return the frame of a batch whose records are packed already; those of ``batch`` itself are none.

    A record is packed once, when it enters the journal, and not again each time that it is sent.

    Raises:
        DecodeError: If the frame would be larger than a peer takes.
    """
    head = encode(batch)[:-1]  # `records` is the last field: its empty array is the last byte
    frame = b"".join((head, msgpack.Packer().pack_array_header(len(packed)), *packed))
    if len(frame) > MAX_FRAME_BYTES:
        raise DecodeError(f"{batch.kind}: {len(frame)} bytes are over the limit of {MAX_FRAME_BYTES}")
    return frame


def unpack_record(packed: bytes) -> Any:
    """Return the ``[kind, fields]`` of an encoded record, unchecked: `decode_record` checks it.

    Raises:
        DecodeError: If it is not msgpack within the limits.
    """
    return _unpack(packed)


def decode_record(raw: Any) -> records.Record:
    """Return the record in an unpacked ``[kind, fields]``.

    Raises:
        DecodeError: If it is anything but a well-formed record.
    """
    record: records.Record = _read_record(raw, "record")
    return record


def _unpack(frame: bytes | memoryview) -> Any:
    if len(frame) > MAX_FRAME_BYTES:
        raise DecodeError(f"frame: {len(frame)} bytes are over the limit of {MAX_FRAME_BYTES}")
    try:
        return msgpack.unpackb(
            frame,
            strict_map_key=True,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=MAX_TEXT_BYTES,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"frame: not msgpack within the limits: {error or type(error).__name__}") from None


def pack(value: Any) -> bytes:
    """Return a dataclass that is no message as bytes: for a file of this machine's own."""
    packed: bytes = msgpack.packb(_fields_of(value), default=_plain)
    return packed


def unpack(data: bytes, wanted: type[M]) -> M:
    """Return what `pack` has packed, checked as a message is.

    Raises:
        DecodeError: If it is anything but a well-formed value of that type.
    """
    cls: type = wanted
    value: M = _reader(cls)(_unpack(data), cls.__name__)
    return value


# --- writing --------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return what stands for a message's part or a record in a frame; msgpack asks when it meets one."""
    body = _fields_of(value)
    kind = _RECORD_KINDS.get(type(value))
    return body if kind is None else [kind, body]


def _fields_of(message: Any) -> dict[str, Any]:
    cls: type = type(message)
    return {name: getattr(message, name) for name in _names(cls)}


_RECORD_KINDS: Final = {cls: kind for kind, cls in RECORDS.items()}


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


# --- reading --------------------------------------------------------------------------------------------


@cache
def _reader(cls: type) -> Check:
    """Make the function that reads one dataclass from a map."""
    hints = get_type_hints(cls, include_extras=True)
    checks = {name: _check_for(hints[name]) for name in _names(cls)}
    required = {
        field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING
    }

    places: dict[str, list[tuple[str, Check, str]]] = {}  # by where it stands: there are few such places

    def read(raw: Any, where: str) -> Any:
        if not isinstance(raw, dict):
            raise _wrong(where, "a map", raw)
        if raw.keys() == checks.keys():
            place = places.get(where)
            if place is None:
                place = places[where] = [(name, check, f"{where}.{name}") for name, check in checks.items()]
            return cls(**{name: check(raw[name], path) for name, check, path in place})
        if not required <= raw.keys() <= checks.keys():
            raise DecodeError(f"{where}: {_difference(raw, checks, required)}")
        return cls(**{name: checks[name](value, f"{where}.{name}") for name, value in raw.items()})

    return read


def _difference(raw: dict[Any, Any], known: Iterable[str], required: set[str]) -> str:
    missing = sorted(required - raw.keys())
    unknown = sorted(map(repr, raw.keys() - set(known)))
    parts = ["lacks " + ", ".join(missing)] if missing else []
    if unknown:
        parts.append("has unknown fields " + ", ".join(unknown)[:80])
    return " and ".join(parts)


def _check_for(hint: Any) -> Check:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint == records.Record:
        return _read_record
    if isinstance(hint, type) and is_dataclass(hint):
        return _reader(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _number(args[0], args[1])
    if origin is Literal:
        return _one_of(args)
    if origin is tuple:
        return _many(_check_for(args[0]))
    if origin is dict:
        return _table(_check_for(args[0]), _check_for(args[1]))
    if origin in (Union, UnionType) and NoneType in args:
        (inner,) = (arg for arg in args if arg is not NoneType)
        return _optional(_check_for(inner))
    raise TypeError(f"the codec has no reader for {hint!r}")


def _scalar(wanted: type) -> Check:
    def check(raw: Any, where: str) -> Any:
        if type(raw) is not wanted:  # a bool is no int here
            raise _wrong(where, wanted.__name__, raw)
        return raw

    return check


def _check_int(raw: Any, where: str) -> int:
    if type(raw) is not int or not -_INT64 <= raw < _INT64:
        raise _wrong(where, "int", raw)
    return raw


def _check_float(raw: Any, where: str) -> float:
    if type(raw) is int and abs(raw) < 1 << 53:
        return float(raw)
    if type(raw) is not float or raw != raw or raw in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
        raise _wrong(where, "a finite float", raw)
    return raw


def _number(wanted: type, within: Within) -> Check:
    """Make the check of a number with a range (see fabric.protocol.numbers)."""
    least, most = within.least, within.most

    def check_int(raw: Any, where: str) -> int:
        if type(raw) is not int or not least <= raw <= most:  # a bool is no int here
            raise _out_of_range(where, "int", within, raw)
        return raw

    def check_float(raw: Any, where: str) -> float:
        if type(raw) not in (int, float) or not least <= raw <= most:  # no NaN is
            raise _out_of_range(where, "a finite float", within, raw)
        return float(raw)

    return check_int if wanted is int else check_float


def _out_of_range(where: str, wanted: str, within: Within, raw: Any) -> DecodeError:
    if type(raw) in (int, float) and raw == raw:  # noqa: PLR0124 - NaN
        return DecodeError(f"{where}: expected {within.least} to {within.most}, got {raw}")
    return _wrong(where, wanted, raw)


_SCALARS: Final[Mapping[Any, Check]] = {
    int: _check_int,
    float: _check_float,
    str: _scalar(str),
    bytes: _scalar(bytes),
    bool: _scalar(bool),
}


def _one_of(values: tuple[Any, ...]) -> Check:
    def check(raw: Any, where: str) -> Any:
        if not isinstance(raw, str) or raw not in values:
            raise _wrong(where, " or ".join(values), raw)
        return raw

    return check


def _many(check_item: Check) -> Check:
    def check(raw: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            raise _wrong(where, "a list", raw)
        return tuple(check_item(item, where) for item in raw)

    return check


def _table(check_key: Check, check_value: Check) -> Check:
    def check(raw: Any, where: str) -> dict[Any, Any]:
        if not isinstance(raw, dict):
            raise _wrong(where, "a map", raw)
        return {check_key(key, where): check_value(value, where) for key, value in raw.items()}

    return check


def _optional(check_inner: Check) -> Check:
    def check(raw: Any, where: str) -> Any:
        return None if raw is None else check_inner(raw, where)

    return check


def _read_record(raw: Any, where: str) -> Any:
    if not (isinstance(raw, list) and len(raw) == 2 and isinstance(raw[0], str)):  # noqa: PLR2004
        raise _wrong(where, "[kind, fields]", raw)
    cls = RECORDS.get(raw[0])
    if cls is None:
        raise DecodeError(f"{where}: unknown kind of record {raw[0]!r:.40}")
    return _reader(cls)(raw[1], f"{where}.{raw[0]}")


def _wrong(where: str, wanted: str, raw: Any) -> DecodeError:
    return DecodeError(f"{where}: expected {wanted}, got {_SHORT.repr(raw)[:60]}")


def _short() -> Repr:
    """Return what shows the beginning of a value without going through all of it: a stranger has made it."""
    made = Repr()
    made.maxlevel, made.maxlist, made.maxdict, made.maxstring, made.maxother = 2, 4, 4, 40, 40
    return made


_SHORT: Final = _short()
