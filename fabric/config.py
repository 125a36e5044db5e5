"""Where things are by default: addresses and directories."""

import getpass
import os
import re
import socket
from pathlib import Path
from typing import Final, NamedTuple

from fabric.errors import UsageError

DEFAULT_PORT: Final = 7400
"""Of control.  Below 32768, where the kernel takes ports for outgoing connections from."""

PORTS: Final = 4
"""A broker's ports follow each other: control, go, sink, feed."""

DEFAULT_URL: Final = f"tcp://127.0.0.1:{DEFAULT_PORT}"

_MAX_PORT: Final = 65535
_URL: Final = re.compile(
    r"tcp://(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<name>[A-Za-z0-9._-]+|\*))(?::(?P<port>[0-9]{1,5}))?/?"
)
_ANY: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - recognised here, not bound


class Address(NamedTuple):
    """Host and port of a broker's control socket.  The host of IPv6 has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``tcp://host:port``, as ZeroMQ and people take it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def at(self, port: int) -> "Address":
        """Return the same host with another port."""
        return self._replace(port=port)


def parse_url(text: str) -> Address:
    """Read the address of a broker that is to be reached: ``tcp://host[:port]``.

    Raises:
        UsageError: If it is not one, in a sentence with the way out as hint.
    """
    address = _parse(text)
    if address.host in _ANY:
        raise UsageError(f"{text} says where to listen, not whom to reach", hint="name the broker's machine")
    if address.port == 0:
        raise UsageError(f"{text}: port 0 can be listened on only", hint=f"the usual port is {DEFAULT_PORT}")
    return address


def parse_listen_url(text: str) -> Address:
    """Read the address that a broker listens on; port 0 lets the kernel pick four free ports.

    Raises:
        UsageError: If it is not one, or the ports after it end above 65535.
    """
    address = _parse(text)
    return address._replace(host="0.0.0.0") if address.host == "*" else address  # noqa: S104 - as asked for


def _parse(text: str) -> Address:
    match = _URL.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r:.80} is not an address like tcp://host:{DEFAULT_PORT}", hint=_way_out(text.strip())
        )
    port = int(match["port"]) if match["port"] else DEFAULT_PORT
    last = port + PORTS - 1 if port else 0
    if last > _MAX_PORT:
        raise UsageError(
            f"{text}: a broker needs the ports {port} to {last}, and {_MAX_PORT} is the highest",
            hint=f"take a port up to {_MAX_PORT - PORTS + 1}; {DEFAULT_PORT} is the usual one",
        )
    return Address(match["v6"] or match["name"], port)


def _way_out(text: str) -> str:
    if "://" not in text and _URL.fullmatch(f"tcp://{text}"):
        return f"did you mean tcp://{text} ?"
    if re.fullmatch(r"tcp://[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", text):
        return "an IPv6 address stands in brackets: tcp://[::1]:7400"
    return "only tcp:// is spoken, between machines and on one"


def advertised_host(listen_host: str) -> str:
    """Return the host by which others reach a broker that listens on ``listen_host``.

    For a listener on all interfaces that is the address of the default route's interface, else the
    machine's name.  It is a guess for people to copy; nothing depends on it.
    """
    if listen_host not in _ANY:
        return listen_host
    family = socket.AF_INET6 if listen_host == "::" else socket.AF_INET
    # Connecting UDP sends nothing; the addresses are reserved for documentation (RFC 5737, RFC 3849).
    elsewhere = ("2001:db8::1", 9) if family == socket.AF_INET6 else ("192.0.2.1", 9)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(elsewhere)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def state_dir(what: str) -> Path:
    """Return the default state directory of ``broker`` or ``agent-NAME``.  It may not exist yet."""
    return _xdg("XDG_STATE_HOME", ".local/state") / what


def config_dir() -> Path:
    """Return the directory of this user's settings and operator keys.  It may not exist yet."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def _xdg(variable: str, fallback: str) -> Path:
    """Follow the XDG base directory specification, by which a relative path counts as not set."""
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / fallback
    return base / "testfabric"


def login() -> str:
    """Return the name of the user who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a user without a name
        return f"uid{os.getuid()}"
