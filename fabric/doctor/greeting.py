"""Who listens at an address, told by plain TCP and ZeroMQ's greeting: before any key is used."""

import socket
import time
from typing import Final, NamedTuple

from fabric.config import Address

REACH_S: Final = 3.0
"""For one step towards one port: a machine that is there answers in a fraction of it."""

# ZMTP 3 (rfc.zeromq.org/spec/37): signature and version.  The mechanism, which would follow, is kept back: a
# socket with another one would hang up before its own is out.
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f" + b"\x03"
_MECHANISM: Final = slice(12, 32)


NOBODY: Final = "nothing listens there"


class Obstacle(NamedTuple):
    """Why no broker is reached."""

    found: str
    hint: str  # what to do


def greet(at: Address, reach_s: float = REACH_S) -> Obstacle | None:
    """Return what is wrong there, or None if something answers that speaks as a broker does.

    It waits: for the lookup of the name as long as the system does, then ``reach_s`` at most for the
    connection and for what the other side says, each.
    """
    try:
        with socket.create_connection((at.host, at.port), reach_s) as peer:
            peer.settimeout(reach_s)
            peer.sendall(_GREETING)
            return _judge(_read(peer, time.monotonic() + reach_s))
    except (socket.gaierror, UnicodeError) as error:  # the second: a name that no machine can have
        doubt = ""
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            doubt = f", as far as can be told: {error.strerror}"
        return Obstacle(
            f"there is no machine called {at.host}{doubt}", "look at the name, or give an address"
        )
    except ConnectionRefusedError:
        return Obstacle(NOBODY, "start the broker: systemctl start testfabric-broker")
    except TimeoutError:
        hint = "is the machine up?  does a firewall drop what comes to this port?"
        return Obstacle(f"no answer in {reach_s:.0f} s", hint)
    except OSError as error:
        return Obstacle(f"cannot be reached: {error.strerror}", "look at routes and firewalls on the way")


def _read(peer: socket.socket, until_s: float) -> bytes:
    """Read up to the mechanism, or what another service says instead."""
    said = b""
    while len(said) < _MECHANISM.stop and time.monotonic() < until_s:
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


def _judge(said: bytes) -> Obstacle | None:
    hint = "another service has this port: ss -ltnp there says which"
    if not said:
        return Obstacle(
            "something listens there and says nothing",
            f"a broker that hangs is to be restarted; or {hint}",
        )
    if not said.startswith(b"\xff") or len(said) < _MECHANISM.stop:
        words = said[:40].split(b"\n")[0].decode(errors="replace").strip()
        return Obstacle(f"another service listens there: it says {words!r}", hint)
    mechanism = said[_MECHANISM].rstrip(b"\0").decode(errors="replace")
    if mechanism != "CURVE":
        return Obstacle(f"a ZeroMQ socket of another program listens there (mechanism {mechanism!r})", hint)
    return None
