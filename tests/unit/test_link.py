"""The operator's connection: bounded in its waits, and back by itself when the broker is."""

from fabric.controller.link import (
    BEAT_NS,
    HELLO_NS,
    SILENCE_NS,
    Down,
    Effect,
    GiveUp,
    Link,
    Open,
    Transmit,
    Up,
)
from fabric.errors import KeyRevoked
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import Beat, HelloWanted, OperatorHello, Rejected, Welcome

URL = "tcp://lab:7400"
PATIENCE_NS = 10_000_000_000
HELLO = OperatorHello(
    protocol=PROTOCOL_VERSION, software="0", program="fabric-tail", session="s", user="u", host="h"
)
WELCOME = Welcome(
    protocol=PROTOCOL_VERSION, software="0", epoch=1, name="ops", go_port=1, sink_port=2, feed_port=3
)


def make_link(break_patience_ns: int | None = None) -> Link:
    link = Link(HELLO, URL, patience_ns=PATIENCE_NS, break_patience_ns=break_patience_ns)
    assert link.start(0) == [Open(), Transmit(HELLO)]
    return link


def up_link(break_patience_ns: int | None = None) -> Link:
    link = make_link(break_patience_ns)
    assert link.receive(WELCOME, 0) == [Up(WELCOME)]
    return link


def run_until(link: Link, end_ns: int) -> list[Effect]:
    """Wake the link at each of its deadlines up to an instant, while the broker says nothing."""
    effects: list[Effect] = []
    while (deadline_ns := link.deadline_ns) is not None and deadline_ns <= end_ns:
        effects += link.expire(deadline_ns)
    return effects


def test_the_first_welcome_is_awaited_for_a_bounded_time_and_the_error_names_the_broker() -> None:
    """A wrong address must not hang; the user has to see which address it was."""
    link = make_link()
    before = run_until(link, PATIENCE_NS - 1)
    assert not any(isinstance(effect, GiveUp) for effect in before)
    (last,) = link.expire(PATIENCE_NS)
    assert isinstance(last, GiveUp)
    assert str(last.error) == f"no answer from the broker at {URL} for 10 s"
    assert "fabric-broker" in last.error.hint
    assert link.deadline_ns is None


def test_hello_is_repeated_and_the_sockets_are_renewed_until_there_is_an_answer() -> None:
    """The first hello may be lost while the broker starts; a half-open link is cured by new sockets only."""
    effects = run_until(make_link(), SILENCE_NS)
    assert effects[0] == Transmit(HELLO)
    assert effects.count(Open()) == 1
    assert len(effects) >= SILENCE_NS // HELLO_NS - 1


def test_hello_is_said_as_soon_as_the_connection_is_made() -> None:
    """A socket that is not connected yet takes nothing; waiting for the next repetition would cost time."""
    link = make_link()
    assert link.writable(5) == [Transmit(HELLO)]
    assert link.deadline_ns == 5 + HELLO_NS


def test_it_beats_as_soon_as_a_connection_is_made_again() -> None:
    """A broker that has started again asks for a hello when it is spoken to, and not before."""
    link = up_link()
    assert link.writable(7) == [Transmit(Beat())]
    assert link.deadline_ns == 7 + BEAT_NS


def test_it_beats_while_it_is_up() -> None:
    """The controller's lease lives on these beats."""
    link = up_link()
    for beat in range(1, 20):
        assert link.deadline_ns == beat * BEAT_NS
        assert link.expire(beat * BEAT_NS - 1) == []
        assert link.expire(beat * BEAT_NS) == [Transmit(Beat())]
        link.receive(Beat(), beat * BEAT_NS)


def test_silence_takes_it_down_and_renews_the_sockets() -> None:
    """A cut without a reset looks like a quiet broker; its beats would come."""
    link = up_link()
    effects = run_until(link, SILENCE_NS)
    assert [type(effect) for effect in effects[-3:]] == [Down, Open, Transmit]
    assert not link.up
    assert link.receive(WELCOME, SILENCE_NS + 1) == [Up(WELCOME)]


def test_any_sign_of_the_broker_counts() -> None:
    """A long replay keeps the broker's beats waiting behind it."""
    link = up_link()
    link.heard(SILENCE_NS - 1)
    assert not any(isinstance(effect, Down) for effect in run_until(link, 2 * SILENCE_NS - 2))
    assert link.up


def test_a_broker_that_has_started_again_is_greeted_with_new_sockets() -> None:
    """It has forgotten this side; what is queued for the old life must not reach the new one."""
    link = up_link()
    effects = link.receive(HelloWanted(), 7)
    assert effects == [Down(f"the broker at {URL} has started again"), Open(), Transmit(HELLO)]
    assert link.receive(HelloWanted(), 8) == [], "the hello is on its way"
    assert link.waiting_since_ns == 0, "it was away since it was heard of last, not since it is back"


def test_after_a_break_it_waits_as_long_as_it_was_told() -> None:
    """A run waits for its broker as long as its leases say; a tail gives up and says how to go on."""
    patient = up_link()
    run_until(patient, 100 * SILENCE_NS)
    assert patient.deadline_ns is not None

    impatient = up_link(break_patience_ns=PATIENCE_NS)
    last = run_until(impatient, SILENCE_NS + PATIENCE_NS)[-1]
    assert isinstance(last, GiveUp)
    assert str(last.error).endswith("for 15 s"), "what counts for the user is since when nothing was heard"


def test_a_refusal_is_told_in_the_brokers_words() -> None:
    """Another version, or an unknown key: only the broker knows, and asking again does not help."""
    link = make_link()
    sentence = "this broker speaks protocol 2, you 1"
    (effect,) = link.receive(Rejected(code="version", sentence=sentence), 1)
    assert isinstance(effect, GiveUp)
    assert sentence in str(effect.error)
    assert not isinstance(effect.error, KeyRevoked)
    assert link.receive(WELCOME, 2) == []
    assert link.expire(PATIENCE_NS) == []


def test_a_key_that_is_revoked_is_told_from_other_refusals() -> None:
    """Who has just revoked it has got what he wanted."""
    link = up_link()
    (effect,) = link.receive(Rejected(code="revoked", sentence="the key of operator ops was revoked"), 1)
    assert isinstance(effect, GiveUp)
    assert isinstance(effect.error, KeyRevoked)
