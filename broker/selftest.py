"""Before a broker serves anybody it tries its own doors, with keys that must open them and with others.

What the sockets' options are is not the question, but what they do: a socket on which one option was
forgotten is open to everybody and shows no sign of it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.gate import Gate
from fabric.errors import FabricError
from fabric.keys import KeyPair
from fabric.transport import Domain
from fabric.transport.options import HANDSHAKE_MS
from fabric.transport.sockets import Context, Socket

LIMIT_S: Final = 60.0
"""A door that has not answered by then was not tested, and the broker does not start.  All together take
0.04 s, measured; on a machine that has much too much to do, more than 10 s."""

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
        FabricError: If one is open to whom it must not be open, closed to whom it must not be closed, or
            did not answer in time.
    """
    with _guests(gate) as guests:
        probes = []
        try:
            for domain, endpoint in endpoints.items():
                stranger = _Probe(
                    context, domain, endpoint, who="a peer without a key", expected=False, keys=None
                )
                probes.append(stranger)
                for who, keypair in guests.items():
                    expected = gate.admit(domain, keypair.public) is not None
                    keys = _Keys(keypair, server_public)
                    probes.append(_Probe(context, domain, endpoint, who=who, expected=expected, keys=keys))
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


class _Keys(NamedTuple):
    """With which a probe connects."""

    own: KeyPair
    server_public: bytes


class _Probe:
    """Attempts to connect to one endpoint with one key, or with none, until one has an answer."""

    def __init__(
        self, context: Context, domain: Domain, endpoint: str, *, who: str, expected: bool, keys: _Keys | None
    ) -> None:
        self.domain, self.endpoint, self.who, self.expected = domain, endpoint, who, expected
        self.opened: bool | None = None  # None: not known yet
        self._context = context
        self._keys = keys
        self._make()

    def connect(self, now_s: float) -> None:
        self._since_s = now_s
        self._socket.connect(self.endpoint)

    def look(self, now_s: float) -> None:
        """Take note of what has happened, without waiting.  The first answer counts."""
        while self.opened is None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor, zmq.DONTWAIT)["event"]
            if event & _OPEN:
                self.opened = True
            elif event & _CLOSED and now_s - self._since_s < HANDSHAKE_MS / 1000:
                self.opened = False
            elif event & _CLOSED:
                # The listener closes what has not shown a key in that time, and it looks like any refusal:
                # on a machine that has too much to do it says nothing of the key.
                self.close()
                self._make()
                self.connect(now_s)
                return

    def close(self) -> None:
        self._socket.disable_monitor()
        self._socket.close(linger=0)

    def _make(self) -> None:
        # Not by transport.connect: that makes no socket without CURVE, and one that tries again would blur
        # the answer.
        self._socket: Socket = self._context.socket(_PEERS[self.domain])
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._socket.setsockopt(zmq.IPV6, int("[" in self.endpoint))
        if self._keys is not None:
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, self._keys.server_public)
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.own.public)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.own.secret)
        self._monitor: Socket = self._socket.get_monitor_socket(_OPEN | _CLOSED)


def _run(probes: list[_Probe], serve: Callable[[float], None]) -> None:
    now_s = time.monotonic()
    end_s = now_s + LIMIT_S
    for probe in probes:
        probe.connect(now_s)
    while any(probe.opened is None for probe in probes) and now_s < end_s:
        serve(_POLL_S)
        now_s = time.monotonic()
        for probe in probes:
            probe.look(now_s)


def _judge(probes: list[_Probe]) -> None:
    # What is open and must not be comes first: it is the worst, and no delay makes it so.
    for probe in sorted(probes, key=lambda one: (one.opened is None, one.expected)):
        if probe.opened == probe.expected:
            continue
        if probe.opened is None:
            raise FabricError(
                f"self-test: the {probe.domain} socket at {probe.endpoint} has not answered {probe.who} "
                f"within {LIMIT_S:g} s",
                hint="has this machine too much to do?  Or does a firewall on it drop packets to itself?",
            )
        if probe.expected:
            raise FabricError(
                f"self-test: the {probe.domain} socket at {probe.endpoint} does not let {probe.who} in",
                hint="does a firewall on this machine stand between it and itself?",
            )
        raise FabricError(
            f"self-test: the {probe.domain} socket at {probe.endpoint} lets {probe.who} in",
            hint="this is a mistake in testfabric or in its ZeroMQ; please report it",
        )
