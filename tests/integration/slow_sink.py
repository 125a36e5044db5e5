"""A sink that is full when the agent that has filled it dies: ZeroMQ may end the broker for that.

Its heartbeats come ten times as fast as in the fabric, and are waited for as long, so that some go by.
"""

import time
from typing import Any, Final

import zmq

from broker.gate import Gate
from broker.zap import ZapHandler
from fabric.keys import KeyPair
from fabric.transport import bound_port, connect, listen, options, receive_frames, send_now
from tests.integration.slow_reader import FASTER, MESSAGE, WITHIN_S

FULL_S: Final = 0.05
"""So long nothing could be sent: all queues are full."""

PAUSE_S: Final = 10 * options.HEARTBEAT_MS / 1000 / FASTER


def main() -> None:
    """Send until all queues are full, end the senders, read on."""
    plain = options.listening

    def listening(socket_type: int, domain: options.Domain) -> dict[zmq.SocketOption, int]:
        found = plain(socket_type, domain)
        return found | {zmq.HEARTBEAT_IVL: found[zmq.HEARTBEAT_IVL] // FASTER}

    options.listening = listening
    broker, node = KeyPair.new(), KeyPair.new()
    gate = Gate()
    gate.add(node.public, "node", "n1")
    context, others = zmq.Context[Any](), zmq.Context[Any]()
    zap = ZapHandler(context, gate)
    sink = listen(context, zmq.PULL, "tcp://127.0.0.1:0", broker, "sink")
    url = f"tcp://127.0.0.1:{bound_port(sink)}"
    agent = connect(others, zmq.PUSH, url, node, broker.public)
    sent, last = 0, time.monotonic()
    until = last + WITHIN_S
    while not sent or time.monotonic() < last + FULL_S:
        if send_now(agent, [MESSAGE]):
            sent, last = sent + 1, time.monotonic()
        zap.serve_for(0.002)
        assert time.monotonic() < until, "never full"
    others.destroy(linger=0)
    time.sleep(PAUSE_S)  # heartbeats go by, nobody reads
    got = len(list(receive_frames(sink, sent)))
    print(f"read {got} of {sent}")  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
