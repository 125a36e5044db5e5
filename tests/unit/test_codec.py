"""The codec: what goes in comes out, and nothing but well-formed messages gets in."""

import contextlib
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.errors import DecodeError, ProtocolError, VersionMismatch
from fabric.protocol import messages as m
from fabric.protocol.codec import (
    MESSAGES,
    RECORDS,
    decode,
    decode_as,
    decode_record,
    encode,
    encode_batch,
    encode_record,
)
from fabric.protocol.limits import MAX_FRAME_BYTES, MAX_ITEMS, MAX_TEXT_BYTES, PROTOCOL_VERSION
from fabric.protocol.records import Notice, Output, Record, StepFinished

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return well-formed values for an annotation of a message."""
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        bytes: st.binary(max_size=20),
        bool: st.booleans(),
    }
    if hint in scalars:
        return scalars[hint]
    if hint == Record:
        return st.one_of([instances(cls) for cls in RECORDS.values()])
    if isinstance(hint, type) and is_dataclass(hint):
        return instances(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        least, most = args[1].least, args[1].most
        return st.integers(least, most) if args[0] is int else st.floats(least, most)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=3)
    assert origin in (Union, UnionType)
    return st.one_of([st.none() if arg is NoneType else values(arg) for arg in args])


def instances(cls: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, include_extras=True)
    parts = {field.name: values(hints[field.name]) for field in fields(cls)}  # type: ignore[arg-type]
    if "protocol" in parts:
        parts["protocol"] = st.just(PROTOCOL_VERSION)
    return st.builds(cls, **parts)


ANY_MESSAGE = st.one_of([instances(cls) for cls in MESSAGES.values()])
HELLO = m.OperatorHello(protocol=PROTOCOL_VERSION, software="0", program="p", session="s", user="u", host="h")
BEAT = encode(m.Beat())
FINISHED = StepFinished(
    t_ns=1, bound_ns=1, step="1/run/a/b", attempt=1, reason="exited", failed=False, exit_code=0, signal=None,
    message="exit 0", duration_ns=1, stdout_bytes=0, stderr_bytes=0, user_s=0.0, system_s=0.0, max_rss_kib=1,
    pipe_held=False, survivors=(),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(ANY_MESSAGE)
def test_every_message_comes_out_as_it_went_in(message: Any) -> None:
    """The wire must change nothing."""
    assert decode(encode(message)) == message


@settings(max_examples=100, deadline=None)
@given(st.lists(values(Record), max_size=5))
def test_packed_records_make_the_same_batch(records: list[Any]) -> None:
    """The journal packs each record once and never unpacks it to send it."""
    batch = m.Batch(run="r", incarnation=1, first=1, records=tuple(records))
    frame = encode_batch(replace(batch, records=()), [encode_record(record) for record in records])
    assert decode(frame) == batch


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_read_but_never_crash(frame: bytes) -> None:
    """Strangers send what they like."""
    with contextlib.suppress(ProtocolError):
        decode(frame)


@settings(max_examples=500, deadline=None)
@given(ANY_MESSAGE, st.data())
def test_a_damaged_frame_is_refused_or_read_but_never_crashes(message: Any, data: st.DataObject) -> None:
    """Bytes changed, cut, put in."""
    frame = bytearray(encode(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    match data.draw(st.sampled_from(["change", "cut", "insert"])):
        case "change":
            frame[at] = data.draw(st.integers(0, 255))
        case "cut":
            del frame[at:]
        case _:
            frame[at:at] = data.draw(st.binary(min_size=1, max_size=5))
    with contextlib.suppress(ProtocolError):
        decode(bytes(frame))


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats() | TEXT | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_a_field_of_another_type_is_refused_by_name(kind: str, data: st.DataObject) -> None:
    """Behind the codec types are trusted, so nothing of another type may pass it."""
    cls = MESSAGES[kind]
    good = data.draw(instances(cls))
    body = msgpack.unpackb(encode(good), strict_map_key=False)[1]
    if not body:
        return
    name = data.draw(st.sampled_from(sorted(body)))
    body[name] = data.draw(JSON_LIKE)
    try:
        message = decode(msgpack.packb([kind, body]))
    except VersionMismatch:
        return
    except DecodeError as error:
        assert name in str(error)  # noqa: PT017 - refusing is one of two good ends
        return
    again = msgpack.unpackb(encode(message), strict_map_key=False)[1]
    assert again[name] == body[name]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (BEAT + b"\x00", "not msgpack"),
        (msgpack.packb("beat"), "expected [kind, fields]"),
        (msgpack.packb(["beat"]), "expected [kind, fields]"),
        (msgpack.packb([1, {}]), "expected [kind, fields]"),
        (msgpack.packb(["nonsense", {}]), "unknown kind 'nonsense'"),
        (msgpack.packb(["beat", []]), "beat: expected a map"),
        (msgpack.packb(["beat", {"x": 1}]), "beat: has unknown fields 'x'"),
        (msgpack.packb(["probe", {}]), "probe: lacks t1_ns"),
        (msgpack.packb(["probe", {"t1_ns": "7"}]), "probe.t1_ns: expected int, got '7'"),
        (msgpack.packb(["probe", {"t1_ns": True}]), "probe.t1_ns: expected int, got True"),
        (msgpack.packb(["probe", {"t1_ns": 2**62}]), "t1_ns: expected 0 to 4611686018427387903, got 46"),
        (msgpack.packb(["probe", {"t1_ns": -1}]), "probe.t1_ns: expected 0 to"),
        (msgpack.packb(["probe", {1: 2}]), "not msgpack"),
        (msgpack.packb(["probe", {"t1_ns": msgpack.ExtType(4, b"x")}]), "not msgpack"),
    ],
)
def test_a_refusal_says_where_what_was_wanted_and_what_came(frame: bytes, words: str) -> None:
    """Whoever writes a peer finds his mistake from the log line."""
    with pytest.raises(DecodeError) as caught:
        decode(frame)
    assert words in str(caught.value)


@pytest.mark.parametrize("depth", [10, 500, 100_000])
def test_nested_frames_are_refused(depth: int) -> None:
    """A bomb of brackets must cost an error, not the stack."""
    with pytest.raises(DecodeError):
        decode(b"\x91" * depth + b"\x01")


def test_headers_that_promise_too_much_are_refused_before_anything_is_made() -> None:
    """Four bytes must not make 4 GiB."""
    for header in (
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ):
        with pytest.raises(DecodeError):
            decode(b"\x92\xa4beat" + header)


def test_limits_on_sizes_hold() -> None:
    """At the limit is fine where it can be; over it is not."""
    notice = Notice(t_ns=0, bound_ns=0, level="info", message="x" * MAX_TEXT_BYTES)
    assert decode(encode(m.Append(run="r", incarnation=1, first=1, records=(notice,))))
    long = replace(notice, message="x" * (MAX_TEXT_BYTES + 1))
    with pytest.raises(DecodeError):
        decode(encode(m.Append(run="r", incarnation=1, first=1, records=(long,))))
    many = msgpack.packb(["append", {"records": [1] * (MAX_ITEMS + 1)}])
    with pytest.raises(DecodeError):
        decode(many)
    with pytest.raises(DecodeError, match="over the limit"):
        decode(b"\x00" * (MAX_FRAME_BYTES + 1))
    with pytest.raises(DecodeError, match="over the limit"):
        encode(m.Append(run="r", incarnation=1, first=1, records=(notice,) * 5))


@pytest.mark.parametrize(
    "theirs", [0, PROTOCOL_VERSION + 1, str(PROTOCOL_VERSION), None, -1, float(PROTOCOL_VERSION)]
)
def test_another_version_is_told_in_a_sentence(theirs: Any) -> None:
    """Whatever else that version has in its hello."""
    body = {"protocol": theirs, "something": "new"}
    with pytest.raises(VersionMismatch) as caught:
        decode(msgpack.packb(["operator_hello", body]))
    assert f"the command speaks protocol {theirs!r}, the broker protocol {PROTOCOL_VERSION}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("kind", "theirs", "way_out"),
    [
        ("agent_hello", PROTOCOL_VERSION - 1, "upgrade testfabric of the agent"),
        ("agent_hello", PROTOCOL_VERSION + 1, "upgrade testfabric where the broker runs"),
        ("operator_hello", PROTOCOL_VERSION - 1, "upgrade testfabric of the command"),
        ("enrol", PROTOCOL_VERSION - 1, "upgrade testfabric of who wants to join"),
        ("welcome", PROTOCOL_VERSION - 1, "upgrade testfabric where the broker runs"),
        ("welcome", PROTOCOL_VERSION + 1, "upgrade testfabric on this machine"),
        ("welcome", None, "install the same version of testfabric on both machines"),
    ],
)
def test_the_older_side_is_the_one_to_upgrade(kind: str, theirs: int | None, way_out: str) -> None:
    """Whoever reads it must not have to find out which number is whose."""
    with pytest.raises(VersionMismatch, match=r"9\.9") as caught:
        decode(msgpack.packb([kind, {"protocol": theirs, "software": "9.9"}]))
    assert caught.value.hint == way_out


def test_a_record_of_an_earlier_version_has_the_defaults() -> None:
    """What is stored is older than any peer, and has to be read."""
    kind, fields = msgpack.unpackb(encode_record(FINISHED))
    del fields["retried"]
    assert decode_record([kind, fields]) == FINISHED
    del fields["message"]
    with pytest.raises(DecodeError, match="lacks message"):
        decode_record([kind, fields])


def test_one_type_can_be_asked_for() -> None:
    """The feed carries entries and beacons, nothing else is taken for them."""
    assert decode_as(encode(HELLO), m.OperatorHello) == HELLO
    with pytest.raises(DecodeError, match="expected OperatorHello, got Beat"):
        decode_as(BEAT, m.OperatorHello)


def test_a_record_of_no_kind_is_refused() -> None:
    """The table of records is closed too."""
    with pytest.raises(DecodeError, match="unknown kind of record 'beat'"):
        decode_record(["beat", {}])
    output = Output(t_ns=1, bound_ns=2, step="1/a/b/c", attempt=1, stream="stdout", offset=3, size=4)
    assert decode_record(msgpack.unpackb(encode_record(output))) == output


def test_kinds_are_unique_and_the_table_is_complete() -> None:
    """Two messages of one kind would shadow each other."""
    assert len(MESSAGES) == len(get_args(m.Message))
    assert len(RECORDS) == len(get_args(Record))
