"""Invitations, viewers, revoking and renewing, by the commands and against a real broker."""

import json
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner, Result

from fabric.cli.main import main
from fabric.config import parse_url
from fabric.keys import JoinToken, KeyPair, OperatorAccess, broker_keys, operator_access_path
from fabric.protocol import messages as m
from fabric.protocol.limits import PROTOCOL_VERSION
from tests.integration.broker.peers import RUN, FakePeer, Lab, open_run, operator_hello


class Desk:
    """The commands, as a user of a lab types them; each user has a directory of settings."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab, self.monkeypatch = lab, monkeypatch
        monkeypatch.setenv("FABRIC_BROKER", lab.broker.listen)
        self.be("root")
        lab.broker.operator.save(operator_access_path(parse_url(lab.broker.listen)))

    def be(self, user: str) -> None:
        self.monkeypatch.setenv("XDG_CONFIG_HOME", str(self.lab.broker.directory / user))

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(main, words)

    def said(self, *words: str) -> str:
        done = self.type(*words)
        assert done.exit_code == 0, done.output
        return done.stdout

    def token(self, *words: str) -> JoinToken:
        return JoinToken.parse(json.loads(self.said("keys", "invite", "--json", *words))["token"])

    def peer(self, role: str, name: str) -> FakePeer:
        """Enrol by hand, and return the connection."""
        token = self.token("--role", role)
        peer = FakePeer(self.lab.context, self.lab.broker, name, KeyPair.new())
        self.lab.peers.append(peer)
        peer.ask(m.Enrol(protocol=PROTOCOL_VERSION, name=name, secret=token.secret, login=name), m.Enrolled)
        peer.close()
        peer.control = peer.connect(zmq.DEALER)
        peer.ask(operator_hello(), m.Welcome)
        return peer


def rejection(peer: FakePeer) -> m.Rejected:
    """Return what a peer is told that goes on talking, as programs do: its first words go with the line."""
    while not any(isinstance(message, m.Rejected) for message in peer.waiting):
        peer.say(m.Beat())
        peer.control.poll(100)
        peer.take()
    return peer.expect(m.Rejected)


@pytest.fixture
def desk(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(lab, monkeypatch)


def test_a_broker_gets_its_key_before_its_first_start(tmp_path: Path) -> None:
    """Who sets many machines up has to know it; and no key is made where others get at it."""
    place = tmp_path / "broker"
    made, again = (CliRunner().invoke(main, ["keys", "init", "--state-dir", str(place)]) for _ in range(2))
    assert (made.exit_code, again.exit_code, again.stdout) == (0, 0, made.stdout), made.output
    assert broker_keys(place)[0].public.decode() == made.stdout.strip()
    assert (place / "broker.key").stat().st_mode & 0o777 == 0o600
    place.chmod(0o777)
    refused = CliRunner().invoke(main, ["keys", "init", "--state-dir", str(place)])
    assert (refused.exit_code, f"{place} (mode 0777)" in refused.stderr) == (3, True), refused.output


def test_a_viewer_joins_reads_and_changes_nothing(desk: Desk) -> None:
    """Someone who watches a lab must not be able to break it, not even by mistake."""
    token = desk.token("--role", "viewer", "--name", "vic")
    desk.be("vic")
    assert "joined as viewer vic" in desk.said("join", desk.lab.broker.listen, token.text)
    assert "NODE" in desk.said("nodes")
    for words in (["keys", "list"], ["nodes", "drain", "lab1"], ["keys", "invite", "--role", "node"]):
        refused = desk.type(*words)
        assert refused.exit_code == 3
        assert "viewer vic may not send" in refused.stderr
    assert desk.type("join", desk.lab.broker.listen, token.text).exit_code == 2, "there is a key already"


def test_a_token_that_was_used_or_withdrawn_makes_nobody_an_operator(desk: Desk) -> None:
    """A token in a chat log is worth nothing."""
    used, withdrawn = desk.token("--role", "operator"), desk.token("--role", "operator")
    desk.be("bob")
    desk.said("join", desk.lab.broker.listen, used.text, "--name", "bob")
    ring = [json.loads(line) for line in desk.said("keys", "list", "--json").splitlines()]
    assert {key["name"] for key in ring if key["kind"] == "key"} == {desk.lab.broker.operator.name, "bob"}
    (mine,) = (one["digest"] for one in ring if one["kind"] == "invitation" and one["role"] == "operator")
    desk.said("keys", "revoke", mine[:8])
    desk.be("eve")
    for token, why in ((used, "has been used already, by bob"), (withdrawn, "not this broker's")):
        refused = desk.type("join", desk.lab.broker.listen, token.text)
        assert refused.exit_code == 3
        assert why in refused.stderr
    assert OperatorAccess.load(operator_access_path(parse_url(desk.lab.broker.listen))) is None
    desk.be("bob")
    asked = desk.type("keys", "revoke", "bob")
    assert (asked.exit_code, "operator bob is you" in asked.stderr) == (2, True), asked.output
    assert desk.said("keys", "revoke", "bob", "--yes") == "revoked the key of operator bob\n"
    assert "the key of operator bob was revoked" in desk.type("keys", "list").stderr
    desk.be("root")
    assert "no operator would be left" in desk.type("keys", "revoke", desk.lab.broker.operator.name).stderr


def test_a_revoked_operator_is_cut_off_in_the_middle(desk: Desk) -> None:
    """The key is taken from someone who is connected: neither word nor feed may go on."""
    eve = desk.peer("operator", "eve")
    node = desk.lab.agent("lab1")
    eve.ask(open_run(RUN, node), m.RunOpened)
    feed = eve.connect(zmq.SUB, 3)
    feed.subscribe(b"")
    assert feed.poll(60_000), "beacons of the run come"
    desk.said("keys", "revoke", "eve", "--role", "operator")
    assert rejection(eve).code == "revoked"
    while feed.poll(0):
        feed.recv_multipart()
    root = desk.lab.operator()
    assert root.feed is not None
    root.feed.subscribe(b"")
    for _ in range(3):  # what is sent to both at one instant need not arrive at one
        assert root.feed.poll(60_000), "others are told of the run"
        root.feed.recv_multipart()
    assert not feed.poll(0)


def test_a_revoked_node_is_away_at_once_and_its_run_hears_of_it(desk: Desk) -> None:
    """A machine that was taken over must not go on in a run."""
    node = desk.lab.agent("lab1")
    root = desk.lab.running(node)
    desk.said("keys", "revoke", "lab1")
    assert "the key of lab1 was revoked" in root.expect(m.NodeLost).sentence
    assert rejection(node).code == "revoked"
    again = desk.lab.agent("lab1")
    assert again.keys != node.keys, "its name is free for a new key"


def test_a_key_is_renewed_and_the_old_one_ends_after_the_overlap(desk: Desk) -> None:
    """Meanwhile both work: a lab is not changed over at one instant."""
    path = operator_access_path(parse_url(desk.lab.broker.listen))
    old = OperatorAccess.load(path)
    assert old is not None
    desk.said("keys", "rotate", "--overlap", "1h")
    new = OperatorAccess.load(path)
    assert new is not None
    assert new.keys != old.keys
    for keys in (old.keys, new.keys):
        peer = FakePeer(desk.lab.context, desk.lab.broker, old.name, keys)
        desk.lab.peers.append(peer)
        assert peer.ask(operator_hello(), m.Welcome).name == old.name
    desk.said("keys", "rotate", "--overlap", "0s")
    assert rejection(peer).code == "revoked"
    assert "NODE" in desk.said("nodes")
