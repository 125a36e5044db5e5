"""A go: all nodes confirm it, or it is taken back."""

import pytest

from broker.effects import Effect, PublishGo, ToController, ToNode
from broker.rounds import GoRound
from fabric.protocol.messages import (
    Abort,
    Aborted,
    Confirm,
    Declined,
    Go,
    GoAborted,
    GoCommitted,
    StartPhase,
)
from fabric.timing.lead import Pace

MS = 1_000_000
DECIDED_NS = 950 * MS
RUN = "20260301-102207-ping-k3f9"
GO = Go(run=RUN, phase="1/run", go=1, epoch=7, t0_ns=1000 * MS)
ABORT = Abort(run=RUN, phase="1/run", go=1)
CONFIRM = Confirm(run=RUN, phase="1/run", go=1, t0_ns=1000 * MS)


def request(*nodes: str, lead_s: float | None = 0.1) -> StartPhase:
    return StartPhase(run=RUN, phase="1/run", go=1, nodes=nodes, lead_s=lead_s, max_rtt_ns=MS)


def begun(*nodes: str) -> GoRound:
    """Return a go at 900 ms with t0 at 1000 ms: again at 940 and 950, decided at 960."""
    go = GoRound(request(*nodes), 7, 900 * MS, Pace())
    go.start(lambda _: True)
    return go


def aborted(started: bool = False, t0_ns: int = 1000 * MS) -> Aborted:
    return Aborted(run=RUN, phase="1/run", go=1, started=started, t0_ns=t0_ns if started else 0)


def result(effects: list[Effect]) -> GoCommitted | GoAborted:
    (effect,) = effects
    assert isinstance(effect, ToController)
    assert isinstance(effect.message, GoCommitted | GoAborted)
    return effect.message


def test_a_go_goes_at_once_by_control_to_nodes_that_do_not_listen() -> None:
    """A broadcast right after a subscription reaches few; the XPUB knows who has subscribed."""
    go = GoRound(request("a", "b"), 7, 900 * MS, Pace())
    assert go.start(lambda node: node == "a") == [PublishGo(GO), ToNode("b", GO)]


def test_the_lead_is_computed_from_round_trip_and_nodes_unless_it_is_given() -> None:
    """The slowest node must have heard the go, and the trial's word counts more than ours."""
    computed = GoRound(request("a", lead_s=None), 7, 0, Pace())
    (published,) = computed.start(lambda _: True)
    assert isinstance(published, PublishGo)
    assert isinstance(published.message, Go)
    assert published.message.t0_ns > 20 * MS
    given = GoRound(request("a", lead_s=3600.0), 7, 0, Pace()).start(lambda _: True)[0]
    assert isinstance(given, PublishGo)
    assert isinstance(given.message, Go)
    assert given.message.t0_ns == 60_000 * MS, "a lead has a limit"


def test_a_go_is_committed_when_the_last_node_has_confirmed_and_only_once() -> None:
    """All start: that is known with the last confirmation, however often they come."""
    go = begun("a", "b")
    assert go.receive("a", CONFIRM, 901 * MS) == []
    assert go.receive("a", CONFIRM, 902 * MS) == []
    committed = result(go.receive("b", CONFIRM, 903 * MS))
    assert committed == GoCommitted(
        run=RUN, phase="1/run", go=1, t0_ns=1000 * MS, lead_ns=100 * MS, confirm_ns=3 * MS
    )
    assert go.receive("b", CONFIRM, 904 * MS) == []
    assert go.deadline_ns is None
    assert go.expire(5000 * MS) == []


def test_a_silent_node_gets_the_go_again_twice_before_it_is_decided() -> None:
    """Lost broadcasts must cost nothing but a unicast, and only to those who need it."""
    go = begun("a", "b")
    go.receive("a", CONFIRM, 901 * MS)
    assert go.expire(940 * MS - 1) == []
    assert go.deadline_ns == 940 * MS
    assert go.expire(940 * MS) == [ToNode("b", GO)]
    assert go.expire(940 * MS) == []
    assert go.expire(945 * MS) == [ToNode("b", GO)]
    assert go.deadline_ns == DECIDED_NS


def test_a_node_that_is_silent_at_the_guard_has_the_go_taken_back_from_all() -> None:
    """All start or none does."""
    go = begun("a", "b")
    go.receive("a", CONFIRM, 901 * MS)
    go.expire(945 * MS)
    assert go.expire(DECIDED_NS - 1) == []
    assert go.expire(DECIDED_NS) == [PublishGo(ABORT), ToNode("a", ABORT), ToNode("b", ABORT)]
    assert go.receive("a", aborted(), 961 * MS) == []
    failed = result(go.receive("b", aborted(), 977 * MS))
    assert isinstance(failed, GoAborted)
    assert failed.reasons == {"b": "b did not confirm the go in time"}
    assert (failed.started, failed.late) == ((), True)


def test_a_confirmation_after_the_guard_counts_while_no_abort_was_sent() -> None:
    """The node starts by itself, so a broker that woke late must not call it back."""
    go = begun("a")
    assert isinstance(result(go.receive("a", CONFIRM, 990 * MS)), GoCommitted)


def test_a_node_that_declines_has_the_go_taken_back_at_once_with_its_reason() -> None:
    """The controller is told why, and nobody waits for the guard."""
    go = begun("a", "b")
    no = Declined(run=RUN, phase="1/run", go=1, sentence="its clock bound is gone")
    assert go.receive("b", no, 901 * MS)[0] == PublishGo(ABORT)
    assert go.receive("a", CONFIRM, 902 * MS) == [], "a confirmation that crossed the abort changes nothing"
    go.receive("a", aborted(), 903 * MS)
    failed = result(go.receive("b", aborted(), 903 * MS))
    assert isinstance(failed, GoAborted)
    assert failed.reasons == {"b": "its clock bound is gone"}
    assert not failed.late, "a longer lead would not have helped"


def test_an_abort_is_repeated_until_it_is_answered_and_given_up_after_two_seconds() -> None:
    """It races with t0, so it is said every 20 ms; a dead node must not hang the run."""
    go = begun("a", "b")
    go.expire(DECIDED_NS)
    go.receive("a", aborted(), 961 * MS)
    assert go.expire(DECIDED_NS + 20 * MS - 1) == []
    assert go.expire(DECIDED_NS + 20 * MS) == [ToNode("b", ABORT)]
    assert go.expire(DECIDED_NS + 40 * MS) == [ToNode("b", ABORT)]
    go.expire(2000 * MS + DECIDED_NS - 1)
    failed = result(go.expire(2000 * MS + DECIDED_NS))
    assert isinstance(failed, GoAborted)
    assert set(failed.reasons) == {"a", "b"}
    assert go.expire(9999 * MS) == []


def test_a_confirmed_node_that_does_not_answer_the_abort_is_named() -> None:
    """It may have started: the controller must not believe that nobody did."""
    go = begun("a", "b")
    go.receive("a", CONFIRM, 901 * MS)
    go.expire(DECIDED_NS)
    go.receive("b", aborted(), 961 * MS)
    failed = result(go.expire(2000 * MS + DECIDED_NS))
    assert isinstance(failed, GoAborted)
    assert failed.reasons["a"] == "a did not answer the abort"


def test_nodes_that_an_abort_reached_too_late_are_named() -> None:
    """A partial start must be known, or its numbers would be trusted."""
    go = begun("a", "b")
    go.expire(DECIDED_NS)
    go.receive("a", aborted(started=True), 961 * MS)
    failed = result(go.receive("b", aborted(), 961 * MS))
    assert isinstance(failed, GoAborted)
    assert (failed.started, failed.t0_ns) == (("a",), 1000 * MS)


def test_a_go_that_all_have_kept_in_spite_of_its_abort_counts() -> None:
    """A broker that was held up must not spoil a phase that has started everywhere at t0."""
    go = begun("a", "b")
    go.expire(DECIDED_NS)
    assert go.receive("a", aborted(started=True), 1001 * MS) == []
    committed = result(go.receive("b", aborted(started=True), 1002 * MS))
    assert isinstance(committed, GoCommitted)
    assert committed.t0_ns == 1000 * MS


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("c", CONFIRM),
        ("a", Confirm(run=RUN, phase="1/run", go=2, t0_ns=1000 * MS)),
        ("a", Confirm(run=RUN, phase="2/run", go=1, t0_ns=1000 * MS)),
        ("a", Confirm(run=RUN, phase="1/run", go=1, t0_ns=999 * MS)),
        ("a", aborted()),
    ],
)
def test_words_of_others_and_of_other_goes_change_nothing(node: str, message: Confirm | Aborted) -> None:
    """Messages are late and repeated on a network."""
    go = begun("a")
    assert go.receive(node, message, 901 * MS) == []
    assert isinstance(result(go.receive("a", CONFIRM, 902 * MS)), GoCommitted)


def test_a_go_that_is_cancelled_tells_everybody() -> None:
    """A run whose controller was lost must not start a phase."""
    go = begun("a")
    assert go.cancel("the controller was lost", 901 * MS) == [PublishGo(ABORT), ToNode("a", ABORT)]
    failed = result(go.receive("a", aborted(), 902 * MS))
    assert isinstance(failed, GoAborted)
    assert failed.reasons == {"": "the controller was lost"}


def test_nodes_that_began_by_the_go_of_a_dead_broker_have_all_begun() -> None:
    """It asks again under the same number; that they run since another t0 is what has to be stored."""
    go = begun("a", "b")
    go.receive("a", Declined(run=RUN, phase="1/run", go=1, sentence="the phase has another go"), 901 * MS)
    go.receive("a", aborted(started=True, t0_ns=500 * MS), 902 * MS)
    committed = result(go.receive("b", aborted(started=True, t0_ns=501 * MS), 902 * MS))
    assert isinstance(committed, GoCommitted)
    assert committed.t0_ns == 501 * MS


def test_nodes_that_began_at_two_instants_have_not_started_together() -> None:
    """One may have taken the go of the broker that died, the other the one of its next life."""
    go = begun("a", "b")
    go.expire(DECIDED_NS)
    go.receive("a", aborted(started=True, t0_ns=500 * MS), 1001 * MS)
    failed = result(go.receive("b", aborted(started=True, t0_ns=1000 * MS), 1002 * MS))
    assert isinstance(failed, GoAborted)
    assert (failed.started, failed.t0_ns) == (("a", "b"), 0)


def test_a_go_learns_from_the_one_before_and_from_one_that_was_too_fast() -> None:
    """The wait before each phase is as long as these nodes need, and an abort is not paid for twice."""
    pace = Pace()
    first = GoRound(request("a", lead_s=None), 7, 0, pace)
    (lead_ns,) = leads(first)
    first.receive("a", Confirm(run=RUN, phase="1/run", go=1, t0_ns=lead_ns), MS)
    (second_ns,) = leads(second := GoRound(request("a", lead_s=None), 7, 0, pace))
    assert second_ns < lead_ns
    second.expire(second_ns - MS)
    (third_ns,) = leads(GoRound(request("a", lead_s=None), 7, 0, pace))
    assert third_ns > 2 * second_ns


def leads(go: GoRound) -> list[int]:
    """Return the lead of a go that is sent at 0."""
    published = [effect.message for effect in go.start(lambda _: True) if isinstance(effect, PublishGo)]
    return [message.t0_ns for message in published if isinstance(message, Go)]
