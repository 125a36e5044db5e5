"""Who is connected, and who may use a name."""

import pytest

from broker.effects import Peer, SaveNode, Send
from broker.registry import Registry
from broker.reservations import Reservation
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import AgentHello, Beat, NodeClock, OperatorHello, Rejected

S = 1_000_000_000
FIRST, SECOND = Peer(b"1", "node", "lab1"), Peer(b"2", "node", "lab1")
ANN = Peer(b"9", "operator", "ann")


def hello(*, name: str = "lab1", instance: str = "one", incarnation: int = 1) -> AgentHello:
    return AgentHello(
        protocol=PROTOCOL_VERSION,
        software="0.1.0",
        name=name,
        instance=instance,
        incarnation=incarnation,
        labels=("load",),
        addresses={"": "10.0.0.1"},
        facts={"kernel": "6.18"},
        journals=(),
        runs=(),
    )


def test_a_name_comes_from_the_key_and_not_from_the_hello() -> None:
    """A node speaks only for itself."""
    refused = Registry().agent_hello(FIRST, hello(name="lab2"), S)
    assert isinstance(refused, Rejected)
    assert refused.code == "not_allowed"


def test_a_second_agent_with_a_name_in_use_is_refused_until_the_first_is_silent() -> None:
    """Two agents under one name would share a run's steps between them."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), 10 * S)
    refused = registry.agent_hello(SECOND, hello(instance="two"), 15 * S - 1)
    assert isinstance(refused, Rejected)
    assert refused.code == "name_in_use"
    assert "the name lab1 is in use by another agent (last heard 5 s ago)" in refused.sentence
    assert not isinstance(registry.agent_hello(SECOND, hello(instance="two"), 15 * S), Rejected)
    assert registry.peer("lab1") == SECOND


def test_a_node_that_said_goodbye_is_away_at_once_and_its_name_is_free() -> None:
    """A reservation of it would only wait for a silence; the goodbye of an old connection says nothing."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), S)
    registry.left(SECOND)
    assert registry.info("lab1", None, S).state == "free"
    registry.left(FIRST)
    assert registry.info("lab1", None, S).state == "away"
    assert not registry.is_listening("lab1")
    assert not isinstance(registry.agent_hello(SECOND, hello(instance="two"), S), Rejected)


def test_a_hello_that_is_said_again_is_not_saved_again() -> None:
    """A thousand agents that come at once say it some times each, until they are answered."""
    registry = Registry()
    assert registry.agent_hello(FIRST, hello(), S) == [SaveNode(hello(), S)]
    assert registry.agent_hello(FIRST, hello(), 2 * S) == []
    assert registry.agent_hello(SECOND, hello(), 3 * S) == [SaveNode(hello(), 3 * S)]


@pytest.mark.parametrize("incarnation", [1, 2])
def test_the_same_agent_replaces_its_old_connection_at_once(incarnation: int) -> None:
    """A half-open connection must not keep an honest agent out."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), 10 * S)
    assert not isinstance(registry.agent_hello(SECOND, hello(incarnation=incarnation), 10 * S), Rejected)
    assert registry.heard(SECOND, 11 * S)
    assert not registry.heard(FIRST, 11 * S), "the old connection counts no more"


def test_an_older_start_of_an_agent_is_refused() -> None:
    """A process that was stopped and goes on must not take the name from its successor."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(incarnation=2), 10 * S)
    refused = registry.agent_hello(SECOND, hello(incarnation=1), 11 * S)
    assert isinstance(refused, Rejected)


def test_a_peer_must_say_hello_before_anything_else() -> None:
    """After a restart of the broker nothing is known of a connection."""
    registry = Registry()
    assert not registry.heard(FIRST, S)
    assert not registry.heard(ANN, S)


def test_a_node_is_away_when_it_was_silent_for_five_seconds() -> None:
    """The same limit for everybody who asks."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), 10 * S)
    held = Reservation("some-run", "ann", 3 * S)
    assert registry.info("lab1", None, 15 * S - 1).state == "free"
    assert registry.info("lab1", held, 15 * S - 1).state == "busy"
    assert registry.info("lab1", held, 15 * S).state == "away"


def test_nodes_of_an_earlier_life_are_known_but_away() -> None:
    """Its own restart must not make the broker forget the lab."""
    before = Registry()
    before.agent_hello(FIRST, hello(), 10 * S)
    after = Registry([before.info("lab1", None, 11 * S)])
    info = after.info("lab1", None, 12 * S)
    assert (info.state, info.heard_ns, info.labels) == ("away", 10 * S, ("load",))


def test_records_show_that_a_node_lives() -> None:
    """A busy link must not make its node look silent."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), 10 * S)
    registry.heard_by_sink("lab1", 14 * S)
    assert registry.info("lab1", None, 16 * S).state == "free"


def test_everybody_who_is_heard_gets_a_beat_each_second() -> None:
    """Peers live on beats from the main loop; beats to a deaf peer would only fill queues."""
    registry = Registry()
    assert registry.deadline_ns is None, "nobody is connected: nothing to wake up for"
    registry.agent_hello(FIRST, hello(), 10 * S)
    registry.operator_hello(ANN, operator(), 10 * S)
    assert registry.expire(10 * S) == [Send(FIRST, Beat()), Send(ANN, Beat())]
    assert registry.expire(11 * S - 1) == []
    assert len(registry.expire(11 * S)) == 2
    assert registry.expire(16 * S) == [Send(ANN, Beat())], "lab1 was silent for five seconds"


def test_an_operator_that_left_is_forgotten_after_a_minute() -> None:
    """Every `fabric nodes` is a connection; the table must not grow."""
    registry = Registry()
    registry.operator_hello(ANN, operator(), 10 * S)
    registry.expire(70 * S - 1)
    assert registry.operator(ANN)
    registry.expire(72 * S)
    assert registry.operator(ANN) is None


def test_a_new_start_of_an_agent_does_not_listen_until_its_subscription_is_seen() -> None:
    """Else its first go would be broadcast to the socket of its last life."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), S)
    registry.subscribed("lab1", True)
    assert registry.is_listening("lab1")
    registry.agent_hello(SECOND, hello(incarnation=2), 2 * S)
    assert not registry.is_listening("lab1")


def operator() -> OperatorHello:
    return OperatorHello(
        protocol=PROTOCOL_VERSION,
        software="0.1.0",
        program="fabric-run",
        session="s",
        user="ann",
        host="desk",
    )


def test_what_a_node_knows_of_the_clock_is_that_of_its_present_agent() -> None:
    """Operators see it; a new start of the agent has asked nothing yet."""
    registry = Registry()
    registry.agent_hello(FIRST, hello(), S)
    clock = NodeClock(
        epoch=1, told_ns=S, asked_ns=S, offset_ns=5, bound_ns=2, rtt_ns=4, wall_ns=0, contradictions=0
    )
    registry.told_clock("lab1", clock)
    registry.told_clock("never-here", clock)
    assert registry.info("lab1", None, S).clock == clock
    registry.agent_hello(SECOND, hello(incarnation=2), 2 * S)
    assert registry.info("lab1", None, 2 * S).clock is None
