"""Who may do what."""

import re
from typing import get_args

import pytest

from broker.gate import MESSAGE_RIGHTS, Gate, UserId, allowed, allows
from fabric.protocol import messages as m

ANN, LAB1, LAB2, STRANGER = b"a" * 40, b"1" * 40, b"2" * 40, b"s:" * 20


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.add(ANN, "operator", "ann")
    gate.add(LAB1, "node", "lab1")
    return gate


@pytest.mark.parametrize(
    ("domain", "node", "operator", "stranger"),
    [
        ("control", True, True, True),
        ("go", True, False, False),
        ("sink", True, False, False),
        ("feed", False, True, False),
        ("", False, False, False),
        ("elsewhere", False, False, False),
    ],
)
def test_each_socket_is_for_its_roles(
    gate: Gate, domain: str, node: bool, operator: bool, stranger: bool
) -> None:
    """A node that reads the feed sees other nodes' output; an operator in the sink writes it."""
    assert [gate.admit(domain, key) is not None for key in (LAB1, ANN, STRANGER)] == [
        node,
        operator,
        stranger,
    ]


def test_a_user_id_survives_the_wire(gate: Gate) -> None:
    """An unknown key may contain the colon that separates role and name."""
    for key in (ANN, LAB1, STRANGER):
        who = gate.identify(key)
        assert UserId.parse(str(who)) == who
    assert gate.identify(STRANGER) == UserId("unknown", STRANGER.decode())


@pytest.mark.parametrize("text", ["", "node", "node:", ":lab1", "viewer:x", "Node:x"])
def test_what_is_no_user_id_is_nobody(text: str) -> None:
    """What an XPUB says itself has none; nothing may be done for it."""
    assert UserId.parse(text) is None


def test_a_revoked_key_no_longer_stands_for_its_name(gate: Gate) -> None:
    """Its connection lives on, so every message is held against the table."""
    lab1 = gate.identify(LAB1)
    assert gate.stands(lab1)
    gate.revoke(LAB1)
    assert not gate.stands(lab1)
    assert gate.admit("sink", LAB1) is None
    assert gate.identify(LAB1).role == "unknown"


def test_a_name_stands_as_long_as_one_of_its_keys_does(gate: Gate) -> None:
    """An operator may have a key on each of two machines."""
    gate.add(LAB2, "operator", "ann")
    gate.revoke(ANN)
    assert gate.stands(UserId("operator", "ann"))
    gate.bar(LAB2)
    assert not gate.stands(UserId("operator", "ann"))


def test_a_key_has_one_meaning(gate: Gate) -> None:
    """Giving it another name takes the first one from it."""
    gate.add(LAB1, "node", "lab9")
    assert gate.identify(LAB1) == UserId("node", "lab9")
    assert not gate.stands(UserId("node", "lab1"))


def test_a_barred_key_gets_in_nowhere(gate: Gate) -> None:
    """Not even to enrol: for keys that are known to be bad."""
    gate.bar(STRANGER)
    assert gate.admit("control", STRANGER) is None
    assert not gate.stands(gate.identify(STRANGER))
    gate.unbar(STRANGER)
    assert gate.admit("control", STRANGER) is not None


def test_nobody_is_made_unknown_by_add(gate: Gate) -> None:
    """A key in the table is a known one; that is what the table means."""
    with pytest.raises(ValueError, match="revoke"):
        gate.add(LAB1, "unknown", "lab1")


ROLES_BY_WORD = {
    "unknown": {"unknown key"},
    "node": {"agent"},
    "operator": {"controller", "operator", "tail", "reader"},
}
NOT_BY_CONTROL = {m.Batch}  # goes to the sink
AGAIN = {(m.Enrol, "node")}  # its first answer may have been lost


def senders(message: type) -> set[str]:
    """Read who sends a message from the beginning of its docstring."""
    said = (message.__doc__ or "").lower()
    if said.startswith("both ways"):
        return {"node", "operator"}
    if said.startswith("first frame of an entry"):
        return set()
    words = set(re.split(", | or ", said.partition(" to ")[0]))
    roles = {role for role, names in ROLES_BY_WORD.items() if names & words}
    assert roles or words == {"broker"}, f"who sends it? {said}"
    return roles


@pytest.mark.parametrize("message", get_args(m.Message), ids=lambda cls: cls.__name__)
def test_each_message_may_be_sent_by_whom_its_definition_names(message: type) -> None:
    """The table and the definitions are two texts about one thing; a new message must be in both."""
    named = set() if message in NOT_BY_CONTROL else senders(message)
    granted = {role for role in MESSAGE_RIGHTS if allowed(role, message) and (message, role) not in AGAIN}
    assert granted == named


def test_a_stranger_can_do_one_thing() -> None:
    """Everything else waits until the key is known."""
    assert allows("unknown", m.Enrol(protocol=1, name="lab1", secret=b""))
    assert not allows("unknown", m.Beat())
