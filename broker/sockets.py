"""The four sockets of the broker, and the handler that says who may connect to them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import zmq

from broker.gate import Gate
from broker.selftest import self_test
from broker.zap import ZapHandler
from fabric.config import PORTS, Address
from fabric.errors import FabricError
from fabric.keys import KeyPair
from fabric.transport import Domain, bound_port, listen, make_context
from fabric.transport.sockets import Context, Socket

_TYPES: Final[Mapping[Domain, int]] = {
    "control": zmq.ROUTER,
    "go": zmq.XPUB,
    "sink": zmq.PULL,
    "feed": zmq.XPUB,
}
_ATTEMPTS: Final = 50
"""So often four neighbouring ports are looked for where none is named."""

_LOWEST_PORT: Final = 10_240
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From which the kernel takes ports of connections: between those of a thousand agents on this machine four
free ones in a row are rare, and a broker that starts again may find one of its own taken."""

_LOOPBACK: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - is translated away


@dataclass(slots=True, kw_only=True)
class Sockets:
    """Bound and tested.  ``address`` is that of control, with its real port."""

    context: Context
    zap: ZapHandler
    control: Socket
    go: Socket
    sink: Socket
    feed: Socket
    address: Address
    ports: Mapping[Domain, int]

    @classmethod
    def open(cls, address: Address, keys: KeyPair, gate: Gate) -> Self:
        """Bind the four sockets and try their doors.

        Raises:
            FabricError: If a port is taken, or a socket lets in whom it must not let in.
        """
        context = make_context()
        zap = ZapHandler(context, gate)
        try:
            bound = _bind(context, address, keys)
            ports = {domain: bound_port(socket) for domain, socket in bound.items()}
            reach = address._replace(host=_LOOPBACK.get(address.host, address.host))
            endpoints = {domain: str(reach.at(port)) for domain, port in ports.items()}
            self_test(context, endpoints, keys.public, zap.serve_for, gate)
        except BaseException:
            zap.close()
            context.destroy(linger=0)
            raise
        return cls(context=context, zap=zap, address=address.at(ports["control"]), ports=ports, **bound)

    def close(self) -> None:
        """Close everything; what was sent has half a second to leave."""
        self.zap.close()
        for socket in (self.control, self.go, self.sink, self.feed):
            socket.close()
        self.context.term()


def _bind(context: Context, address: Address, keys: KeyPair) -> dict[Domain, Socket]:
    if address.port:
        return _bind_once(context, address, keys)
    for _ in range(_ATTEMPTS):
        try:
            return _bind_once(context, address.at(_any_port()), keys)
        except FabricError:
            continue  # one of the four is in use
    raise FabricError(f"no {PORTS} free ports in a row were found on {address.host}")


def _any_port() -> int:
    """Return a port from which four may be free: below those of connections; else 0, for the kernel."""
    highest = int(_RANGE.read_text().split()[0]) - PORTS if _RANGE.exists() else 0
    if highest <= _LOWEST_PORT:
        return 0
    return random.randrange(_LOWEST_PORT, highest)  # noqa: S311 - no secret


def _bind_once(context: Context, address: Address, keys: KeyPair) -> dict[Domain, Socket]:
    """Bind control, and the others at the ports after it; all four or none."""
    bound: dict[Domain, Socket] = {}
    try:
        for domain, kind in _TYPES.items():
            bound[domain] = listen(context, kind, str(address), keys, domain)
            address = address.at(bound_port(bound[domain]) + 1)
    except BaseException:
        for socket in bound.values():
            socket.close(linger=0)
        raise
    return bound
