"""Keys and invitations: who comes in by what, and how it ends."""

import hashlib
from typing import Literal, TypeVar

import pytest

from broker.access import Access
from broker.effects import Effect, Peer, SaveAccess, Send
from broker.limits import INVITATION_KEPT_NS, KEYS_OF_NAME, MAX_INVITATIONS
from fabric.protocol import messages as m
from fabric.protocol.limits import PROTOCOL_VERSION

S = 1_000_000_000
NOW = 1_772_360_527 * S
SECRET, OTHER = b"0123456789abcdef", b"fedcba9876543210"
ANN = Peer(b"8", "operator", "ann")
LAB1 = Peer(b"1", "node", "lab1")
NEW, NEXT = Peer(b"5", "unknown", "K" * 40), Peer(b"6", "unknown", "L" * 40)
Role = Literal["node", "operator", "viewer"]
M = TypeVar("M")


class Table:
    """The machine, with a shell that keeps everything at once."""

    def __init__(self) -> None:
        lab1 = m.KeyInfo(public_key="A" * 40, role="node", name="lab1", created_ns=1)
        ann = m.KeyInfo(public_key="B" * 40, role="operator", name="ann", created_ns=1)
        self.access = Access([lab1, ann])
        self.now_ns = NOW
        self.saved: list[SaveAccess] = []

    def carry_out(self, effects: list[Effect]) -> list[m.Message]:
        answers: list[m.Message] = []
        for effect in effects:
            if isinstance(effect, SaveAccess):
                self.saved.append(effect)
                answers += self.carry_out(self.access.saved(effect))
            else:
                assert isinstance(effect, Send)
                answers.append(effect.message)
        return answers

    def invite(
        self,
        role: Role = "node",
        name: str = "",
        expires_s: float = 3600,
        uses: int = 1,
        secret: bytes = SECRET,
    ) -> m.Message:
        digest = hashlib.sha256(secret).hexdigest()
        wish = m.Invite(request=1, digest=digest, role=role, name=name, expires_s=expires_s, uses=uses)
        (answer,) = self.carry_out(self.access.invite(ANN, wish, self.now_ns))
        return answer

    def enrol(
        self, peer: Peer, name: str, login: str = "", secret: bytes = SECRET
    ) -> m.Enrolled | m.Rejected:
        wish = m.Enrol(protocol=PROTOCOL_VERSION, name=name, secret=secret, login=login)
        (answer,) = self.carry_out(self.access.enrol(peer, wish, self.now_ns))
        assert isinstance(answer, m.Enrolled | m.Rejected)
        return answer

    def refused(self, peer: Peer, name: str, login: str = "", secret: bytes = SECRET) -> str:
        answer = self.enrol(peer, name, login, secret)
        assert isinstance(answer, m.Rejected)
        return answer.sentence

    def rotate(self, peer: Peer, public: str, overlap_s: float) -> m.Message:
        wish = m.Rotate(request=2, public_key=public, overlap_s=overlap_s)
        (answer,) = self.carry_out(self.access.rotate(peer, wish, self.now_ns))
        return answer

    def revoke(self, what: str) -> m.Message:
        (answer,) = self.carry_out(self.access.revoke(ANN, m.Revoke(request=3, what=what), self.now_ns))
        return answer

    def key(self, public: str) -> m.KeyInfo:
        (answer,) = self.carry_out(self.access.list_keys(ANN, m.KeysRequest(request=4)))
        assert isinstance(answer, m.Keys)
        return next(key for key in answer.keys if key.public_key == public)


def test_a_token_works_once_and_the_same_key_may_ask_again() -> None:
    """A replayed token is worth nothing; an answer that was lost costs nothing."""
    table = Table()
    assert table.invite() == m.Done(request=1)
    assert table.enrol(NEW, "lab7") == m.Enrolled(name="lab7")
    assert table.enrol(NEW, "lab7") == m.Enrolled(name="lab7")
    assert len(table.saved) == 2
    assert table.refused(NEXT, "lab8") == ("the join token has been used already, by lab7; ask for a new one")


def test_a_secret_that_nobody_gave_out_is_refused() -> None:
    """It is all that stands between the network and a node's name."""
    table = Table()
    assert table.refused(NEW, "lab7") == "the join token is not this broker's"
    table.invite()
    assert table.refused(NEW, "lab7", secret=OTHER) == "the join token is not this broker's"
    assert len(table.saved) == 1


def test_a_token_expires_and_is_told_so_for_a_while() -> None:
    """What is found in a note next year must open nothing; who uses it tomorrow is told why."""
    table = Table()
    table.invite(expires_s=60)
    table.now_ns += 60 * S - 1
    assert isinstance(table.enrol(NEW, "lab7"), m.Enrolled)
    table.invite(secret=OTHER, expires_s=60)
    table.now_ns += 60 * S
    assert table.refused(NEXT, "lab8", secret=OTHER) == "the join token has expired; ask for a new one"
    table.now_ns += INVITATION_KEPT_NS
    table.invite(secret=b"third")
    assert "not this broker's" in table.refused(NEXT, "lab8", secret=OTHER)


def test_a_token_for_many_is_not_used_up() -> None:
    """The line that a new broker prints is pasted on every node of the lab."""
    table = Table()
    table.invite(uses=0)
    assert isinstance(table.enrol(NEW, "lab7"), m.Enrolled)
    assert isinstance(table.enrol(NEXT, "lab8"), m.Enrolled)


def test_a_token_is_for_one_role() -> None:
    """A node's token in a person's hands must not make an operator, nor the other way round."""
    table = Table()
    table.invite("node")
    assert "is for a node: start fabric-agent with it" in table.refused(NEW, "", login="bob")
    table.invite("operator", secret=OTHER)
    assert "is for an operator: use it with `fabric join`" in table.refused(NEW, "lab7", secret=OTHER)
    assert table.enrol(NEW, "", login="bob", secret=OTHER) == m.Enrolled(name="bob", role="operator")


def test_a_person_is_called_as_told_or_as_invited_or_by_the_login() -> None:
    """In this order."""
    table = Table()
    table.invite("viewer", "eve")
    assert table.refused(NEW, "ivy", login="root") == (
        "the join token is for the viewer eve, not for ivy: say --name eve"
    )
    assert table.enrol(NEW, "", login="root") == m.Enrolled(name="eve", role="viewer")
    table.invite("viewer", secret=OTHER)
    assert table.enrol(NEXT, "", login="root", secret=OTHER) == m.Enrolled(name="root", role="viewer")


def test_a_name_keeps_its_key() -> None:
    """Who has a token must not become a node that is there already."""
    table = Table()
    table.invite(uses=0)
    answer = table.enrol(NEW, "lab1")
    assert isinstance(answer, m.Rejected)
    assert answer.code == "name_in_use"
    assert "the name lab1 belongs to another key" in answer.sentence
    table.revoke("A" * 40)
    assert table.enrol(NEW, "lab1") == m.Enrolled(name="lab1")


def test_a_key_that_was_revoked_never_comes_back() -> None:
    """It may be in other hands: a new token makes a new key."""
    table = Table()
    table.invite(uses=0)
    table.enrol(NEW, "lab7")
    assert table.revoke(NEW.name) == m.Done(request=3)
    assert table.revoke(NEW.name) == m.Done(request=3)
    assert "was revoked" in table.refused(NEW, "lab7")
    revoked = table.access.revoked(NEW.name)
    assert revoked is not None
    assert revoked.name == "lab7"


def test_a_known_key_cannot_enrol_as_something_else() -> None:
    """One key, one name: a node with a viewer's token stays a node."""
    table = Table()
    table.invite("viewer")
    assert table.refused(LAB1, "", login="eve") == "this key is node lab1 already"
    assert table.refused(LAB1, "lab2") == "this key is node lab1 already"


def test_a_revoked_invitation_is_as_unknown_as_any() -> None:
    """It was sent to the wrong person."""
    table = Table()
    table.invite()
    table.revoke(hashlib.sha256(SECRET).hexdigest())
    assert "not this broker's" in table.refused(NEW, "lab7")
    answer = table.revoke("nothing")
    assert isinstance(answer, m.Denied)
    assert answer.code == "unknown_key"


def test_an_old_key_stands_beside_the_new_one_for_the_overlap() -> None:
    """A copy of it on another machine works until it is replaced there, and then it ends by itself."""
    table = Table()
    assert table.rotate(LAB1, "N" * 40, 60.0) == m.Done(request=2)
    assert table.rotate(LAB1, "N" * 40, 60.0) == m.Done(request=2)
    assert table.access.deadline_ns == NOW + 60 * S
    table.now_ns += 60 * S - 1
    assert table.access.expire(table.now_ns) == []
    table.now_ns += 1
    table.carry_out(table.access.expire(table.now_ns))
    assert table.key("A" * 40).revoked_ns == NOW + 60 * S
    assert table.key("N" * 40).revoked_ns is None
    assert table.access.deadline_ns is None
    assert table.access.expire(table.now_ns) == []


def test_a_second_rotation_does_not_lengthen_the_first_overlap() -> None:
    """Or a stolen key would live as long as its owner keeps on replacing it."""
    table = Table()
    table.rotate(LAB1, "N" * 40, 60.0)
    table.now_ns += 30 * S
    table.rotate(LAB1, "O" * 40, 3600.0)
    assert table.key("A" * 40).expires_ns == NOW + 60 * S
    assert table.key("N" * 40).expires_ns == NOW + 30 * S + 3600 * S


def test_keys_of_a_name_are_limited_and_a_new_one_changes_one_other() -> None:
    """A viewer once made itself 657 of them; each rewrote all others, in the catalogue and in the log."""
    table, eve = Table(), Peer(b"9", "viewer", "eve")
    publics = [chr(ord("a") + number) * 40 for number in range(KEYS_OF_NAME + 2)]
    for number, public in enumerate(publics[:KEYS_OF_NAME]):
        assert table.rotate(eve, public, 3600.0) == m.Done(request=2)
        assert [key.public_key for key in table.saved[-1].keys] == publics[max(0, number - 1) : number + 1]
    refused = table.rotate(eve, publics[-2], 3600.0)
    assert isinstance(refused, m.Denied)
    assert "viewer eve has 8 keys that stand" in refused.sentence
    assert table.rotate(LAB1, "N" * 40, 3600.0) == m.Done(request=2)  # it is nobody else's matter
    assert table.rotate(eve, publics[-2], 0.0) == m.Done(request=2)  # the way out that is said
    table.carry_out(table.access.expire(table.now_ns))
    assert table.rotate(eve, publics[-1], 3600.0) == m.Done(request=2)


@pytest.mark.parametrize("public", ["B" * 40, "A" * 40 + "\n", "short", ""])
def test_nobody_takes_a_key_that_is_not_his(public: str) -> None:
    """A node that names an operator's key would take its name from it."""
    table = Table()
    assert isinstance(table.rotate(LAB1, public, 60.0), m.Denied)
    assert table.saved == []


@pytest.mark.parametrize(
    ("name", "expires_s", "uses"),
    [("no name", 60, 1), ("", 0.5, 1), ("", 1e9, 1), ("", float("nan"), 1), ("", 60, -1)],
)
def test_an_invitation_that_makes_no_sense_is_refused(name: str, expires_s: float, uses: int) -> None:
    """Each of them would stand for ever, or let nobody in."""
    table = Table()
    assert isinstance(table.invite(name=name, expires_s=expires_s, uses=uses), m.Denied)


def test_invitations_are_limited() -> None:
    """A script in a loop must not fill the broker's memory; what has expired makes room."""
    table = Table()
    for number in range(MAX_INVITATIONS):
        assert isinstance(table.invite(secret=b"%d" % number, expires_s=60), m.Done)
    assert isinstance(table.invite(), m.Denied)
    table.now_ns += 60 * S + INVITATION_KEPT_NS
    assert isinstance(table.invite(), m.Done)
