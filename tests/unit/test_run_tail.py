"""Reading a run from a broker that is there and gives nothing out."""

from itertools import count
from typing import Any

import pytest

from fabric.controller.tail import RunTail
from fabric.errors import ConnectionRefused
from fabric.protocol.messages import RunInfo

S = 1_000_000_000
INFO = RunInfo(
    run="20260301-102207-ping-k3f9", name="t", state="closed", verdict="pass", operator="ann", opened_ns=1,
    closed_ns=2, nodes=("n1",), last=2,
)  # fmt: skip


class Mute:
    """A connection that is up, over which no answer comes; a turn takes a second."""

    url, patience_s = "tcp://lab:7400", 10.0

    def __init__(self) -> None:
        self.numbers = count(1)
        self.now = 0
        self.asked = 0

    def attach(self, tail: RunTail) -> None:
        tail.on_up(None, self.now)  # type: ignore[arg-type]

    def send(self, _replay: Any) -> None:
        self.asked += 1

    def now_ns(self) -> int:
        return self.now

    def turn(self, _deadline_ns: int | None) -> int:
        self.now += S
        return self.now


def test_a_broker_that_gives_nothing_out_is_not_waited_for_for_ever() -> None:
    """Its store may hang while it beats: `fabric runs bundle` in a script has to end, and say why."""
    mute: Any = Mute()
    tail = RunTail(mute, INFO)
    with pytest.raises(ConnectionRefused, match=f"gives out nothing of run {INFO.run} for 10 s"):
        read_all(tail)
    assert mute.now == 10 * S
    assert mute.asked > 1


def read_all(tail: RunTail) -> None:
    while not tail.done:
        assert tail.turn() == []
