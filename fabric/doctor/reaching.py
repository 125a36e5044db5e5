"""Who answers at an address: nobody, another service, a broker with another key, or the one that is meant.

First by plain TCP and ZeroMQ's greeting, which names the mechanism before a key is used; then by a handshake.
"""

from typing import Final, Literal, NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from fabric.config import Address
from fabric.doctor.findings import Finding
from fabric.doctor.greeting import REACH_S, greet
from fabric.keys import KeyPair
from fabric.transport.sockets import Context, Socket

Port = Literal["control", "go", "sink", "feed"]
PORTS: Final[tuple[Port, ...]] = ("control", "go", "sink", "feed")

_TYPES: Final = {"control": zmq.DEALER, "go": zmq.SUB, "sink": zmq.PUSH, "feed": zmq.SUB}
_IN: Final = zmq.Event.HANDSHAKE_SUCCEEDED
_REFUSED: Final = zmq.Event.HANDSHAKE_FAILED_AUTH
_BROKEN: Final = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.DISCONNECTED
)


class Keys(NamedTuple):
    """With which keys a handshake is tried."""

    own: KeyPair
    broker_public: bytes


OTHER: Final = "a broker answers, but not the one whose key is stored here"
"""How such a finding ends."""


def look_at_port(context: Context, port: Port, at: Address, keys: Keys, *, expected: bool) -> Finding:
    """Return who answers there.

    Args:
        context: Any.
        port: What should be there.
        at: Its address.
        keys: Of this side, and the broker's.
        expected: Whether the broker should let this key in; else it is good to be refused.
    """
    about = f"port {port}"
    if obstacle := greet(at, REACH_S):
        return Finding("bad", about, f"{at}: {obstacle.found}", obstacle.hint)
    answer = _handshake(context, port, at, keys)
    if answer == "in" and expected:
        return Finding("ok", about, f"{at}: the broker lets this key in")
    if answer == "refused" and not expected:
        return Finding("ok", about, f"{at}: the broker answers, and keeps this key out, as it should")
    if answer == "in":
        return Finding("bad", about, f"{at}: lets a key in that it must not let in", "restart the broker")
    if answer == "refused":
        return Finding(
            "bad",
            about,
            f"{at}: the broker refuses this key",
            "it was revoked, or never enrolled: join again",
        )
    hint = "it is another broker, or its key was made anew: compare `fabric keys list` there, join again"
    return Finding("bad", about, f"{at}: {OTHER}", hint)


def _handshake(context: Context, port: Port, at: Address, keys: Keys) -> Literal["in", "refused", "broken"]:
    """Try the key.  Not by `fabric.transport.connect`: a socket that tries again would blur the answer."""
    probe: Socket = context.socket(_TYPES[port])
    probe.setsockopt(zmq.LINGER, 0)
    probe.setsockopt(zmq.RECONNECT_IVL, -1)
    probe.setsockopt(zmq.IPV6, int(":" in at.host))
    probe.setsockopt(zmq.CURVE_SERVERKEY, keys.broker_public)
    probe.setsockopt(zmq.CURVE_PUBLICKEY, keys.own.public)
    probe.setsockopt(zmq.CURVE_SECRETKEY, keys.own.secret)
    monitor: Socket = probe.get_monitor_socket(_IN | _REFUSED | _BROKEN)
    try:
        probe.connect(str(at))
        if not monitor.poll(round(REACH_S * 1000)):
            return "broken"
        event = recv_monitor_message(monitor, zmq.DONTWAIT)["event"]
        return "in" if event & _IN else "refused" if event & _REFUSED else "broken"
    finally:
        probe.disable_monitor()
        probe.close(linger=0)
