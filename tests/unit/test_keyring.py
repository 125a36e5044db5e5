"""Ending keys: whose, what is asked first, and how it ends for one's own."""

from dataclasses import replace
from itertools import count

import pytest

from fabric.controller import keyring
from fabric.controller.keyring import Ring
from fabric.errors import KeyRevoked, UsageError
from fabric.protocol.messages import Done, InvitationInfo, KeyInfo, Revoke

NOW_NS = 1_000
ANN = KeyInfo(public_key="ann-key", role="operator", name="ann", created_ns=1)
BOB = KeyInfo(public_key="bob-key", role="operator", name="bob", created_ns=1)
LAB1 = KeyInfo(public_key="lab1-key", role="node", name="lab1", created_ns=1)
OPEN = InvitationInfo(
    digest="d1", role="node", name="", made_by="ann", created_ns=1, expires_ns=9_000, uses=1
)


def why_not(*things: KeyInfo | InvitationInfo, ring: tuple[KeyInfo, ...]) -> str:
    try:
        keyring.check_revocation(Ring(ring, (OPEN,)), things, ANN.public_key, NOW_NS)
    except UsageError as error:
        return f"{error}; {error.hint}"
    return ""


def test_the_own_key_and_the_last_operator_are_asked_about() -> None:
    """`fabric keys revoke` of a name that was mistyped would shut its user out."""
    assert why_not(BOB, LAB1, OPEN, ring=(ANN, BOB, LAB1)) == ""
    assert why_not(LAB1, ring=(ANN, LAB1)) == ""
    assert why_not(ANN, LAB1, ring=(ANN, BOB)).startswith("operator ann is you: ")
    assert why_not(ANN, ring=(ANN, LAB1)).startswith("no operator would be left: ")
    assert why_not(ANN, BOB, ring=(ANN, BOB)).startswith("no operator would be left: ")
    for why in (why_not(ANN, ring=(ANN, BOB)), why_not(ANN, ring=(ANN,))):
        assert "--yes does it; the way back is" in why
        assert "new start of the broker" in why


@pytest.mark.parametrize("ended", [replace(BOB, revoked_ns=5), replace(BOB, expires_ns=NOW_NS)])
def test_an_operator_whose_key_has_ended_is_none(ended: KeyInfo) -> None:
    """Nobody would be left, though `fabric keys list --all` shows two."""
    assert "no operator would be left" in why_not(ANN, ring=(ANN, ended))


class Broker:
    """Does what it is asked, until the key that asks is gone."""

    def __init__(self, own: str, gone: tuple[str, ...] = ()) -> None:
        self.numbers = count(1)
        self.revoked: list[str] = []
        self._own = own
        self._gone = gone

    def ask(self, request: Revoke) -> Done:
        self.revoked.append(request.what)
        if request.what in (self._own, *self._gone):
            raise KeyRevoked("the key of operator ann was revoked")
        return Done(request=request.request)


def test_the_own_key_is_the_last_to_be_revoked_and_that_is_no_error() -> None:
    """The answer to it is that the key is refused: just what was wanted."""
    broker = Broker(ANN.public_key)
    keyring.revoke(broker, [ANN, BOB, OPEN], ANN.public_key)  # type: ignore[arg-type]
    assert broker.revoked == ["bob-key", "d1", "ann-key"]


def test_who_is_revoked_meanwhile_is_told() -> None:
    """What was to be ended still stands then."""
    with pytest.raises(KeyRevoked):
        keyring.revoke(Broker(ANN.public_key, ("bob-key",)), [BOB], ANN.public_key)  # type: ignore[arg-type]
