"""Before a broker serves anybody it tries its own doors, with keys that must open them and with others.

What the sockets' options are is not the question, but what they do: a socket on which one option was
forgotten is open to everybody and shows no sign of it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.gate import Gate
from fabric.errors import FabricError
from fabric.keys import KeyPair
from fabric.transport import Domain
from fabric.transport.sockets import Context, Socket

LIMIT_S: Final = 10.0
"""A door that has not answered by then counts as closed.  All together take 0.04 s, measured; while a
hundred agents start on the same machine, more than 2 s."""

_POLL_S: Final = 0.005
_NAME: Final = "self-test"  # of the probes; nobody sends anything under it

_PEERS: Final[Mapping[str, int]] = {
    "control": zmq.DEALER,
    "go": zmq.SUB,
    "sink": zmq.PUSH,
    "feed": zmq.SUB,
}
"""Which type of socket connects to a domain; one that does not fit would be refused for that."""

_OPEN: Final = zmq.Event.HANDSHAKE_SUCCEEDED
_CLOSED: Final = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.DISCONNECTED
)


def self_test(
    context: Context,
    endpoints: Mapping[Domain, str],
    server_public: bytes,
    serve: Callable[[float], None],
    gate: Gate,
) -> None:
    """Return if each endpoint lets in exactly whom the gate says.

    Each is tried at once without a key (NULL), with an unknown key, with a barred one, with a node's, an
    operator's and a viewer's.  No message is sent.

    Args:
        context: Any.
        endpoints: ``tcp://host:port`` of each domain, as this machine reaches it.
        server_public: The broker's public key.
        serve: Answers handshakes, waiting for them up to so many seconds: `ZapHandler.serve_for`.
        gate: Which the ZAP handler asks.  The keys of the probes are in it only meanwhile.

    Raises:
        FabricError: If one is open to whom it must not be open, or closed to whom it must not be closed.
    """
    with _guests(gate) as guests:
        probes = []
        try:
            for domain, endpoint in endpoints.items():
                probes.append(_Probe(context, domain, endpoint, who="a peer without a key", expected=False))
                for who, keypair in guests.items():
                    expected = gate.admit(domain, keypair.public) is not None
                    probes.append(_Probe(context, domain, endpoint, who=who, expected=expected))
                    probes[-1].use(keypair, server_public)
            _run(probes, serve)
        finally:
            for probe in probes:
                probe.close()
    _judge(probes)


@contextmanager
def _guests(gate: Gate) -> Iterator[dict[str, KeyPair]]:
    """Make a key of each sort, of which the gate knows as long as this lasts."""
    unknown, barred, node, operator, viewer = (KeyPair.new() for _ in range(5))
    gate.add(node.public, "node", _NAME)
    gate.add(operator.public, "operator", _NAME)
    gate.add(viewer.public, "viewer", _NAME)
    gate.bar(barred.public)
    gate.noticing = False
    try:
        yield {
            "an unknown key": unknown,
            "a barred key": barred,
            "a node's key": node,
            "an operator's key": operator,
            "a viewer's key": viewer,
        }
    finally:
        gate.noticing = True
        gate.revoke(node.public)
        gate.revoke(operator.public)
        gate.revoke(viewer.public)
        gate.unbar(barred.public)


class _Probe:
    """One attempt to connect to one endpoint with one key, or with none."""

    def __init__(self, context: Context, domain: Domain, endpoint: str, *, who: str, expected: bool) -> None:
        self.domain, self.endpoint, self.who, self.expected = domain, endpoint, who, expected
        self.opened: bool | None = None  # None: not known yet
        # Not by transport.connect: that makes no socket without CURVE, and one that tries again would blur
        # the answer.
        self._socket: Socket = context.socket(_PEERS[domain])
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._monitor: Socket = self._socket.get_monitor_socket(_OPEN | _CLOSED)

    def use(self, keypair: KeyPair, server_public: bytes) -> None:
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, server_public)
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, keypair.public)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, keypair.secret)

    def connect(self) -> None:
        self._socket.connect(self.endpoint)

    def look(self) -> None:
        """Take note of what has happened, without waiting.  The first answer counts."""
        while self.opened is None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor, zmq.DONTWAIT)["event"]
            if event & (_OPEN | _CLOSED):
                self.opened = bool(event & _OPEN)

    def close(self) -> None:
        self._socket.disable_monitor()
        self._socket.close(linger=0)


def _run(probes: list[_Probe], serve: Callable[[float], None]) -> None:
    for probe in probes:
        probe.connect()
    end = time.monotonic() + LIMIT_S
    while any(probe.opened is None for probe in probes) and time.monotonic() < end:
        serve(_POLL_S)
        for probe in probes:
            probe.look()


def _judge(probes: list[_Probe]) -> None:
    for probe in probes:
        if bool(probe.opened) == probe.expected:
            continue
        if probe.expected:
            raise FabricError(
                f"self-test: the {probe.domain} socket at {probe.endpoint} does not let {probe.who} in",
                hint="does a firewall on this machine stand between it and itself?",
            )
        raise FabricError(
            f"self-test: the {probe.domain} socket at {probe.endpoint} lets {probe.who} in",
            hint="this is a mistake in testfabric or in its ZeroMQ; please report it",
        )
