"""Who answers at an address: nobody, another service, a broker with another key, or the one that is meant.

First by plain TCP and ZeroMQ's greeting, which names the mechanism before a key is used; then by a handshake.
"""

import socket
import time
from typing import Final, Literal, NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from fabric.config import Address
from fabric.doctor.findings import Finding
from fabric.keys import KeyPair
from fabric.transport.sockets import Context, Socket

Port = Literal["control", "go", "sink", "feed"]
PORTS: Final[tuple[Port, ...]] = ("control", "go", "sink", "feed")

REACH_S: Final = 3.0
"""For one step towards one port: a machine that is there answers in a fraction of it."""

_TYPES: Final = {"control": zmq.DEALER, "go": zmq.SUB, "sink": zmq.PUSH, "feed": zmq.SUB}
_IN: Final = zmq.Event.HANDSHAKE_SUCCEEDED
_REFUSED: Final = zmq.Event.HANDSHAKE_FAILED_AUTH
_BROKEN: Final = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.DISCONNECTED
)

# ZMTP 3 (rfc.zeromq.org/spec/37): signature and version.  The mechanism, which would follow, is kept back: a
# socket with another one would hang up before its own is out.
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f" + b"\x03"
_MECHANISM: Final = slice(12, 32)


class Keys(NamedTuple):
    """With which keys a handshake is tried."""

    own: KeyPair
    broker_public: bytes


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
    if said := _greeting(at):
        return Finding("bad", about, f"{at}: {said[0]}", said[1])
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
    return Finding("bad", about, f"{at}: a broker answers, but not the one whose key is stored here", hint)


def _greeting(at: Address) -> tuple[str, str] | None:
    """Return what is wrong and what to do, or None if something answers that speaks as a broker does."""
    try:
        with socket.create_connection((at.host, at.port), REACH_S) as peer:
            peer.settimeout(REACH_S)
            peer.sendall(_GREETING)
            return _judge(_read(peer))
    except socket.gaierror:
        return f"there is no machine called {at.host}", "look at the name, or give an address"
    except ConnectionRefusedError:
        return "nothing listens there", "start the broker: systemctl start testfabric-broker"
    except TimeoutError:
        return (
            f"no answer in {REACH_S:.0f} s",
            "is the machine up?  does a firewall drop what comes to this port?",
        )
    except OSError as error:
        return f"cannot be reached: {error.strerror}", "look at routes and firewalls on the way"


def _read(peer: socket.socket) -> bytes:
    """Read up to the mechanism, or what another service says instead."""
    said = b""
    until = time.monotonic() + REACH_S
    while len(said) < _MECHANISM.stop and time.monotonic() < until:
        try:
            more = peer.recv(64)
        except TimeoutError:
            break
        if not more:
            break
        said += more
        if not said.startswith(b"\xff"):
            break
    return said


def _judge(said: bytes) -> tuple[str, str] | None:
    hint = "another service has this port: ss -ltnp there says which"
    if not said:
        return (
            "something listens there and says nothing",
            f"a broker that hangs is to be restarted; or {hint}",
        )
    if not said.startswith(b"\xff") or len(said) < _MECHANISM.stop:
        words = said[:40].split(b"\n")[0].decode(errors="replace").strip()
        return f"another service listens there: it says {words!r}", hint
    mechanism = said[_MECHANISM].rstrip(b"\0").decode(errors="replace")
    if mechanism != "CURVE":
        return f"a ZeroMQ socket of another program listens there (mechanism {mechanism!r})", hint
    return None


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
