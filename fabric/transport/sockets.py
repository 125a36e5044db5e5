"""One function makes every listening socket, one every connecting one."""

import errno
import resource
from typing import Any, Final, cast

import zmq

from fabric.config import parse_listen_url, parse_url
from fabric.errors import FabricError, TooFewDescriptors
from fabric.keys import KeyPair
from fabric.transport import options
from fabric.transport.options import Domain

Context = zmq.Context[Any]
Socket = zmq.Socket[Any]

DESCRIPTORS: Final = 16_384
"""Open files that a broker asks for: three for each of a thousand agents, and room for strangers."""


LEAST_DESCRIPTORS: Final = 160
"""A broker tries its own doors with more than 128 open files (with 144 it begins), and has 33 then; an agent
has 26 in a run, a command 16.  One number for all: no system gives so few by itself."""

_MORE_FILES: Final = "raise the limit of open files: ulimit -n, or LimitNOFILE= of a service"


def make_context() -> Context:
    """Return a context.  A process has one: the ZAP handler serves the sockets of its own context only.

    Raises:
        TooFewDescriptors: If this process may not open enough files for it.
    """
    check_descriptor_limit()
    return zmq.Context()


def listen(context: Context, socket_type: int, endpoint: str, keypair: KeyPair, domain: Domain) -> Socket:
    """Return a socket that listens, and lets in only whom the ZAP handler lets in.

    Args:
        context: The one in which the ZAP handler works; without a handler, nobody gets in.
        socket_type: ROUTER, XPUB or PULL.
        endpoint: ``tcp://host:port``; port 0 lets the kernel pick one, see `bound_port`.
        keypair: Of the broker.
        domain: What the socket is for, as the ZAP handler is told.

    Raises:
        UsageError: If the endpoint is not an address.
        FabricError: If the port is taken, or the address is not this machine's.
    """
    address = parse_listen_url(endpoint)
    socket: Socket = context.socket(socket_type)
    try:
        for option, value in options.listening(socket_type, domain).items():
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keypair.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keypair.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, domain.encode())
        socket.setsockopt(zmq.IPV6, int(":" in address.host))
        socket.bind(str(address))
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise _cannot_listen(domain, str(address), error) from error
    except BaseException:
        socket.close(linger=0)
        raise
    return socket


def _cannot_listen(domain: Domain, endpoint: str, error: zmq.ZMQError) -> FabricError:
    port = endpoint.rpartition(":")[2]
    if error.errno == errno.EADDRINUSE:
        return FabricError(
            f"port {port} (for {domain}) is in use on this machine",
            hint=f"is a broker running already? see `ss -ltnp 'sport = :{port}'`, or --listen elsewhere",
        )
    if error.errno == errno.EACCES:
        return FabricError(f"this user may not listen on port {port}", hint="take a port above 1023")
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return FabricError(
            f"{endpoint} is no address of this machine", hint="tcp://0.0.0.0 means all of them"
        )
    return FabricError(f"cannot listen on {endpoint}: {error.strerror}")


def bound_port(socket: Socket) -> int:
    """Return the TCP port on which a socket from `listen` listens."""
    endpoint = cast("bytes", socket.getsockopt(zmq.LAST_ENDPOINT))
    return int(endpoint.rstrip(b"\0").rpartition(b":")[2])


def connect(
    context: Context, socket_type: int, endpoint: str, keypair: KeyPair, server_public: bytes
) -> Socket:
    """Return a socket that connects, and connects again whenever the connection is lost.

    Returns at once.  A name is looked up by ZeroMQ at each attempt (as IPv4); one that does not exist yet is
    no error.  A broker that refuses the key ends the attempts for good: then make a new socket.

    Args:
        context: Any.
        socket_type: DEALER, SUB or PUSH.
        endpoint: ``tcp://host:port``.
        keypair: Of this peer.
        server_public: The broker's; whoever lacks its secret key is not spoken to.

    Raises:
        UsageError: If the endpoint is not an address.
        TooFewDescriptors: If this process can open no more files.
    """
    address = parse_url(endpoint)
    try:
        socket: Socket = context.socket(socket_type)
    except zmq.ZMQError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise TooFewDescriptors("this process can open no more files", hint=_MORE_FILES) from error
    try:
        for option, value in options.connecting(socket_type).items():
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.CURVE_SERVERKEY, server_public)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keypair.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keypair.secret)
        socket.setsockopt(zmq.IPV6, int(":" in address.host))
        socket.connect(str(address))
    except BaseException:
        socket.close(linger=0)
        raise
    return socket


def check_descriptor_limit() -> None:
    """See that this process may open as many files as any needs to begin with: ZeroMQ aborts it without.

    Raises:
        TooFewDescriptors: If it may not.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_DESCRIPTORS:
        said = f"this process may open {soft} files only, and needs {LEAST_DESCRIPTORS} to begin with"
        raise TooFewDescriptors(said, hint=_MORE_FILES)


def raise_descriptor_limit(wanted: int = DESCRIPTORS) -> int:
    """Let this process open ``wanted`` files, or as many as it may.  Returns the limit now in force.

    Each connection is one, and a process that runs out of them can accept nobody.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
