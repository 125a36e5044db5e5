"""Nodes that are drained, labelled or dirty, and runs that are removed."""

from dataclasses import replace

from broker.broker import Broker
from broker.effects import Effect, EraseRun, Marks, Peer, SaveMarks
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from tests.unit.test_broker_broker import (
    ANN,
    BOB,
    LAB1,
    LAB2,
    RUN,
    SETTINGS,
    START,
    Lab,
    freed,
    hello,
    lab,
    open_run,
    running,
    sent,
    some,
)


class Keeping(Lab):
    """A lab whose catalogue keeps marks, too."""

    def carry_out(self, effects: list[Effect]) -> None:
        super().carry_out(effects)
        for effect in some(effects, SaveMarks):
            self.carry_out(self.broker.marks_saved(effect))


def keeping(made: Lab) -> Keeping:
    kept = Keeping(made.broker)
    kept.catalogue = made.catalogue
    return kept


def drain(*nodes: str, drained: bool = True, why: str = "new disk") -> m.Drain:
    return m.Drain(request=5, nodes=nodes, drained=drained, why=why)


def label(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> m.Label:
    return m.Label(request=6, nodes=("lab1",), add=add, remove=remove)


def nodes_of(broker: Lab, peer: Peer = ANN) -> dict[str, m.NodeInfo]:
    (answer,) = sent(broker.say(peer, m.NodesRequest(request=1)), peer, m.Nodes)
    return {info.name: info for info in answer.nodes}


def test_a_drained_node_is_not_to_be_had_until_it_is_let_in_again() -> None:
    """Who wants it is told who drained it, when and why; a run that has it goes on."""
    broker = keeping(lab())
    assert sent(broker.say(BOB, drain("lab1")), BOB, m.Done) == [m.Done(request=5)]
    assert nodes_of(broker)["lab1"].state == "drained"
    (denied,) = sent(broker.say(ANN, open_run()), ANN, m.Denied)
    assert (denied.code, denied.sentence) == (
        "drained",
        "lab1 is drained by bob since 2026-03-01 10:22:07 UTC: new disk",
    )
    broker.say(BOB, drain("lab1", drained=False))
    assert sent(broker.say(ANN, open_run()), ANN, m.RunOpened)
    broker.say(BOB, drain("lab1"))
    info = nodes_of(broker)["lab1"]
    assert (info.state, info.run, info.operator, info.drained_by) == ("busy", RUN, "ann", "bob")


def test_marks_outlive_the_broker() -> None:
    """The next life knows the nodes as the last one told them."""
    broker = keeping(lab())
    broker.say(ANN, drain("lab2"))
    broker.say(ANN, label(add=("gpu",)))
    known = list(nodes_of(broker).values())
    after = Lab(Broker(SETTINGS, START, nodes=known))
    after.say(LAB1, replace(hello(LAB1), labels=("own",)))
    after.say(ANN, m.OperatorHello(protocol=1, software="0", program="p", session="x", user="a", host="h"))
    infos = nodes_of(after)
    assert (infos["lab1"].labels, infos["lab1"].given_labels) == (("own", "gpu"), ("gpu",))
    assert infos["lab2"].drained_by == "ann"


def test_only_given_labels_can_be_taken_away() -> None:
    """The others would be back with the agent's next hello."""
    broker = keeping(lab())
    broker.say(LAB1, replace(hello(LAB1), labels=("own",)))
    broker.say(ANN, label(add=("gpu", "fast")))
    broker.say(ANN, label(add=("big",), remove=("gpu", "never")))
    assert nodes_of(broker)["lab1"].labels == ("own", "fast", "big")
    (denied,) = sent(broker.say(ANN, label(remove=("own",))), ANN, m.Denied)
    assert denied.sentence == "own is a label that the agent of lab1 gives it; start the agent without it"
    (denied,) = sent(broker.say(ANN, label(add=("no good",))), ANN, m.Denied)
    assert denied.sentence == "'no good' cannot be a label"


def test_all_nodes_are_marked_or_none() -> None:
    """One that is not known is named."""
    effects = keeping(lab()).say(ANN, drain("lab1", "lab7"))
    (denied,) = sent(effects, ANN, m.Denied)
    assert (denied.code, some(effects, SaveMarks)) == ("unknown_node", [])
    assert denied.sentence == "no node lab7 has ever been here; nodes: lab1, lab2"


def test_a_failed_reset_leaves_a_node_dirty_until_one_goes_well() -> None:
    """A run that had nothing to reset says nothing about it."""
    broker = keeping(running())
    effects = broker.say(LAB1, replace(freed(LAB1), reset_failed=True))
    assert some(effects, SaveMarks) == [SaveMarks({"lab1": Marks(dirty_run=RUN)})]
    assert nodes_of(broker)["lab1"].dirty_run == RUN
    broker.say(LAB1, freed(LAB1))
    assert nodes_of(broker)["lab1"].dirty_run == RUN
    step = m.Step(
        step="0/reset/a/b", verb="cmd", argv=("true",), env={}, dir=None, timeout_s=None, at_s=None, ok=(0,),
        on_fail="stop", when="always", signal=15, grace_s=1.0,
    )  # fmt: skip
    broker.say(ANN, m.Assign(run=RUN, node="lab1", on_lost="stop", lease_s=20.0, reset=(step,)))
    broker.say(LAB1, freed(LAB1))
    assert nodes_of(broker)["lab1"].dirty_run == ""
    assert some(broker.say(LAB2, freed(LAB2)), SaveMarks) == []


def test_a_run_is_removed_when_it_is_over() -> None:
    """An open one is refused, one that is not there is said to be none."""
    broker = running()
    delete = m.DeleteRun(request=9, run=RUN)
    (denied,) = sent(broker.say(ANN, delete), ANN, m.Denied)
    assert denied.code == "open"
    for node in (LAB1, LAB2):
        broker.say(node, freed(node))
    broker.say(ANN, m.CloseRun(request=2, run=RUN, verdict="pass", result="{}"))
    effects = broker.say(BOB, delete)
    assert some(effects, EraseRun) == [EraseRun(BOB, 9, RUN)]
    del broker.catalogue[RUN]
    (denied,) = sent(broker.say(BOB, delete), BOB, m.Denied)
    assert denied.code == "unknown_run"


def test_two_thousand_nodes_come_in_answers_that_fit() -> None:
    """A frame holds a mebibyte, and every agent says what it likes of itself."""
    infos = [
        m.NodeInfo(
            name=f"n{number:04}",
            state="away",
            incarnation=1,
            labels=(),
            addresses={},
            run="",
            facts={"kernel": "x" * 500},
            heard_ns=1,
        )
        for number in range(2000)
    ]
    broker = Lab(Broker(SETTINGS, START, nodes=infos))
    broker.say(ANN, m.OperatorHello(protocol=1, software="0", program="p", session="x", user="a", host="h"))
    names: list[str] = []
    pages = 0
    more = True
    while more:
        after = names[-1] if names else ""
        (answer,) = sent(broker.say(ANN, m.NodesRequest(request=1, after=after)), ANN, m.Nodes)
        assert len(encode(answer)) < 1 << 20
        names += [info.name for info in answer.nodes]
        more, pages = answer.more, pages + 1
    assert names == [info.name for info in infos]
    assert 2 <= pages <= 6
