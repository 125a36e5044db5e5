"""What a hostile or broken peer may send: messages that fit and say nonsense, and frames that are none.

All of it follows from a source of random numbers: `random.Random` with a seed, or Hypothesis's.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgpack

from fabric.errors import DecodeError
from fabric.protocol.codec import MESSAGES, RECORDS, encode
from fabric.protocol.limits import MAX_TEXT_BYTES, PROTOCOL_VERSION
from fabric.protocol.messages import Beat
from fabric.protocol.numbers import Within
from fabric.protocol.records import Record

RUN: Final = "20260301-102207-ping-k3f9"
OTHER: Final = "20260301-110000-other-aaaa"
GOOD_RUN: Final = "20260301-120000-good-0001"
NODES: Final = ("lab1", "lab2", "good", "n1")
STEP: Final = "1/run/client/ping"

INTS: Final = (0, 1, -1, 2, 255, 1 << 31, 1 << 53, (1 << 63) - 1, -(1 << 63))
FLOATS: Final = (0.0, -1.0, 1.0, 20.0, 1e300, -1e300, 5e-324, float(1 << 53))
TEXTS: Final = (
    *("", "\0", "a/b", "../../etc/passwd", "\x1b[2J", "\u202e\ufeff", "\U0010ffff", "%s{0}", "-1", "x" * 300),
    *(
        "x" * 70_000,
        "y" * MAX_TEXT_BYTES,
        "1/run",
        "0/reset",
        STEP,
        "1/a/b/c/d",
        "stdout",
        "0" * 64,
        "nonsense\n",
    ),
)
BYTES: Final = (b"", b"\0", b"0123456789abcdef", b"\xff" * 70_000)
NAMED: Final[dict[str, tuple[Any, ...]]] = {
    "run": (RUN, RUN, RUN, GOOD_RUN, OTHER, "20260301-110000-never-0000"),
    "node": (*NODES, "lab9", ""),
    "name": (*NODES, "ann", "ping"),
    "step": (STEP, STEP, "1/run/a/a-1", "0/reset/client/undo"),
    "phase": ("1/run", "0/reset", "2.3/run"),
    "session": ("one", "two"),
    "protocol": (PROTOCOL_VERSION,),
    "incarnation": (1, 1, 2, 4, 1 << 48),
    "first": (1, 1, 2, 3),
    "number": (0, 1, 2),
    "request": (0, 1, 2),
    "lease_s": (1.0, 20.0),
    "go": (1, 2),
    "size": (0, 5, 5),
    "offset": (0, 5),
}
"""What makes a message reach further than the first look at it."""

_SURROGATE: Final = "\ud800"
_DEEP: Final = 600


def message(source: Random, kinds: Sequence[type] = tuple(MESSAGES.values())) -> Any:
    """Return a well-formed message, with values that a good peer would not choose."""
    return instance(source, source.choice(kinds))


def record(source: Random) -> Any:
    """Return a well-formed record of the same sort."""
    return instance(source, source.choice(tuple(RECORDS.values())))


def frame(source: Random, kinds: Sequence[type] = tuple(MESSAGES.values())) -> bytes:
    """Return a frame: a message as it is, one with something wrong in it, or bytes."""
    try:
        good = encode(message(source, kinds))
    except DecodeError:  # it became too large
        good = encode(Beat())
    match source.randrange(6):
        case 0 | 1:
            return good
        case 2 | 3:
            return packed(_spoiled(source, msgpack.unpackb(good, strict_map_key=False)))
        case 4:
            return damaged(source, good)
        case _:
            return source.randbytes(source.choice((0, 1, 9, 200)))


def frames(source: Random, kinds: Sequence[type] = tuple(MESSAGES.values())) -> list[bytes]:
    """Return the frames of one message on a socket; mostly the one or two that belong there."""
    count = source.choice((1, 1, 1, 1, 2, 2, 2, 0, 3, 5, 40))
    more = (b"", b"12345", source.randbytes(20), frame(source, kinds))
    return [frame(source, kinds), *(source.choice(more) for _ in range(count - 1))] if count else [b""]


def damaged(source: Random, data: bytes) -> bytes:
    """Return bytes with some changed, cut off, put in or doubled."""
    at = source.randrange(len(data) + 1)
    match source.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + source.randbytes(source.randrange(1, 5)) + data[at:]
        case 2:
            return data + data
        case _:
            return data[:at] + source.randbytes(1) + data[at + 1 :]


def packed(raw: Any) -> bytes:
    """Return msgpack of anything, also of what no peer may send: half a surrogate pair is no UTF-8."""
    data: bytes = msgpack.packb(raw, unicode_errors="surrogatepass", strict_types=False)
    return data


def _spoiled(source: Random, raw: Any) -> Any:
    """Return a copy in which one thing is what it must not be."""
    if isinstance(raw, dict) and raw and source.random() < 0.8:
        name = source.choice(list(raw))
        match source.randrange(8):
            case 0:
                return {key: value for key, value in raw.items() if key != name}
            case 1:
                return raw | {source.choice(("x", "protocol", 7, b"name")): 1}
            case _:
                return raw | {name: _spoiled(source, raw[name])}
    if isinstance(raw, list) and raw and source.random() < 0.8:
        at = source.randrange(len(raw))
        return [*raw[:at], _spoiled(source, raw[at]), *raw[at + 1 :]]
    return _wrong(source)


def _wrong(source: Random) -> Any:
    deep: Any = 1
    for _ in range(_DEEP if source.random() < 0.1 else 3):
        deep = [deep] if source.random() < 0.5 else {"a": deep}
    extra = msgpack.ExtType(source.choice((0, 5, 127)), b"\0" * source.choice((0, 1, 40)))
    return source.choice(
        (
            *(None, True, False, (1 << 64) - 1, *INTS, *FLOATS, float("nan"), float("inf"), -float("inf")),
            *(*TEXTS, _SURROGATE, "a" + _SURROGATE, *BYTES, [], {}, [[]], {"": {}}, deep, extra),
            *(msgpack.Timestamp(0, 0), {1: 2}, {b"a": 1}, [0] * 20_001, ["beat", {}], "x" * 270_000),
        )
    )


def instance(source: Random, cls: type) -> Any:
    values = {}
    for name, hint in _hints(cls):
        if name == "records" and get_origin(hint) is tuple:
            values[name] = tuple(record(source) for _ in range(source.choice((0, 1, 1, 1, 2, 3))))
        elif name in NAMED and _plain(hint) in {str, int, float} and source.random() < 0.9:
            values[name] = source.choice(NAMED[name])
        else:
            values[name] = _value(source, hint)
    return cls(**values)


@cache
def _hints(cls: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple((field.name, hints[field.name]) for field in fields(cls))  # type: ignore[arg-type]


_SCALARS: Final[dict[Any, tuple[Any, ...]]] = {
    str: (*TEXTS, *NODES, RUN, GOOD_RUN),
    bytes: BYTES,
    bool: (True, False),
}


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _number(source: Random, wanted: type, within: Within) -> float:
    """Return a number of the range, mostly one where it ends."""
    ends = (within.least, within.most, *(one for one in FLOATS if within.least <= one <= within.most))
    if wanted is float:
        return source.choice((*ends, source.uniform(within.least, within.most)))
    least, most = int(within.least), int(within.most)
    inner = (one for one in INTS if least <= one <= most)
    return source.choice((least, most, least + 1, most - 1, source.randint(least, most), *inner))


def _value(source: Random, hint: Any) -> Any:
    if hint in _SCALARS:
        return source.choice(_SCALARS[hint])
    if hint == Record:
        return record(source)
    if isinstance(hint, type) and is_dataclass(hint):
        return instance(source, hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _number(source, args[0], args[1])
    if origin is Literal:
        return source.choice(args)
    if origin is tuple:
        if args[0] is str and source.random() < 0.7:
            return tuple(source.sample(NODES, source.randrange(3)))
        return tuple(_value(source, args[0]) for _ in range(source.randrange(3)))
    if origin is dict:
        return {_value(source, args[0]): _value(source, args[1]) for _ in range(source.randrange(3))}
    assert origin in (Union, UnionType)
    inner = [arg for arg in args if arg is not NoneType]
    return None if source.random() < 0.3 else _value(source, inner[0])
