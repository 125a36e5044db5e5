"""Strangers in numbers: half-open connections, slow handshakes, keys that say nothing.  The lab goes on."""

import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from fabric.config import parse_url
from fabric.keys import KeyPair
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from fabric.transport.sockets import Context
from tests.integration.broker.peers import BOUND_S, BrokerProcess, Lab, operator_hello

DESCRIPTORS = 512
"""Of the broker: an eighth of them is what one address may have."""

STRANGER, HERE = "127.0.0.66", "127.0.0.1"
OF_FLOOD = 200
"""Connections of a flood that does not end: three times what one address may have."""

AT_ONCE, EVERY_S = 20, 0.05
"""So many of them come again at most, and so often: 400 a second, where 64 find a place."""

SILENT, GREETS, HALF = (
    b"",
    b"\xff\0\0\0\0\0\0\0\x01\x7f",
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".ljust(64, b"\0"),
)
"""What a stranger sends before it stops: nothing, the beginning of ZeroMQ's greeting, all of it."""


@pytest.fixture
def small_lab(tmp_path: Path) -> Iterator[Lab]:
    broker = BrokerProcess(tmp_path)
    broker.before = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh")
    broker.start()
    context: Context = zmq.Context()
    made = Lab(broker, context)
    yield made
    for peer in made.peers:
        peer.close()
    context.term()
    assert broker.end(signal.SIGTERM) == 0


def strangers(lab: Lab, stack: ExitStack, count: int, port: int, says: bytes) -> list[socket.socket]:
    """Connect from an address of their own; of those beyond the limit the kernel may tell only later."""
    address = parse_url(lab.broker.listen)
    made = []
    for _ in range(count):
        one = stack.enter_context(
            socket.create_connection(("127.0.0.1", address.port + port), BOUND_S, (STRANGER, 0))
        )
        if says:
            with suppress(OSError):  # hung up on already
                one.sendall(says)
        made.append(one)
    return made


def wait_for_end(lines: list[socket.socket], count: int) -> None:
    """Wait until so many of them were hung up on."""
    over: set[int] = set()
    poll = select.poll()
    by_fd = {line.fileno(): line for line in lines}
    for fd in by_fd:
        poll.register(fd, select.POLLIN | select.POLLHUP)
    while len(over) < count:
        events = poll.poll(BOUND_S * 1000)
        assert events, f"{len(over)} of {count} have ended"
        for fd, _ in events:
            try:
                data = by_fd[fd].recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                over.add(fd)
                poll.unregister(fd)


@pytest.mark.parametrize("says", [SILENT, GREETS, HALF], ids=["silent", "slow", "half"])
def test_half_open_connections_do_not_keep_the_lab_out(small_lab: Lab, says: bytes) -> None:
    """As many as the broker has descriptors, at each of the four ports, and nodes still come in and work."""
    first = small_lab.agent("lab1")
    with ExitStack() as stack:
        lines = [
            line for port in range(4) for line in strangers(small_lab, stack, DESCRIPTORS // 4, port, says)
        ]
        wait_for_end(lines, len(lines) - DESCRIPTORS // 8)
        assert first.ask(m.Probe(t1_ns=1), m.ProbeReply).t1_ns == 1
        operator = small_lab.running(first, small_lab.agent("lab2"))
        assert {info.name for info in operator.ask(m.NodesRequest(request=1), m.Nodes).nodes} == {
            "lab1",
            "lab2",
        }
        wait_for_end(lines, 1)


@contextmanager
def flood(lab: Lab, address: str) -> Iterator[None]:
    """Let silent connections come to control without an end."""
    over = threading.Event()
    port = parse_url(lab.broker.listen).port

    def come() -> None:
        lines: dict[int, socket.socket] = {}
        poll = select.poll()
        while not over.wait(EVERY_S):
            for fd, _ in poll.poll(0):
                poll.unregister(fd)
                lines.pop(fd).close()
            for _ in range(min(AT_ONCE, OF_FLOOD - len(lines))):
                line = socket.create_connection((HERE, port), BOUND_S, (address, 0))
                lines[line.fileno()] = line
                poll.register(line, select.POLLIN)
        for line in lines.values():
            line.close()

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_flood_does_not_keep_a_node_of_its_address_out(small_lab: Lab) -> None:
    """They may be behind one router: who comes back gets in, after some tries."""
    agent = small_lab.agent("lab1")
    with flood(small_lab, HERE):
        idle = small_lab.agent("lab2", join=False)  # from then on there is no place but one that is given up
        agent.close()
        agent.incarnation += 1
        agent.meet()
        idle.join()
        small_lab.running(agent, idle)


def test_a_key_cannot_take_all_places(small_lab: Lab) -> None:
    """Whoever has the key of a viewer would else keep everybody out; what it has already goes on."""
    operator = small_lab.operator()
    lines = [operator.connect(zmq.DEALER) for _ in range(DESCRIPTORS // 8)]
    ends = zmq.Poller()
    for line in lines:
        ends.register(line.get_monitor_socket(zmq.Event.DISCONNECTED), zmq.POLLIN)
    for line in lines:
        operator.push(line, [encode(operator_hello())])
    assert ends.poll(BOUND_S * 1000), "one too many is still connected"
    operator.ask(m.NodesRequest(request=1), m.Nodes)
    for line in lines:
        line.disable_monitor()


def test_a_key_that_says_nothing_is_hung_up_on(lab: Lab) -> None:
    """Any key gets through the handshake of control, for it may want to enrol; but it has to say so."""
    idle = lab.context.socket(zmq.DEALER)
    keys = KeyPair.new()
    idle.curve_serverkey = lab.broker.token.broker_public
    idle.curve_publickey, idle.curve_secretkey = keys.public, keys.secret
    idle.setsockopt(zmq.RECONNECT_IVL, -1)
    monitor = idle.get_monitor_socket(zmq.Event.DISCONNECTED)
    try:
        idle.connect(lab.broker.listen)
        assert monitor.poll(BOUND_S * 1000), "it is still connected"
    finally:
        idle.disable_monitor()
        idle.close(linger=0)
