"""The only place where sockets of ZeroMQ are made, and how one sends and receives without waiting.

`listen` makes every listening socket, `connect` every connecting one; both set CURVE and every limit.
"""

from fabric.transport.frames import Received, Traffic, receive_frames, receive_now, send_now
from fabric.transport.options import Domain
from fabric.transport.sockets import (
    bound_port,
    check_descriptor_limit,
    connect,
    listen,
    make_context,
    raise_descriptor_limit,
)

__all__ = [
    "Domain",
    "Received",
    "Traffic",
    "bound_port",
    "check_descriptor_limit",
    "connect",
    "listen",
    "make_context",
    "raise_descriptor_limit",
    "receive_frames",
    "receive_now",
    "send_now",
]
