"""Sending and receiving without ever waiting: a poll waits, these take and give what is possible now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import zmq

from fabric.protocol.limits import MAX_FRAMES
from fabric.transport.sockets import Socket

Frame = bytes | memoryview

_LAST: Final = int(zmq.DONTWAIT)
_MORE: Final = int(zmq.DONTWAIT | zmq.SNDMORE)
"""Made once: to put two of pyzmq's flags together takes as long as to send."""


class Received(NamedTuple):
    """A message on a listening socket, with what is proven of its sender."""

    user_id: str
    """What the ZAP handler calls the sender's key; "" for what a socket itself says, as an XPUB does when the
    last subscriber of a topic has gone.  Nothing may be done for ""."""

    route: bytes
    """Where an answer goes: the first frame of a message to a ROUTER, else empty."""

    frames: list[memoryview]
    """Views of ZeroMQ's own memory, nothing was copied: what is kept for long is better ``bytes(frame)``."""

    descriptor: int = -1
    """Of the connection by which it came; -1 for what a socket itself says."""


@dataclass(slots=True)
class Traffic:
    """Counts what was dropped before anybody looked at it."""

    too_many_frames: int = 0


def send_now(socket: Socket, frames: Sequence[Frame]) -> bool:
    """Send a message if that is possible without waiting.

    Returns:
        False if the message is not on its way: the peer is not connected, or too much waits for it already.
        True is no promise that it arrives.
    """
    last = len(frames) - 1
    sent = True
    for index, frame in enumerate(frames):
        try:
            # Copied: not copying makes pyzmq start a thread, and costs more up to 64 KiB.
            socket.send(frame, _MORE if index < last else _LAST)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            if index == 0:
                return False
            # The connection went away between two frames.  ZeroMQ drops the rest of this message, but it
            # must see that rest, or it takes the next message for it.
            sent = False
    return sent


def receive_now(socket: Socket, limit: int, traffic: Traffic | None = None) -> Iterator[Received]:
    """Take up to ``limit`` messages that have come to a listening socket.

    Messages of more than `MAX_FRAMES` frames (and the route) are dropped and counted, and count for ``limit``
    too: who sends many of them must not get more than a turn.

    Args:
        socket: From `fabric.transport.listen`.
        limit: In messages; what is left comes with the next turn.
        traffic: Where to count.
    """
    routed = socket.type == zmq.ROUTER
    for _ in range(limit):
        try:
            frames = _take(socket, MAX_FRAMES + routed)
        except zmq.Again:
            return
        if frames is None:
            if traffic is not None:
                traffic.too_many_frames += 1
            continue
        route = frames[0].bytes if routed else b""
        user_id, descriptor = _sender(frames[-1])
        yield Received(user_id, route, [frame.buffer for frame in frames[routed:]], descriptor)


def receive_frames(socket: Socket, limit: int, traffic: Traffic | None = None) -> Iterator[list[bytes]]:
    """Take up to ``limit`` messages that have come to a connecting socket.

    The sender is the broker, which CURVE has proven.  Messages of too many frames are dropped as in
    `receive_now`.
    """
    for _ in range(limit):
        try:
            frames = _take(socket, MAX_FRAMES)
        except zmq.Again:
            return
        if frames is not None:
            yield [frame.bytes for frame in frames]
        elif traffic is not None:
            traffic.too_many_frames += 1


def _take(socket: Socket, most: int) -> list[zmq.Frame] | None:
    """Take one message; None if it has more than ``most`` frames, of which then no more are held.

    Raises:
        zmq.Again: If none has come.
    """
    frame = socket.recv(zmq.DONTWAIT, copy=False)
    frames = [frame]
    count = 1
    while frame.more:
        frame = socket.recv(zmq.DONTWAIT, copy=False)  # a message arrives whole, so this never fails
        count += 1
        if count <= most:
            frames.append(frame)
    return frames if count <= most else None


def _sender(frame: zmq.Frame) -> tuple[str, int]:
    try:
        return str(frame.get("User-Id")), int(frame.get("__fd"))
    except zmq.ZMQError:
        return "", -1  # this frame came over no connection
