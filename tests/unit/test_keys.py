"""Keys, tokens, and the files that keep them."""

import json
import os
import stat
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.config import parse_url
from fabric.errors import FabricError, UsageError
from fabric.keys import (
    AgentIdentity,
    JoinToken,
    KeyPair,
    OperatorAccess,
    find_operator_access,
    operator_access_path,
)

BROKER = KeyPair.new()
TOKEN = JoinToken(BROKER.public, bytes(range(16)))
ALPHABET = string.ascii_letters + string.digits + "-_"


def access(url: str = "tcp://127.0.0.1:7400") -> OperatorAccess:
    return OperatorAccess(url=url, name="ann", keys=KeyPair.new(), broker_public=BROKER.public)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_key_file_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    """Who reads the secret key is the node; a lax umask must not hand it out."""
    old = os.umask(0)
    try:
        KeyPair.new().save(tmp_path / "new" / "state" / "key.json")
    finally:
        os.umask(old)
    mode = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").rglob("*")}
    assert mode == {"state": 0o700, "key.json": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_pair_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """A broker that restarts must have the key that its agents know."""
    pair = KeyPair.new()
    pair.save(tmp_path / "key")
    assert KeyPair.load(tmp_path / "key") == pair


def test_a_missing_file_is_none_and_not_an_error(tmp_path: Path) -> None:
    """At the first start there is none, and one is made."""
    assert KeyPair.load(tmp_path / "key") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_secret_that_others_have_access_to_is_refused(tmp_path: Path, mode: int) -> None:
    """It may have been read already, so going on would hide a leak; the way out is in the hint."""
    path = tmp_path / "key"
    KeyPair.new().save(path)
    path.chmod(mode)
    with pytest.raises(FabricError, match=f"mode {mode:04o}") as caught:
        KeyPair.load(path)
    assert f"chmod 600 {path}" in caught.value.hint


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"public": 1, "secret": ""}', '{"public": "short", "secret": ""}']
)
def test_a_damaged_key_file_is_named(tmp_path: Path, content: str) -> None:
    """A user has to know which file to bring back."""
    path = tmp_path / "key"
    KeyPair.new().save(path)
    path.write_text(content)
    with pytest.raises(FabricError, match=str(path)):
        KeyPair.load(path)


def test_a_fifo_in_the_place_of_a_key_does_not_hang(tmp_path: Path) -> None:
    """Opening one waits for a writer for ever, unless told not to."""
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(FabricError, match="not a regular file"):
        KeyPair.load(tmp_path / "key")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while a key is saved must not cost the old key."""
    pair = KeyPair.new()
    pair.save(tmp_path / "key")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FabricError, match="No space left"):
        KeyPair.new().save(tmp_path / "key")
    monkeypatch.undo()
    assert KeyPair.load(tmp_path / "key") == pair
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_secrets_are_not_in_a_repr() -> None:
    """Logs and tracebacks print what they are given."""
    pair = KeyPair.new()
    shown = repr((pair, TOKEN, AgentIdentity(url="", name="", keys=pair, broker_public=b"")))
    assert pair.secret.decode() not in shown
    assert repr(TOKEN.secret) not in shown


@given(st.binary(min_size=16, max_size=16))
def test_a_token_comes_back_from_its_text(secret: bytes) -> None:
    """It is printed, copied and typed; it must need no quotes and never look like an option."""
    token = JoinToken(BROKER.public, secret)
    assert JoinToken.parse(f" {token.text}\n") == token
    assert token.text.startswith("fj1")
    assert set(token.text) <= set(ALPHABET)


@given(st.integers(3, JoinToken.LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_a_typing_error(at: int, letter: str) -> None:
    """Mistyped and not accepted are different troubles with different ways out."""
    text = TOKEN.text[:at] + letter + TOKEN.text[at + 1 :]
    if text == TOKEN.text:
        return
    with pytest.raises(UsageError, match="mistyped"):
        JoinToken.parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with fj1"),
        ("fj2" + TOKEN.text[3:], "begins with fj1"),
        (TOKEN.text[:-1], "has 71 characters, this one has 70"),
        (TOKEN.text[:40] + "+" + TOKEN.text[41:], r"no '\+' in it \(character 41\)"),
        (TOKEN.text[:40] + "ä" + TOKEN.text[41:], r"no 'ä' in it"),
    ],
    ids=["empty", "version", "short", "plus", "umlaut"],  # the token is another one in each process
)
def test_a_wrong_token_is_told_what_is_wrong(text: str, sentence: str) -> None:
    """It is copied by hand now and then."""
    with pytest.raises(UsageError, match=sentence):
        JoinToken.parse(text)


def test_the_access_to_a_broker_is_found_by_its_address() -> None:
    """A user may work with several brokers."""
    near, far = access(), access("tcp://lab0:7500")
    near.save(operator_access_path(parse_url(near.url)))
    far.save(operator_access_path(parse_url(far.url)))
    assert find_operator_access("tcp://lab0:7500") == far
    assert find_operator_access("tcp://127.0.0.1") == near
    assert find_operator_access("tcp://localhost:7400") == near


def test_without_an_address_the_only_broker_is_meant_and_of_two_none() -> None:
    """A guess would run a trial on the wrong lab."""
    one, two = access("tcp://lab0:7500"), access("tcp://[::1]:7500")
    one.save(operator_access_path(parse_url(one.url)))
    assert find_operator_access(None) == one
    two.save(operator_access_path(parse_url(two.url)))
    with pytest.raises(UsageError, match="several brokers") as caught:
        find_operator_access(None)
    assert "operator-lab0-7500.json" in caught.value.hint


@pytest.mark.parametrize("url", [None, "tcp://lab0:7400"])
def test_no_access_is_a_sentence_and_a_way_out(url: str | None) -> None:
    """It is what everybody meets who has not started a broker yet."""
    with pytest.raises(FabricError, match=r"no key for a broker at tcp://") as caught:
        find_operator_access(url)
    assert "start fabric-broker" in caught.value.hint


def test_an_access_file_has_these_names() -> None:
    """Users copy it to other machines, so its form is an interface."""
    one = access()
    path = operator_access_path(parse_url(one.url))
    one.save(path)
    assert path.name == "operator-127.0.0.1-7400.json"
    assert json.loads(path.read_text()) == {
        "url": one.url,
        "name": "ann",
        "public": one.keys.public.decode(),
        "secret": one.keys.secret.decode(),
        "broker_public": BROKER.public.decode(),
    }
