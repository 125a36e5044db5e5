"""What a key tries that it must not be able to do: each over real sockets, and each time the lab goes on."""

import hashlib
from typing import Any

import zmq

from fabric.config import parse_url
from fabric.keys import KeyPair
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.transport import receive_frames
from tests.integration.broker.peers import (
    OTHER,
    RUN,
    FakePeer,
    Lab,
    enrol,
    open_run,
    operator_hello,
    replay,
    start,
    text_of,
    until,
)

SECRET = b"0123456789abcdef"


def viewer(lab: Lab, name: str) -> FakePeer:
    """Return a connection of a viewer who was invited."""
    invited = lab.operator()
    digest = hashlib.sha256(SECRET).hexdigest()
    invited.ask(m.Invite(request=1, digest=digest, role="viewer", name=name, expires_s=60, uses=1), m.Done)
    peer = FakePeer(lab.context, lab.broker, name, KeyPair.new())
    lab.peers.append(peer)
    peer.ask(m.Enrol(protocol=PROTOCOL_VERSION, name=name, secret=SECRET, login=name), m.Enrolled)
    peer.close()
    peer.control = peer.connect(zmq.DEALER)
    peer.ask(operator_hello(), m.Welcome)
    return peer


def bare(peer: FakePeer, kind: int, offset: int, route: bytes = b"") -> zmq.Socket[Any]:
    """Connect with the peer's key a socket as the fabric makes none."""
    address = parse_url(peer.broker.listen)
    socket = peer.context.socket(kind)
    if route:
        socket.setsockopt(zmq.ROUTING_ID, route)
    socket.curve_serverkey = peer.broker.token.broker_public
    socket.curve_publickey, socket.curve_secretkey = peer.keys.public, peer.keys.secret
    socket.connect(str(address.at(address.port + offset)))
    peer.sockets.append(socket)
    return socket


def with_route(peer: FakePeer, route: bytes) -> None:
    """Connect a peer anew under a routing id of its choice."""
    peer.close()
    peer.control = bare(peer, zmq.DEALER, 0, route)


def test_a_routing_id_that_is_in_use_is_not_to_be_had(lab: Lab) -> None:
    """ROUTER sends by routing id: who could take one over would get what is meant for another."""
    victim, thief = lab.agent("lab1"), lab.agent("lab2")
    with_route(victim, b"route")
    victim.ask(victim.hello(), m.Welcome)
    with_route(thief, b"route")
    thief.say(thief.hello())
    operator = lab.operator()
    operator.ask(open_run(RUN, victim), m.RunOpened)
    operator.say(m.Assign(run=RUN, node="lab1", on_lost="stop", lease_s=20.0, reset=()))
    assert victim.expect(m.Assign).node == "lab1"
    thief.take()
    assert thief.waiting == []


def test_a_node_cannot_say_that_it_is_another(lab: Lab) -> None:
    """What it is follows from its key."""
    lab.agent("lab1")
    thief = lab.agent("lab2")
    thief.name = "lab1"
    rejected = thief.ask(thief.hello(), m.Rejected)
    assert rejected.sentence == "this key belongs to node lab2, not to 'lab1'"
    assert thief.ask(enrol("lab1", lab.broker), m.Rejected).code == "name_in_use"


def test_records_in_the_name_of_another_are_the_own_or_nobodys(lab: Lab) -> None:
    """A batch has no name in it: whose it is follows from the key of the connection."""
    victim, thief, outsider = (lab.agent(f"lab{number}") for number in (1, 2, 3))
    operator = lab.running(victim, thief)
    victim.ship(1, b"true")
    outsider.ship(1, b"false")
    thief.ship(1, b"false")
    thief.expect(m.Acknowledged)
    victim.expect(m.Acknowledged)
    entries = replay(operator)
    assert text_of(entries, "lab1") == b"true"
    assert text_of(entries, "lab2") == b"false"
    assert text_of(entries, "lab3") == b""


def test_a_node_answers_for_itself_only(lab: Lab) -> None:
    """Or one could say that another is ready, and the go would come too early."""
    victim, thief = lab.agent("lab1"), lab.agent("lab2")
    operator = lab.operator()
    operator.ask(open_run(RUN, victim, thief), m.RunOpened)
    thief.say(m.Assigned(run=RUN, node="lab1"))
    thief.say(m.Freed(run=RUN, node="lab1", incarnation=1, records=0, reset_failed=False))
    thief.say(m.Assigned(run=RUN, node="lab2"))
    assert operator.expect(m.Assigned).node == "lab2"
    operator.take()
    assert not [one for one in operator.waiting if isinstance(one, m.Assigned | m.Freed)]


def test_a_viewer_starts_nothing_and_leads_nothing(lab: Lab) -> None:
    """Also if he is called like the operator who leads a run, and uses the session of that one's program."""
    node = lab.agent("lab1")
    vic = viewer(lab, lab.broker.operator.name)
    operator = lab.running(node)
    vic.ask(operator_hello(), m.Welcome)
    words: list[m.Message] = [
        open_run(OTHER, node),
        m.Assign(run=RUN, node="lab1", on_lost="stop", lease_s=20.0, reset=()),
        m.CloseRun(request=5, run=RUN, verdict="pass", result="{}"),
        m.DeleteRun(request=6, run=RUN),
        m.Append(run=RUN, incarnation=1, first=1, records=()),
        m.Clean(request=6, node="lab1", clean="c", force=True),
        m.RotateNode(request=6, node="lab1", overlap_s=0.0),
        m.Drain(request=7, nodes=("lab1",), drained=True, why=""),
        m.Invite(request=8, digest="0" * 64, role="operator", name="", expires_s=60, uses=1),
        m.Revoke(request=9, what=operator.keys.public.decode()),
    ]
    for word in words:
        assert vic.ask(word, m.Rejected).code == "not_allowed"
    assert replay(vic) == replay(operator), "but he may read"
    node.say(m.Assigned(run=RUN, node="lab1"))
    assert operator.expect(m.Assigned).node == "lab1"
    vic.take()
    assert not [one for one in vic.waiting if isinstance(one, m.Assigned)]


def test_a_viewer_who_publishes_on_the_feed_is_heard_by_nobody(lab: Lab) -> None:
    """XPUB takes messages of its subscribers, which is how a forged record could come in."""
    node = lab.agent("lab1")
    operator = lab.running(node)
    assert operator.feed is not None
    vic = viewer(lab, "vic")
    forger = bare(vic, zmq.XSUB, 3)
    forged = [f"{RUN}/".encode(), b"forged", b"", b""]
    operator.feed.subscribe(f"{RUN}/")
    assert operator.feed.poll(60_000), "beacons come"
    forger.send(b"\x01" + forged[0])
    assert forger.poll(60_000), "it is connected"
    for _ in range(10):
        forger.send_multipart(forged)
    node.ship(1, b"true")
    node.expect(m.Acknowledged)
    came: list[list[bytes]] = []
    while not any(len(frames) == len(forged) for frames in came):
        assert operator.feed.poll(60_000)
        came.append(operator.feed.recv_multipart())
    assert not [frames for frames in came if b"forged" in frames]


def test_a_node_who_publishes_a_go_starts_nobody(lab: Lab) -> None:
    """Go is an XPUB, too: who may listen there may send there, and a go is believed by all."""
    victim, thief = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(victim)
    forger = bare(thief, zmq.XSUB, 1)
    forger.send(b"\x01go")
    forged = m.Go(run=RUN, phase="1/run", go=99, epoch=1, t0_ns=1)
    heard: dict[int, int] = {}

    def start_and_hear(number: int) -> None:
        def came() -> bool:
            victim.take()
            frames = [frames[-1] for frames in receive_frames(victim.go, 10)]
            words = [*map(decode, frames), *victim.waiting]
            heard.update({word.go: word.t0_ns for word in words if isinstance(word, m.Go)})
            victim.waiting.clear()
            return number in heard

        controller.say(start(number, victim))
        until(came, victim.go, zmq.POLLIN)
        victim.say(m.Confirm(run=RUN, phase="1/run", go=number, t0_ns=heard[number]))
        controller.expect(m.GoCommitted)

    number = 1
    start_and_hear(number)
    while not forger.poll(0):  # then it is connected
        number += 1
        start_and_hear(number)
    for _ in range(10):
        forger.send_multipart([b"go", encode(forged)])
    start_and_hear(number + 1)
    assert set(heard) == set(range(1, number + 2))


def test_a_node_gets_nothing_of_the_feed(lab: Lab) -> None:
    """What other nodes do, and what they print, is none of its business."""
    node, spy = lab.agent("lab1"), lab.agent("lab2")
    operator = lab.running(node)
    ear = spy.connect(zmq.SUB, 3)
    ear.subscribe(b"")
    assert operator.feed is not None
    operator.feed.subscribe(b"")
    for number in range(1, 4):
        node.ship(number, b"secret")
        node.expect(m.Acknowledged)
    assert operator.feed.poll(60_000)
    assert not ear.poll(0)
    sentence = spy.ask(m.Replay(request=1, run=RUN, number=1, limit_bytes=100), m.Rejected).sentence
    assert sentence == "node lab2 may not send replay"


def test_a_token_ends_by_use_and_by_time(lab: Lab) -> None:
    """On the wire as in the table: replayed by another key, and used too late."""
    operator = lab.operator()
    for number, expires_s in ((1, 60.0), (2, 1.0)):
        digest = hashlib.sha256(b"%d" % number).hexdigest()
        wish = m.Invite(request=number, digest=digest, role="node", name="", expires_s=expires_s, uses=1)
        operator.ask(wish, m.Done)
    first, second = lab.agent("lab1", join=False), lab.agent("lab2", join=False)
    overheard = m.Enrol(protocol=PROTOCOL_VERSION, name="lab1", secret=b"1")
    assert first.ask(overheard, m.Enrolled).name == "lab1"
    assert "has been used already, by lab1" in second.ask(overheard, m.Rejected).sentence
    late = m.Enrol(protocol=PROTOCOL_VERSION, name="no name", secret=b"2")
    while (rejected := second.ask(late, m.Rejected)).code == "malformed":
        second.control.poll(50)
    assert rejected.sentence == "the join token has expired; ask for a new one"


def test_whoever_has_no_key_is_not_even_heard(lab: Lab) -> None:
    """Plain frames at all four ports end the connection and nothing else."""
    address = parse_url(lab.broker.listen)
    node = lab.agent("lab1")
    for offset, kind in enumerate((zmq.DEALER, zmq.SUB, zmq.PUSH, zmq.SUB)):
        socket = lab.context.socket(kind)
        socket.connect(str(address.at(address.port + offset)))
        if kind in (zmq.DEALER, zmq.PUSH):
            socket.send(encode(node.hello()))
        socket.close(linger=0)
    assert node.ask(m.Probe(t1_ns=1), m.ProbeReply).t1_ns == 1
