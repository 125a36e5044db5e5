"""Nonsense on all four sockets, before and after the handshake, from everybody: a good run goes on."""

import hashlib
import signal
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import msgpack
import pytest
import zmq

from fabric.config import parse_url
from fabric.errors import ProtocolError
from fabric.keys import KeyPair
from fabric.protocol import messages as m
from fabric.protocol.codec import MESSAGES, decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from tests import hostile
from tests.integration.broker.peers import BOUND_S, FakeAgent, FakePeer, Lab, open_run, operator_hello, replay

SEED: Final = 20260301
MESSAGES_OF_EACH: Final = 800
WELL_FORMED: Final = 700
"""So many of them, of those that a known key sends, fit and say nonsense; then come others, too."""

RSS_KIB: Final = 250_000
"""A broker that does nothing has 60 MiB, and some MiB wait in each connection of a known key."""

SOON_S: Final = 3.0
"""A hundred megabytes of brackets take ten to read."""

SECRET: Final = b"0123456789abcdef"
ROLES: Final = ("stranger", "viewer", "node", "operator")
SOCKETS: Final = {
    "control": (zmq.DEALER, 0),
    "go": (zmq.XSUB, 1),
    "sink": (zmq.PUSH, 2),
    "feed": (zmq.XSUB, 3),
}
"""How a hostile peer connects: XSUB and not SUB, for it sends what it likes."""

ANSWERS: Final = tuple(MESSAGES.values())
BYTES: Final = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL".ljust(64, b"\0") + b"\x04\x26\x05READY" + b"\0" * 300,
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".ljust(64, b"\0") + b"\x04\xc8\x05HELLO" + b"\xff" * 194,
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".ljust(64, b"\0") + b"\x06" + b"\xff" * 8 + b"x" * 100,
    b"\x16\x03\x01" + b"\0" * 500,
)
"""Before any handshake: other protocols, another mechanism, a broken hello, a frame of 2^64 bytes."""


def peak_kib(pid: int) -> int:
    """Return the most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def enrolled(lab: Lab, role: Any, name: str) -> FakePeer:
    """Return a peer that has a key of this role, and no connection yet."""
    if role == "node":
        return lab.agent(name)
    peer = FakePeer(lab.context, lab.broker, name, KeyPair.new())
    lab.peers.append(peer)
    if role != "stranger":
        secret = SECRET + role.encode()
        digest = hashlib.sha256(secret).hexdigest()
        wish = m.Invite(request=1, digest=digest, role=role, name=name, expires_s=60, uses=1)
        lab.operator().ask(wish, m.Done)
        peer.ask(m.Enrol(protocol=PROTOCOL_VERSION, name=name, secret=secret, login=name), m.Enrolled)
    peer.close()
    return peer


def bare(peer: FakePeer, kind: int, offset: int) -> "zmq.Socket[Any]":
    """Connect with a peer's key, without any of the fabric's own options."""
    address = parse_url(peer.broker.listen)
    line = peer.context.socket(kind)
    line.curve_serverkey = peer.broker.token.broker_public
    line.curve_publickey, line.curve_secretkey = peer.keys.public, peer.keys.secret
    line.sndtimeo = 2000  # a connection that was hung up on comes back, or does not
    line.connect(str(address.at(address.port + offset)))
    peer.sockets.append(line)
    return line


def is_message(frames: list[bytes]) -> bool:
    """Whether it can be read: who has said what cannot is not listened to for a while."""
    try:
        decode(frames[0])
    except ProtocolError:
        return False
    return len(frames) == 1 or (len(frames) == 2 and isinstance(decode(frames[0]), m.Batch))


def greeting(peer: FakePeer) -> bytes:
    """Return the first words of a good peer: without them all else is only told to say hello."""
    return encode(peer.hello() if isinstance(peer, FakeAgent) else operator_hello())


class Good:
    """A run that nobody may disturb."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.count = lab, 0
        self.node, self.operator = lab.agent("good"), lab.operator()
        self.operator.ask(open_run(hostile.GOOD_RUN, self.node), m.RunOpened)

    def goes_on(self) -> None:
        """Its next record is stored, and all that were are read."""
        self.count += 1
        self.node.ship(self.count, b"fine", run=hostile.GOOD_RUN)
        while self.node.expect(m.Acknowledged).number < self.count:
            pass
        self.operator.ask(m.NodesRequest(request=self.count), m.Nodes)


@pytest.mark.parametrize("role", ROLES)
def test_nonsense_from_everybody_disturbs_nobody(lab: Lab, role: str) -> None:
    """Whatever a key may say on whichever socket, in whatever state, it harms itself only."""
    good, source = Good(lab), Random(SEED)
    peer = enrolled(lab, role, "lab1")
    lines = {name: bare(peer, *how) for name, how in SOCKETS.items()}
    if role != "stranger":
        lines["control"].send(greeting(peer))
    for number in range(MESSAGES_OF_EACH):
        name = source.choice(list(lines))
        frames = hostile.frames(source, (m.Batch,) if name == "sink" else ANSWERS)
        if role != "stranger" and number < WELL_FORMED and not is_message(frames):
            continue
        with suppress(zmq.Again):  # nobody has let it in there, or it was hung up on
            lines[name].send_multipart(frames, zmq.DONTWAIT)
    for name, line in lines.items():
        with suppress(zmq.Again):
            line.send(b"", zmq.DONTWAIT)
            line.send(b"\1" + b"x" * 100_000, zmq.DONTWAIT if name != "control" else 0)
    good.goes_on()
    again = enrolled(lab, "node", "late")
    assert again.name == "late", "who comes now is let in"
    good.goes_on()
    process = lab.broker.process
    assert process is not None
    assert peak_kib(process.pid) < RSS_KIB
    assert lab.broker.end(signal.SIGTERM) == 0
    assert "Traceback" not in lab.broker.errors, lab.broker.errors[-3000:]
    assert "message_failed" not in lab.broker.errors


def test_a_node_takes_neither_memory_nor_time_of_others(lab: Lab) -> None:
    """To see that a megabyte of brackets is no message takes long, and a key has many connections."""
    good, bad = Good(lab), enrolled(lab, "node", "lab1")
    brackets = msgpack.packb([[[0] * 10] * 1000] * 90)
    lines = [bare(bad, *SOCKETS[name]) for name in ("control", "sink") for _ in range(16)]
    for _ in range(6):
        for line in lines:
            with suppress(zmq.Again):
                line.send_multipart([brackets], zmq.DONTWAIT)
    begun = time.monotonic()
    good.goes_on()
    assert time.monotonic() - begun < SOON_S
    process = lab.broker.process
    assert process is not None
    assert peak_kib(process.pid) < RSS_KIB
    assert lab.broker.end(signal.SIGTERM) == 0


def test_bytes_that_are_no_handshake_disturb_nobody(lab: Lab) -> None:
    """Port scanners, web browsers, and who knows ZeroMQ too well."""
    good, address = Good(lab), parse_url(lab.broker.listen)
    with ExitStack() as stack:
        for offset in range(4):
            for data in BYTES:
                line = stack.enter_context(
                    socket.create_connection(("127.0.0.1", address.port + offset), BOUND_S)
                )
                with suppress(OSError):
                    line.sendall(data)
        good.goes_on()
    assert len(replay_of(good)) == good.count


def replay_of(good: Good) -> list[Any]:
    return replay(good.operator, run=hostile.GOOD_RUN)


def test_strangers_cannot_fill_the_memory(lab: Lab) -> None:
    """Any key gets through the handshake of control, and may send frames as long as anybody's."""
    good = Good(lab)
    process = lab.broker.process
    assert process is not None
    frame, lines = b"\x91" * (1 << 20), []
    for number in range(24):
        stranger = enrolled(lab, "stranger", f"stranger{number}")
        lines.append(bare(stranger, zmq.DEALER, 0))
    for _ in range(32):
        for line in lines:
            with suppress(zmq.Again):
                line.send(frame, zmq.DONTWAIT)
        good.goes_on()
    assert peak_kib(process.pid) < RSS_KIB
