"""Nodes that are not there: away, not back yet since the broker's start, or shut out."""

from agents.session import BACKOFF_S, HELLO_S
from broker.broker import Broker
from broker.effects import Peer, SaveAccess
from broker.limits import SAVE_HEARD_NS
from fabric.protocol import messages as m
from fabric.protocol.limits import RETURN_S, SILENCE_S
from tests.unit.test_broker_broker import (
    ANN,
    LAB1,
    RUN,
    SETTINGS,
    START,
    Lab,
    S,
    hello,
    open_run,
    operator_hello,
    sent,
)
from tests.unit.test_broker_upkeep import clean, nodes_of

OLD_NS = START - 3600 * S
"""When the last life of the broker ended."""


def info(name: str, heard_ns: int, *, dirty_run: str = "") -> m.NodeInfo:
    return m.NodeInfo(
        name=name,
        state="away",
        incarnation=1,
        labels=(),
        addresses={},
        facts={},
        run="",
        heard_ns=heard_ns,
        dirty_run=dirty_run,
    )


def key(name: str, revoked_ns: int | None = None) -> m.KeyInfo:
    return m.KeyInfo(public_key=name[-1] * 40, name=name, role="node", created_ns=1, revoked_ns=revoked_ns)


def restarted() -> Lab:
    """Return a broker that was away for an hour; lab3 was away for longer, lab4 was shut out."""
    nodes = [
        info("lab1", OLD_NS, dirty_run=RUN),
        info("lab2", OLD_NS - SAVE_HEARD_NS),
        info("lab3", OLD_NS - 3600 * S),
        info("lab4", OLD_NS),
    ]
    made = Lab(Broker(SETTINGS, START, nodes=nodes, keys=[key("lab1"), key("lab4", START - 9 * S)]))
    made.say(ANN, operator_hello(ANN))
    return made


def refused(broker: Lab, *nodes: str) -> m.Denied:
    (denied,) = sent(broker.say(ANN, open_run(nodes=nodes)), ANN, m.Denied)
    return denied


def test_nodes_that_were_there_last_are_expected_back_for_a_while() -> None:
    """A command right after a start of the broker waits for them, and not for one that is gone for long."""
    broker = restarted()
    shown = {name: (one.state, one.expected) for name, one in nodes_of(broker).items()}
    assert shown == {
        "lab1": ("away", True),
        "lab2": ("away", True),
        "lab3": ("away", False),
        "lab4": ("revoked", False),
    }
    early = refused(broker, "lab1", "lab2")
    sentence = (
        "lab1 has not come back since the broker's start; lab2 has not come back since the broker's start"
    )
    assert (early.code, early.sentence) == ("expected", sentence)
    assert refused(broker, "lab2", "lab3").code == "away", "no wait brings lab3"
    (denied,) = sent(broker.say(ANN, clean()), ANN, m.Denied)
    assert denied.code == "expected"
    broker.say(LAB1, hello(LAB1))
    assert (nodes_of(broker)["lab1"].state, nodes_of(broker)["lab1"].expected) == ("dirty", False)
    broker.now_ns += int(RETURN_S * S)
    assert refused(broker, "lab2").code == "away"
    assert not any(one.expected for one in nodes_of(broker).values())


def test_agents_are_back_within_the_time_that_they_are_given() -> None:
    """Who changes how agents connect again has to look at it."""
    longest_pause_s = BACKOFF_S[1] * 1.5
    assert longest_pause_s + SILENCE_S + HELLO_S <= RETURN_S


def test_a_node_whose_key_was_revoked_is_shown_as_such() -> None:
    """Nobody looks for its machine; and with a new key it is as any other, under the name that it had."""
    broker = restarted()
    denied = refused(broker, "lab4")
    assert (denied.code, denied.sentence) == (
        "away",
        "lab4 is shut out: its key was revoked; it can join again with a new token",
    )
    broker.say(LAB1, hello(LAB1))
    broker.say(ANN, m.Revoke(request=2, what="1" * 40))
    assert nodes_of(broker)["lab1"].state == "revoked"
    assert "its key was revoked" in refused(broker, "lab1").sentence
    new = m.KeyInfo(public_key="N" * 40, name="lab1", role="node", created_ns=2)
    broker.carry_out([SaveAccess(keys=(new,))])
    assert nodes_of(broker)["lab1"].state == "away"
    broker.say(Peer(b"3", "node", "lab1"), hello(LAB1))
    assert nodes_of(broker)["lab1"].state == "dirty"
