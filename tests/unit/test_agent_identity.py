"""An agent's keys: a crash at any moment leaves one that works."""

from pathlib import Path

import pytest

from agents.identity import KNOWN, NEXT, Identity
from fabric.config import Address
from fabric.errors import UsageError
from fabric.keys import AgentIdentity, JoinToken, KeyPair

BROKER = Address("127.0.0.1", 7400)
PUBLIC = KeyPair.new().public


def joined(directory: Path, token: JoinToken | None = None) -> Identity:
    if not (directory / KNOWN).exists():
        Identity(directory, "lab1", BROKER, JoinToken.new(PUBLIC)).enrolled()
    return Identity(directory, "lab1", BROKER, token)


def test_without_key_and_token_nobody_joins(tmp_path: Path) -> None:
    """The way out is in the hint."""
    with pytest.raises(UsageError) as caught:
        Identity(tmp_path, "lab1", BROKER, None)
    assert "fabric keys invite" in caught.value.hint


def test_a_new_key_is_on_the_disk_before_the_broker_hears_of_it(tmp_path: Path) -> None:
    """And is offered again by the next life, as long as the broker has not said that it knows it."""
    before = joined(tmp_path)
    assert before.unfinished() is None
    offered = before.renew(60.0)
    assert before.renew(60.0) == offered
    after = joined(tmp_path)
    again = after.unfinished()
    assert again is not None
    assert again.public_key == offered.public_key
    assert after.value.keys == before.value.keys, "the old one is used until then"
    assert after.renewed()
    assert not after.renewed()
    assert joined(tmp_path).value.keys.public.decode() == offered.public_key
    assert not (tmp_path / NEXT).exists()


def test_where_the_broker_is_now_is_kept(tmp_path: Path) -> None:
    """A broker moves to another machine; the doctor, which nobody tells the URL, looks where it is now."""
    node = joined(tmp_path)
    node.reached(BROKER._replace(port=7500))
    assert AgentIdentity.load(tmp_path / KNOWN) == node.value
    assert node.value.url == "tcp://127.0.0.1:7500"


def test_a_key_that_was_revoked_gives_way_to_the_one_that_was_to_follow(tmp_path: Path) -> None:
    """The broker may have known it, and its answer was lost until the overlap was over."""
    node = joined(tmp_path)
    offered = node.renew(0.0)
    assert node.revoked()
    assert node.value.keys.public.decode() == offered.public_key
    assert not node.revoked()


def test_a_token_lets_a_revoked_node_in_with_another_key(tmp_path: Path) -> None:
    """As long as its key stands, the token is not touched."""
    old = joined(tmp_path).value
    token = JoinToken.new(PUBLIC)
    node = joined(tmp_path, token)
    assert (node.value, node.secret) == (old, None)
    assert node.revoked()
    assert node.secret == token.secret
    assert node.value.keys != old.keys
    assert AgentIdentity.load(tmp_path / KNOWN) == old, "until the broker has taken the new one"
    assert not node.revoked()
    node.enrolled()
    assert joined(tmp_path).value == node.value
