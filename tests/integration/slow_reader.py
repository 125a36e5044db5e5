"""A process that does not read the feed for a while, and then reads on: ZeroMQ may end it for that.

All that ZeroMQ does to see whether the other end is there happens ten times as fast as in the fabric.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import zmq

from broker.gate import Gate
from broker.zap import ZapHandler
from fabric.keys import KeyPair
from fabric.transport import bound_port, connect, listen, options, receive_frames, receive_now, send_now

Settings = Callable[..., dict[zmq.SocketOption, int]]

FASTER: Final = 10
BEATS: Final = (zmq.HEARTBEAT_IVL, zmq.HEARTBEAT_TIMEOUT, zmq.HEARTBEAT_TTL)
MESSAGE: Final = b"x" * 256 * 1024
MESSAGES: Final = 2000
PAUSE_S: Final = 3 * options.HEARTBEAT_TIMEOUT_MS / 1000 / FASTER
WITHIN_S: Final = 20.0


def hastened(settings: Settings) -> Settings:
    """Return a function of `options` with quicker heartbeats, where there are any."""

    def quick(*words: Any) -> dict[zmq.SocketOption, int]:
        found = settings(*words)
        return {option: value // FASTER if option in BEATS else value for option, value in found.items()}

    return quick


def main() -> None:
    """Connect, be sent more than all queues hold, pause, read on."""
    options.listening = hastened(options.listening)  # type: ignore[assignment]
    options.connecting = hastened(options.connecting)  # type: ignore[assignment]
    broker, node = KeyPair.new(), KeyPair.new()
    gate = Gate()
    gate.add(node.public, "operator", "me")
    contexts: list[zmq.Context[zmq.Socket[bytes]]] = [zmq.Context(), zmq.Context()]
    zap = ZapHandler(contexts[0], gate)
    sender = listen(contexts[0], zmq.XPUB, "tcp://127.0.0.1:0", broker, "feed")
    reader = connect(contexts[1], zmq.SUB, f"tcp://127.0.0.1:{bound_port(sender)}", node, broker.public)
    reader.subscribe(b"")
    until = time.monotonic() + WITHIN_S
    while not list(receive_now(sender, 1)):
        zap.serve_for(0.01)
        assert time.monotonic() < until, "no connection"
    until = time.monotonic() + PAUSE_S
    sent = 0
    while time.monotonic() < until:  # the pause: nobody reads
        while sent % 16 < 15 and sent < MESSAGES and send_now(sender, [MESSAGE]):
            sent += 1
        sent += sent < MESSAGES and send_now(sender, [MESSAGE])
        zap.serve_for(0.002)
    got = 0
    while got < sent and time.monotonic() < until + WITHIN_S:
        came = len(list(receive_frames(reader, 8)))
        got += came
        if not came and got >= options.FEED_READ_HWM:
            break  # what was over the high-water mark is dropped
        zap.serve_for(0.002)
    print(f"read {got} of {sent}")  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
