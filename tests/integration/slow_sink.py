"""A listening socket that is full when the peer that has filled it dies: ZeroMQ may end the broker for that.

``python -m tests.integration.slow_sink DOMAIN``.  Its heartbeats come ten times as fast as in the fabric, and
are waited for as long, so that some go by.
"""

import sys
import time
from typing import Any, Final

import zmq

from broker.gate import Gate
from broker.zap import ZapHandler
from fabric.keys import KeyPair
from fabric.transport import Domain, bound_port, listen, options, receive_now
from fabric.transport.sockets import Context, Socket
from tests.integration.slow_reader import FASTER, WITHIN_S

FULL_S: Final = 0.05
"""So long nothing could be sent: all queues are full."""

PAUSE_S: Final = 10 * options.HEARTBEAT_MS / 1000 / FASTER
MESSAGE: Final = b"\2" + b"x" * 16 * 1024
"""For an XPUB that is a message of a subscriber, not a subscription."""

MESSAGES: Final = 12_000
"""Of an XSUB: more than any queue holds."""

KINDS: Final[dict[str, tuple[int, int]]] = {
    "control": (zmq.ROUTER, zmq.DEALER),
    "go": (zmq.XPUB, zmq.XSUB),
    "sink": (zmq.PULL, zmq.PUSH),
    "feed": (zmq.XPUB, zmq.XSUB),
}


def main(domain: Domain) -> None:
    """Send until all queues are full, end the sender, read on."""
    plain = options.listening

    def listening(socket_type: int, of: Domain) -> dict[zmq.SocketOption, int]:
        found = plain(socket_type, of)
        return found | {zmq.HEARTBEAT_IVL: found[zmq.HEARTBEAT_IVL] // FASTER}

    options.listening = listening
    broker, peer = KeyPair.new(), KeyPair.new()
    gate = Gate()
    gate.add(peer.public, "operator" if domain == "feed" else "node", "n1")
    context, others = zmq.Context[Any](), zmq.Context[Any]()
    zap = ZapHandler(context, gate)
    bound = listen(context, KINDS[domain][0], "tcp://127.0.0.1:0", broker, domain)
    sender = connected(others, domain, bound_port(bound), peer, broker)
    sent = fill(sender, zap)
    others.destroy(linger=0)
    time.sleep(PAUSE_S)  # heartbeats go by, nobody reads
    got = len(list(receive_now(bound, sent)))
    time.sleep(PAUSE_S / 10)
    print(f"read {got} of {sent}")  # noqa: T201 - for the test


def fill(sender: Socket, zap: ZapHandler) -> int:
    """Send until nothing can be sent any more, or for a while: an XSUB drops what finds no room."""
    sent, last = 0, time.monotonic()
    until = last + WITHIN_S
    while not sent or time.monotonic() < last + FULL_S:
        try:
            sender.send(MESSAGE, zmq.DONTWAIT)
            sent, last = sent + 1, time.monotonic()
        except zmq.Again:
            zap.serve_for(0.002)
        if sender.type == zmq.XSUB and sent % 32 == 0:
            zap.serve_for(0.002)
        if sent == MESSAGES and sender.type == zmq.XSUB:
            break
        assert time.monotonic() < until, "no connection"
    return sent


def connected(context: Context, domain: Domain, port: int, peer: KeyPair, broker: KeyPair) -> Socket:
    """Return a socket of a peer that sends what it likes, and answers heartbeats."""
    line: Socket = context.socket(KINDS[domain][1])
    line.curve_serverkey = broker.public
    line.curve_publickey, line.curve_secretkey = peer.public, peer.secret
    line.sndhwm = 8
    line.immediate = 1
    line.connect(f"tcp://127.0.0.1:{port}")
    return line


if __name__ == "__main__":
    main(sys.argv[1])  # type: ignore[arg-type]
