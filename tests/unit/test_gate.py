"""Who may do what."""

import re
from pathlib import Path
from typing import get_args

import pytest

from broker.gate import DOMAIN_ROLES, MESSAGE_RIGHTS, Gate, UserId, allowed, allows
from fabric.protocol import messages as m
from fabric.protocol.codec import MESSAGES
from fabric.protocol.limits import PROTOCOL_VERSION

ANN, LAB1, LAB2, VIC, STRANGER = b"a" * 40, b"1" * 40, b"2" * 40, b"v:" * 20, b"s:" * 20


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.add(ANN, "operator", "ann")
    gate.add(LAB1, "node", "lab1")
    gate.add(VIC, "viewer", "vic")
    return gate


@pytest.mark.parametrize(
    ("domain", "roles"),
    [
        ("control", "node operator viewer unknown"),
        ("go", "node"),
        ("sink", "node"),
        ("feed", "operator viewer"),
        ("", ""),
        ("elsewhere", ""),
    ],
)
def test_each_socket_is_for_its_roles(gate: Gate, domain: str, roles: str) -> None:
    """A node that reads the feed sees other nodes' output; an operator in the sink writes it."""
    admitted = (gate.admit(domain, key) for key in (LAB1, ANN, VIC, STRANGER))
    assert [who.role for who in admitted if who is not None] == roles.split()


def test_a_user_id_survives_the_wire(gate: Gate) -> None:
    """An unknown key may contain the colon that separates role and name."""
    for key in (ANN, LAB1, VIC, STRANGER):
        who = gate.identify(key)
        assert UserId.parse(str(who)) == who
    assert gate.identify(STRANGER) == UserId("unknown", STRANGER.decode(), STRANGER.decode())


@pytest.mark.parametrize(
    "text",
    ["", "node", "node:", "node:lab1", "node::key", ":lab1:key", "boss:x:key", "Node:x:key", "unknown:"],
)
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


def test_a_connection_ends_with_its_key_though_the_name_has_another(gate: Gate) -> None:
    """After a theft the name gets a new key: who holds the old one must not go on under the name."""
    stolen = gate.identify(ANN)
    gate.add(LAB2, "operator", "ann")
    assert gate.stands(stolen)
    assert gate.stands(gate.identify(LAB2))
    gate.revoke(ANN)
    assert not gate.stands(stolen)
    assert gate.stands(gate.identify(LAB2))


def test_a_connection_keeps_the_role_of_its_handshake(gate: Gate) -> None:
    """A key that enrolled has its rights on the next connection; the unknown one may ask again."""
    before = gate.identify(STRANGER)
    gate.add(STRANGER, "node", "lab3")
    assert gate.stands(before)
    assert before.role == "unknown"


def test_a_key_has_one_meaning(gate: Gate) -> None:
    """Giving it another name takes the first one from it."""
    gate.add(LAB1, "node", "lab9")
    assert gate.identify(LAB1) == UserId("node", "lab9", LAB1.decode())
    assert not gate.stands(UserId("node", "lab1", LAB1.decode()))


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
    "viewer": {"viewer", "reader"},
}
NOT_BY_CONTROL = {m.Batch}  # goes to the sink
AGAIN = {(m.Enrol, "node")}  # its first answer may have been lost


def senders(message: type) -> set[str]:
    """Read who sends a message from the beginning of its docstring."""
    said = (message.__doc__ or "").lower()
    if said.startswith("both ways"):
        return {"node", "operator", "viewer"}
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
    assert allows("unknown", m.Enrol(protocol=PROTOCOL_VERSION, name="lab1", secret=b""))
    assert not allows("unknown", m.Beat())


def rows(head: str) -> list[tuple[list[str], set[str]]]:
    """Return names and roles of each row of a table of docs/security.md."""
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    first, *lines = text[text.index(head) :].partition("\n\n")[0].splitlines()
    roles = [cell.strip() for cell in first.split("|")[-5:-1]]
    found = []
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        found.append(
            (re.findall(r"\w+", cells[0]), {r for r, c in zip(roles, cells[-4:], strict=True) if c == "yes"})
        )
    return found


def test_the_documented_sockets_are_those_of_the_code() -> None:
    """Who sets up a lab reads the document; who attacks it meets the code."""
    documented = {name: roles for names, roles in rows("| socket |") for name in names}
    assert documented == {domain: set(roles) for domain, roles in DOMAIN_ROLES.items()}


def test_the_documented_rights_are_those_of_the_code() -> None:
    """Each message once, with all that may send it."""
    listed = [name for names, _ in rows("| message |") for name in names]
    assert len(listed) == len(set(listed))
    documented = {name: roles for names, roles in rows("| message |") for name in names}
    granted: dict[str, set[str]] = {}
    for role, messages in MESSAGE_RIGHTS.items():
        for message in messages:
            granted.setdefault(MESSAGES_BY_TYPE[message], set()).add(role)
    assert documented == granted


MESSAGES_BY_TYPE = {cls: kind for kind, cls in MESSAGES.items()}
