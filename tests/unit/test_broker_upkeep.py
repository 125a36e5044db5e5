"""Nodes that are drained, labelled or dirty, and runs that are removed."""

from dataclasses import replace

from broker.broker import Broker
from broker.effects import Effect, EraseRun, Marks, Peer, SaveMarks
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from fabric.protocol.limits import PROTOCOL_VERSION
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

OTHER_RUN = "20260302-102207-ping-k3f9"


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


def close(broker: Lab) -> None:
    broker.say(ANN, m.CloseRun(request=9, run=RUN, verdict="error", result="{}"))


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
    after.say(
        ANN,
        m.OperatorHello(
            protocol=PROTOCOL_VERSION, software="0", program="p", session="x", user="a", host="h"
        ),
    )
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


def dirty(broker: Lab | None = None) -> Lab:
    """Return a broker whose lab1 a run has left dirty, and that run is over."""
    broker = keeping(running()) if broker is None else broker
    broker.say(LAB1, replace(freed(LAB1), reset_failed=True, reset_why="reset/db/1: exit 1"))
    broker.say(LAB2, freed(LAB2))
    close(broker)
    return broker


def clean(*, force: bool = False, request: int = 7) -> m.Clean:
    return m.Clean(request=request, node="lab1", clean="c1", force=force)


def test_a_failed_reset_leaves_a_node_dirty_until_it_is_cleaned() -> None:
    """Why and since when is told; nothing that a run does makes it clean."""
    broker = keeping(running())
    effects = broker.say(LAB1, replace(freed(LAB1), reset_failed=True, reset_why="exit 1"))
    marks = Marks(dirty_run=RUN, dirty_why="exit 1", dirty_ns=broker.now_ns)
    assert some(effects, SaveMarks) == [SaveMarks({"lab1": marks})]
    broker.say(LAB1, freed(LAB1))
    info = nodes_of(broker)["lab1"]
    assert (info.dirty_run, info.dirty_why, info.dirty_ns) == (RUN, "exit 1", broker.now_ns)
    assert some(broker.say(LAB2, freed(LAB2)), SaveMarks) == []


def test_a_dirty_node_is_refused_but_for_a_command_of_a_person() -> None:
    """The next run must not measure what the last one has left; who cleans up by hand needs a command."""
    broker = dirty()
    assert nodes_of(broker)["lab1"].state == "dirty"
    (denied,) = sent(broker.say(ANN, open_run(OTHER_RUN)), ANN, m.Denied)
    assert denied.code == "dirty"
    assert f"the reset of run {RUN} did not succeed (reset/db/1: exit 1)" in denied.sentence
    assert "`fabric nodes clean lab1`" in denied.sentence
    assert sent(broker.say(ANN, replace(open_run(OTHER_RUN), dirty_too=True)), ANN, m.RunOpened)


def test_what_failed_after_the_end_of_the_run_counts_too() -> None:
    """A node that was cut off resets alone, and nobody waits for it."""
    broker = keeping(running())
    close(broker)
    broker.say(LAB1, replace(freed(LAB1), reset_failed=True))
    assert nodes_of(broker)["lab1"].dirty_run == RUN


def test_a_hello_tells_that_a_node_is_dirty() -> None:
    """The word of it may have been lost, or the broker's memory."""
    broker = keeping(lab())
    left = m.DirtyRun(run=RUN, why="exit 1", since_ns=5)
    broker.say(LAB1, replace(hello(LAB1), dirty=(left,)))
    info = nodes_of(broker)["lab1"]
    assert (info.state, info.dirty_run, info.dirty_why, info.dirty_ns) == ("dirty", RUN, "exit 1", 5)
    assert some(broker.say(LAB1, replace(hello(LAB1), dirty=(left,))), SaveMarks) == []
    broker.say(LAB1, hello(LAB1))
    assert nodes_of(broker)["lab1"].dirty_run == RUN, "a new state directory makes no machine clean"


def test_a_hello_tells_that_a_node_was_cleaned() -> None:
    """The broker died before it heard so; that nothing is owed does not say it: the state may be lost."""
    broker = dirty()
    other = replace(hello(LAB1), cleaned=(OTHER_RUN,))
    still = replace(hello(LAB1), cleaned=(RUN,), dirty=(m.DirtyRun(run=RUN, why="exit 1", since_ns=5),))
    for said in (hello(LAB1), other, still):
        broker.say(LAB1, said)
        assert nodes_of(broker)["lab1"].dirty_run == RUN
    broker.say(LAB2, replace(hello(LAB2), cleaned=(RUN,)))
    broker.say(LAB2, m.Cleaned(node="lab1", clean="", why=""))
    assert nodes_of(broker)["lab1"].dirty_run == RUN, "no node speaks for another"
    broker.say(LAB1, replace(hello(LAB1), cleaned=(OTHER_RUN, RUN)))
    assert (nodes_of(broker)["lab1"].state, nodes_of(broker)["lab1"].dirty_run) == ("free", "")


def test_cleaning_is_done_by_the_agent_and_then_told() -> None:
    """The question may be repeated; the answer goes to who has asked last."""
    broker = dirty()
    passed_on = replace(clean(), run=RUN)
    assert sent(broker.say(ANN, clean()), LAB1, m.Clean) == [passed_on]
    assert sent(broker.say(ANN, clean()), LAB1, m.Clean) == [passed_on]
    effects = broker.say(LAB1, m.Cleaned(node="lab1", clean="c1", why="exit 2"))
    (denied,) = sent(effects, ANN, m.Denied)
    assert (denied.request, denied.code, denied.sentence) == (7, "dirty", "exit 2")
    assert nodes_of(broker)["lab1"].dirty_why == "exit 2"
    broker.say(ANN, clean(request=8))
    effects = broker.say(LAB1, m.Cleaned(node="lab1", clean="c1", why=""))
    assert sent(effects, ANN, m.Done) == [m.Done(request=8)]
    assert nodes_of(broker)["lab1"].state == "free"
    assert sent(broker.say(ANN, clean()), ANN, m.Done), "that it is clean is said again, too"


def test_what_cannot_be_cleaned_now_is_told() -> None:
    """Each with its reason."""
    broker = dirty()
    wrong = replace(clean(), node="lab7")
    assert sent(broker.say(ANN, wrong), ANN, m.Denied)[0].code == "unknown_node"
    broker.say(ANN, replace(open_run(OTHER_RUN), dirty_too=True))
    assert sent(broker.say(ANN, clean()), ANN, m.Denied)[0].code == "busy"
    broker.say(LAB1, m.Goodbye(sentence="SIGTERM"))
    assert sent(broker.say(ANN, clean()), ANN, m.Denied)[0].code == "away"


def test_a_node_that_ends_its_part_alone_is_busy() -> None:
    """Its steps would disturb the next run, and its reset what that has set up."""
    broker = keeping(lab())
    broker.say(LAB1, replace(hello(LAB1), alone=(RUN,)))
    info = nodes_of(broker)["lab1"]
    assert (info.state, info.run, info.operator) == ("busy", RUN, "")
    (denied,) = sent(broker.say(ANN, open_run(OTHER_RUN)), ANN, m.Denied)
    assert (denied.code, denied.sentence) == ("busy", f"lab1 still ends its part of run {RUN} by itself")
    broker.say(LAB1, freed(LAB1))
    assert sent(broker.say(ANN, open_run(OTHER_RUN)), ANN, m.RunOpened)


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
    broker.say(
        ANN,
        m.OperatorHello(
            protocol=PROTOCOL_VERSION, software="0", program="p", session="x", user="a", host="h"
        ),
    )
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
