"""The token that a start of the broker prints: how long it is good for, and that this is what is said."""

from pathlib import Path

from broker.identity import INVITATION_S, Identity
from broker.service import _explain
from fabric.config import Address
from fabric.keys import KeyPair
from fabric.store.catalogue import Catalogue

S = 1_000_000_000
T_NS = 1_000_000 * S


def test_the_same_line_is_printed_while_it_is_good_for_half_an_hour(tmp_path: Path) -> None:
    """Somebody may be on the way with it; and a person who reads a number believes it."""
    identity, catalogue = Identity(KeyPair.new(), tmp_path), Catalogue(tmp_path / "catalogue")
    try:
        first, left_s, _ = identity.invitation(catalogue, T_NS)
        assert left_s == INVITATION_S
        again, left_s, saved = identity.invitation(catalogue, T_NS + 1800 * S)
        assert (again.text, left_s, saved.invitations) == (first.text, 1800.0, ())
        other, left_s, _ = identity.invitation(catalogue, T_NS + 1801 * S)
        assert other.text != first.text
        assert left_s == INVITATION_S
    finally:
        catalogue.close()
    said: list[str] = []
    _explain(Address("lab", 7400), other, left_s, tmp_path, lambda text, _: said.append(text))
    assert "it can be used\nfor 60 minutes, afterwards" in said[1]
