"""A peer that says what cannot be: it is told, or its run is, and nobody else notices."""

from random import Random

from broker.effects import Note, Send
from broker.gate import allowed
from broker.limits import JOURNALS_OF_SOURCE
from fabric.protocol import messages as m
from fabric.protocol.codec import MESSAGES
from fabric.protocol.records import Notice
from tests import hostile
from tests.unit.test_broker_broker import ANN, LAB1, LAB2, RUN, STRANGER, Lab, lab, open_run, sent

VIC = LAB1._replace(routing=b"v", role="viewer", name="vic")


def running() -> Lab:
    made = lab()
    made.say(ANN, open_run())
    return made


def batch(incarnation: int) -> m.Batch:
    record = Notice(t_ns=1, bound_ns=1, level="info", message="hello")
    return m.Batch(run=RUN, incarnation=incarnation, first=1, records=(record,))


def append(first: int = 1, incarnation: int = 1 << 48) -> m.Append:
    record = Notice(t_ns=1, bound_ns=1, level="info", message="hello")
    return m.Append(run=RUN, incarnation=incarnation, first=first, records=(record,))


def refused(made: Lab, peer: object, why: str) -> None:
    made.all = []
    made.carry_out(made.broker.refused_words(peer, why, made.now_ns))  # type: ignore[arg-type]


def test_a_node_with_too_many_journals_harms_no_other_source() -> None:
    """The limit is its own: records of the run itself and of other nodes are stored as before."""
    made = running()
    for incarnation in range(1, JOURNALS_OF_SOURCE + 1):
        made.push("lab1", batch(incarnation))
    effects = made.push("lab1", batch(JOURNALS_OF_SOURCE + 1))
    assert sent(effects, LAB1, m.Forget)
    (lost,) = sent(effects, ANN, m.NodeLost)
    assert lost.gone
    assert lost.sentence.startswith("what lab1 reports is refused: it has 128 journals in run")
    assert [note.peer for note in effects if isinstance(note, Note)] == ["lab1"]
    before = made.broker._sink.last(RUN)
    assert not sent(made.push("lab1", batch(JOURNALS_OF_SOURCE + 2)), ANN, m.NodeLost), "it is told once"
    made.push("lab2", batch(1))
    made.say(ANN, append())
    assert made.broker._sink.last(RUN) == before + 2


def test_a_run_is_told_of_a_node_that_says_what_is_no_message() -> None:
    """It would wait for the limit of the phase, and find nothing but a node that was late."""
    made = running()
    refused(made, LAB1, "ready.rtt_ns: expected 0 to 7, got 8")
    (lost,) = sent(made.all, ANN, m.NodeLost)
    assert lost.gone
    assert lost.sentence == "what lab1 says or reports is refused: ready.rtt_ns: expected 0 to 7, got 8"
    assert made.broker._sink.last(RUN) == 1, "and it stands among the records"
    refused(made, LAB1, "again")
    assert made.all == []
    made.say(ANN, m.CloseRun(request=2, run=RUN, verdict="error", result="{}"))
    refused(made, LAB2, "of no run")
    assert made.all == []


def test_an_operator_and_a_viewer_are_told_what_is_wrong_with_what_they_say() -> None:
    """They would wait for an answer until they give up, and not know why."""
    made = running()
    for peer in (ANN, VIC):
        refused(made, peer, "replay.number: expected int, got 'x'")
        (told,) = made.all
        assert isinstance(told, Send)
        assert told.message == m.Rejected(
            code="malformed", sentence="what was said is no message: replay.number: expected int, got 'x'"
        )


def test_whoever_asks_for_what_he_may_not_is_told() -> None:
    """A command that waits for an answer would wait until it gives up."""
    made = running()
    source = Random(1)
    for peer in (LAB1, ANN, VIC, STRANGER):
        for kind in (one for one in MESSAGES.values() if not allowed(peer.role, one)):
            (rejected,) = sent(made.say(peer, hostile.instance(source, kind)), peer, m.Rejected)
            assert f"may not send {kind.kind}" in rejected.sentence


def test_a_controller_whose_records_are_refused_is_told() -> None:
    """It says them again every second, and would do so for ever."""
    made = running()
    wrong = m.Append(run=RUN, incarnation=2, first=1, records=append().records)
    (denied,) = sent(made.say(ANN, wrong), ANN, m.Denied)
    assert (denied.code, denied.run) == ("refused", RUN)
    assert "2 is one of the broker's own" in denied.sentence
    for number in range(JOURNALS_OF_SOURCE):
        assert not sent(made.say(ANN, append(incarnation=(1 << 48) + number)), ANN, m.Denied)
    (denied,) = sent(made.say(ANN, append(incarnation=1 << 49)), ANN, m.Denied)
    assert denied.code == "refused"
    before = made.broker._sink.last(RUN)
    refused(made, LAB1, "nonsense")
    assert made.broker._sink.last(RUN) == before + 1, (
        "what the broker itself has to say is stored all the same"
    )
