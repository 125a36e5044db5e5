"""Looking for nodes that others want too."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import fabric.cli.attach
import fabric.cli.exec
import fabric.controller.execute
from fabric.controller.cleaning import clean
from fabric.controller.execute import Executed, nodes_for
from fabric.controller.finding import RACES, Wait, races
from fabric.protocol.limits import RETURN_S
from fabric.protocol.messages import Clean, Denied, Done, NodeInfo, Nodes, NodesRequest
from fabric.trial.shortage import LabError

S = 1_000_000_000


class Clock:
    """As much of a connection as is asked for the time."""

    now = 5 * S
    loop = SimpleNamespace(wake=lambda: None)

    def now_ns(self) -> int:
        return self.now


def test_who_does_not_wait_looks_a_few_times() -> None:
    """Another one was faster: other nodes may do, but where all are in use that is said."""
    clock: Any = Clock()
    assert [left.limit_s for left in races(clock, Wait())] == [0.0] * RACES


def test_who_waits_looks_until_the_wait_is_over() -> None:
    """Six that wait for one node see it free at the same moment; each look has what is left."""
    clock: Any = Clock()
    lefts = []
    for left in races(clock, Wait(8.0)):
        lefts.append(left.limit_s)
        clock.now += S
    assert lefts == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


class Lab(Clock):
    """A broker that has started, with nodes that come back one by one: one look, one node."""

    def __init__(self, *names: str) -> None:
        self.late = list(names)
        self.names = names
        self.numbers = count(1)
        self.asked = 0

    def ask(self, request: NodesRequest) -> Nodes:
        self.asked += 1
        found = tuple(
            NodeInfo(
                name=name, state="away" if name in self.late else "free", expected=name in self.late,
                incarnation=1, labels=("x",), addresses={}, facts={}, run="", heard_ns=1,
            )
            for name in self.names
        )  # fmt: skip
        self.late = self.late[1:]
        return Nodes(request=request.request, nodes=found, more=False)

    def turn(self, until_ns: int) -> int:
        self.now = until_ns
        return until_ns


@pytest.mark.parametrize("spec", ["n[1-2]", "@x"])
def test_nodes_that_are_not_back_since_the_start_of_the_broker_are_waited_for(spec: str) -> None:
    """Without `--wait`: they would be there if nobody had restarted it.  Each change is told once."""
    lab: Any = Lab("n1", "n2")
    told: list[str] = []
    assert nodes_for(lab, spec, Wait(tell=told.append)) == ("n1", "n2")
    since = "not come back since the broker's start"
    assert told == [f"n[1-2] have {since}", f"n2 has {since}"]
    assert lab.asked == 3


def test_others_are_not_waited_for() -> None:
    """Two of three are free: that the third is not back matters to nobody."""
    lab: Any = Lab("n1", "n2", "n3")
    lab.late = ["n1"]
    assert nodes_for(lab, "2 of @x", Wait()) == ("n2", "n3")
    lab.late = ["n1"]
    assert nodes_for(lab, "n2", Wait()) == ("n2",)
    assert lab.asked == 2


def test_a_broker_that_starts_again_and_again_is_not_waited_for_for_ever() -> None:
    """No wait is without a limit."""
    lab: Any = Lab("n1")
    lab.late = ["n1"] * 10_000
    with pytest.raises(LabError, match="n1 is away: not back since the broker's start"):
        nodes_for(lab, "@x", Wait())
    assert lab.now <= 5 * S + 2 * RETURN_S * S + S


def test_a_clean_waits_for_a_node_that_is_not_back() -> None:
    """The broker says so until it is; then the answer counts."""
    lab: Any = Lab()
    told: list[str] = []
    ended: list[str] = []

    asked: list[Clean] = []
    lab.send = asked.append
    handlers: list[Any] = []
    lab.attach = handlers.append

    def turn(until_ns: int) -> int:
        is_late = len(asked) < 4
        late = Denied(request=asked[-1].request, code="expected", sentence="n1 is not back")
        handlers[0].on_message(late if is_late else Done(request=asked[-1].request), until_ns)
        lab.now = until_ns
        return until_ns

    lab.turn = turn
    failed = clean(
        lab, ["n1"], force=False, tell=lambda node, why: ended.append(node + why), wait=told.append
    )
    assert (failed, ended, told, len(asked)) == ({}, ["n1"], ["n1 is not back"], 4)


def test_exec_looks_again_if_somebody_else_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` is no promise to look once."""
    waits: list[float] = []

    @contextmanager
    def attached(*_: object, **__: object) -> Iterator[Any]:
        yield Clock()

    def looked_for(_: object, spec: str, wait: Wait) -> tuple[str, ...]:
        waits.append(wait.limit_s)
        return (spec,)

    def execute(*_: object) -> Executed:
        late = len(waits) <= RACES
        return Executed(
            run="r",
            verdict="error" if late else "pass",
            whys=("lab1 is in use",) if late else (),
            started=not late,
            was_late=late,
            ends={},
            passes_over=False,
        )

    monkeypatch.setattr(fabric.cli.attach, "attached", attached)
    monkeypatch.setattr(fabric.controller.execute, "nodes_for", looked_for)
    monkeypatch.setattr(fabric.cli.exec, "_execute", execute)
    done = CliRunner().invoke(fabric.cli.exec.main, ["lab1", "--wait=20s", "--", "true"])
    assert (done.exit_code, waits) == (0, [20.0] * (RACES + 1)), done.output
