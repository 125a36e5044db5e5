"""Texts that people give: whatever is too long is refused with a sentence, where it was given."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from fabric.controller import upkeep
from fabric.controller.command import Command, command_run
from fabric.controller.outcome import result_text
from fabric.controller.verdict import WHY_CHARS, Findings
from fabric.errors import DecodeError, UsageError
from fabric.protocol.codec import decode, encode_readable
from fabric.protocol.limits import MAX_TEXT_BYTES, MAX_WHY_CHARS
from fabric.protocol.messages import Done, Drain
from tests.unit.run_lab import RUN


def connection() -> Any:
    """Return a connection to a broker that does as it is told."""
    return SimpleNamespace(numbers=count(1), ask=lambda message: Done(request=message.request))


def test_a_reason_that_is_too_long_is_refused_before_it_is_sent() -> None:
    """A broker drops what it cannot read; no answer comes then."""
    upkeep.drain(connection(), ["lab1"], drained=True, why="x" * MAX_WHY_CHARS)
    with pytest.raises(UsageError, match=r"1000000 characters, over the limit of 500"):
        upkeep.drain(connection(), ["lab1"], drained=True, why="x" * 1_000_000)


def test_a_label_that_is_none_is_refused_before_it_is_sent() -> None:
    """In the words that an agent has for it."""
    upkeep.label(connection(), ["lab1"], ["gpu"], ["x" * 1_000_000])
    with pytest.raises(UsageError, match=r"xxx cannot be a label"):
        upkeep.label(connection(), ["lab1"], ["x" * 1_000_000], [])


@pytest.mark.parametrize(("size", "is_sent"), [(MAX_TEXT_BYTES, True), (MAX_TEXT_BYTES + 1, False)])
def test_a_message_that_no_peer_would_read_is_not_sent(size: int, *, is_sent: bool) -> None:
    """It has a frame of a size that is taken, and a text in it that is not."""
    message = Drain(request=1, nodes=("lab1",), drained=True, why="x" * size)
    if is_sent:
        assert decode(encode_readable(message)) == message
        return
    with pytest.raises(DecodeError, match=f"drain: a text in it is over the limit of {MAX_TEXT_BYTES} bytes"):
        encode_readable(message)


def test_a_command_that_is_too_long_is_refused_before_nodes_are_reserved() -> None:
    """No single word of it is."""
    command = Command.of(["true", *["x" * 100_000] * 3])
    with pytest.raises(UsageError, match="over the limit of"):
        command_run(run=RUN, nodes=["lab1"], command=command, lease_s=20.0)


def test_a_reason_of_the_verdict_is_a_sentence() -> None:
    """A program whose name has 100 kB is not there: nobody wants to read all of it, twice."""
    findings = Findings()
    findings.add("fail", f"t.toml:6: there is no program {'x' * 100_000} on lab1")
    (why,) = findings.whys
    assert len(why) <= WHY_CHARS + 5
    assert (why[:30], why[-10:]) == ("t.toml:6: there is no program ", "xx on lab1")


def test_reasons_without_end_do_not_keep_a_run_open() -> None:
    """The broker takes a result of a certain length, and closes the run with it."""
    whys = [f"{number} {'x' * WHY_CHARS}" for number in range(250)]
    text = result_text({"why": whys, "steps": [{}] * 3})
    assert len(text) <= MAX_TEXT_BYTES
    assert whys[0] in text
