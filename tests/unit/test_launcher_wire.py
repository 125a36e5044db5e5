"""Frames between agent and launcher."""

from typing import Any

import pytest

from agents.launcher import wire


def test_messages_survive_any_cut_of_the_stream() -> None:
    """A stream socket keeps bytes, not messages: a frame may come in any number of pieces."""
    messages: list[tuple[dict[str, Any], int]] = [
        ({"do": "arm", "env": {"A": "b"}}, 0),
        ({"ev": "armed", "n": [1, 2.5, None, True]}, 2),
    ]
    stream = b"".join(wire.encode(message, fds) for message, fds in messages)
    for size in (1, 2, 7, len(stream)):
        reader = wire.Reader()
        found = [got for at in range(0, len(stream), size) for got in reader.feed(stream[at : at + size])]
        assert found == messages


def test_bytes_of_an_environment_survive() -> None:
    """An environment is bytes; what is no UTF-8 comes as lone surrogates and has to go on so."""
    text = b"\xff\xe9 \x01".decode("utf-8", "surrogateescape")
    ((message, _),) = wire.Reader().feed(wire.encode({"v": text}))
    assert message["v"].encode("utf-8", "surrogateescape") == b"\xff\xe9 \x01"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff\x00",  # a length beyond the limit
        b"\x00\x00\x00\x03\x00abc",  # no JSON
        b"\x00\x00\x00\x02\x00[]",  # JSON, but no message
        b"\x00\x00\x00\x02\x00\xff\xff",  # not even ASCII
        b"\x00\x00\x00\x00\x00",  # nothing
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    """The launcher closes on garbage instead of waiting for 4 GB or failing somewhere else."""
    with pytest.raises(wire.WireError):
        wire.Reader().feed(data)


def test_a_frame_over_the_limit_is_not_sent() -> None:
    """The sender hears of it, rather than being cut off by the receiver."""
    with pytest.raises(wire.WireError):
        wire.encode({"v": "x" * wire.MAX_FRAME_BYTES})
