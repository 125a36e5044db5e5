"""What the sockets do at their limits, and when the other side goes away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from broker.borrowing import borrowed
from broker.gate import Gate
from broker.holdings import Holdings
from broker.memory import came_bytes
from broker.zap import ZapHandler
from fabric.errors import FabricError, UsageError
from fabric.keys import KeyPair
from fabric.protocol.limits import MAX_FRAME_BYTES, MAX_FRAMES
from fabric.transport import (
    Domain,
    Received,
    Traffic,
    bound_port,
    connect,
    listen,
    receive_frames,
    receive_now,
    send_now,
)
from fabric.transport.sockets import Context, Socket

WITHIN_S = 20.0  # only a failing test waits so long
BROKER, NODE = KeyPair.new(), KeyPair.new()


class Wire:
    """A broker's side in a context of its own, and nodes in another."""

    def __init__(self) -> None:
        self.nodes: Context = zmq.Context()
        self.gate = Gate()
        self.gate.add(NODE.public, "node", "lab1")
        self.start()

    def start(self) -> None:
        self.broker: Context = zmq.Context()
        self.zap = ZapHandler(self.broker, self.gate)

    def stop(self) -> None:
        """End the broker's side as a crash does: nothing is flushed."""
        self.zap.close()
        self.broker.destroy(linger=0)

    def listen(self, kind: int, domain: Domain, port: int = 0) -> Socket:
        return listen(self.broker, kind, f"tcp://127.0.0.1:{port}", BROKER, domain)

    def connect(self, kind: int, listening: Socket) -> Socket:
        return connect(self.nodes, kind, f"tcp://127.0.0.1:{bound_port(listening)}", NODE, BROKER.public)

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + WITHIN_S
        while not done():
            assert time.monotonic() < end, "waited in vain"
            self.zap.serve_for(0.005)

    def take(self, socket: Socket, traffic: Traffic | None = None) -> list[bytes]:
        """Return the next message of a listening socket."""
        came: list[list[bytes]] = []

        def taken() -> bool:
            came.extend([bytes(frame) for frame in one.frames] for one in receive_now(socket, 1, traffic))
            return bool(came)

        self.until(taken)
        return came[0]

    def close(self) -> None:
        self.stop()
        self.nodes.destroy(linger=0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_the_largest_frame_that_is_allowed_arrives(wire: Wire) -> None:
    """MAXMSGSIZE counts what CURVE adds, so the limit of the protocol would not fit without room for it."""
    sink = wire.listen(zmq.PULL, "sink")
    node = wire.connect(zmq.PUSH, sink)
    wire.until(lambda: send_now(node, [b"x" * MAX_FRAME_BYTES]))
    assert len(wire.take(sink)[0]) == MAX_FRAME_BYTES


def test_who_sends_too_large_a_frame_is_cut_off_and_others_are_not(wire: Wire) -> None:
    """ZeroMQ drops the connection before it reads the frame, so one cannot fill the broker's memory."""
    control = wire.listen(zmq.ROUTER, "control")
    good, bad = wire.connect(zmq.DEALER, control), wire.connect(zmq.DEALER, control)
    wire.until(lambda: send_now(good, [b"before"]))
    assert wire.take(control) == [b"before"]
    wire.until(lambda: send_now(bad, [b"x" * (MAX_FRAME_BYTES + 1)]))
    wire.until(lambda: send_now(good, [b"after"]))
    assert wire.take(control) == [b"after"]
    wire.until(lambda: send_now(bad, [b"again"]))  # it may come back and behave
    assert wire.take(control) == [b"again"]


def test_a_message_of_600_frames_is_dropped_counted_and_stops_nobody(wire: Wire) -> None:
    """Neither MAXMSGSIZE nor the high-water mark limits their number."""
    control = wire.listen(zmq.ROUTER, "control")
    node = wire.connect(zmq.DEALER, control)
    traffic = Traffic()
    wire.until(lambda: send_now(node, [b"x"] * 600))
    assert send_now(node, [b"x"] * (MAX_FRAMES + 1))
    assert send_now(node, [b"x"] * MAX_FRAMES)
    assert wire.take(control, traffic) == [b"x"] * MAX_FRAMES
    assert traffic.too_many_frames == 2


def test_empty_and_garbled_frames_arrive_as_they_are(wire: Wire) -> None:
    """The codec judges them; the transport must not choke on them."""
    control = wire.listen(zmq.ROUTER, "control")
    node = wire.connect(zmq.DEALER, control)
    junk = [[b""], [b"", b""], [os.urandom(500)], [b"\xc1" * 10, b""]]
    for frames in junk:
        wire.until(lambda frames=frames: send_now(node, frames))
    assert [wire.take(control) for _ in junk] == junk


def test_a_turn_takes_no_more_than_its_limit(wire: Wire) -> None:
    """A peer that talks without end must not keep the others waiting."""
    control = wire.listen(zmq.ROUTER, "control")
    node = wire.connect(zmq.DEALER, control)
    wire.until(lambda: send_now(node, [b"0"]))
    for number in range(1, 10):
        assert send_now(node, [b"%d" % number])
    wire.until(lambda: control.poll(0))
    taken: list[bytes] = []
    while len(taken) < 10:
        turn = [bytes(one.frames[0]) for one in receive_now(control, 3)]
        assert len(turn) <= 3
        taken += turn
    assert taken == [b"%d" % number for number in range(10)]


def test_an_answer_finds_its_way_and_one_to_nobody_says_so(wire: Wire) -> None:
    """Without ROUTER_MANDATORY a message to a peer that is gone counts as sent."""
    control = wire.listen(zmq.ROUTER, "control")
    node = wire.connect(zmq.DEALER, control)
    wire.until(lambda: send_now(node, [b"hello"]))
    (came,) = receive_now(control, 1) if control.poll(WITHIN_S * 1000) else ()
    assert send_now(control, [came.route, b"head", b"batch", b"bytes"])
    assert node.poll(WITHIN_S * 1000)
    assert list(receive_frames(node, 10)) == [[b"head", b"batch", b"bytes"]]
    assert not send_now(control, [b"nobody", b"x"])
    node.close(linger=0)
    wire.until(lambda: not send_now(control, [came.route, b"x"]))


def test_a_message_is_not_kept_for_the_next_connection(wire: Wire) -> None:
    """A beat that was meant for the last life of a broker would come before the hello to the next one."""
    control = wire.listen(zmq.ROUTER, "control")
    port = bound_port(control)
    node = wire.connect(zmq.DEALER, control)
    wire.until(lambda: send_now(node, [b"to the first"]))
    wire.stop()
    gone = time.monotonic() + WITHIN_S
    while send_now(node, [b"to nobody"]):
        assert time.monotonic() < gone
    wire.start()
    control = wire.listen(zmq.ROUTER, "control", port)
    wire.until(lambda: send_now(node, [b"to the second"]))
    assert wire.take(control) == [b"to the second"]


def test_a_send_to_a_peer_that_does_not_read_ends_at_once(wire: Wire) -> None:
    """What waits is bounded, and the loop goes on: the journal keeps the rest."""
    sink = wire.listen(zmq.PULL, "sink")
    node = wire.connect(zmq.PUSH, sink)
    batch = [b"head", b"x" * 256 * 1024]
    wire.until(lambda: send_now(node, batch))
    sent = 1
    idle_s = time.monotonic()
    while time.monotonic() - idle_s < 0.5:  # nothing more goes, not even later
        if send_now(node, batch):
            sent += 1
            idle_s = time.monotonic()
        assert sent < 200
    for _ in range(sent):
        assert wire.take(sink) == batch


def test_a_message_cut_between_its_frames_does_not_swallow_the_next() -> None:
    """ZeroMQ drops the rest of a message whose connection went; it must see it to know where it ends."""

    class Cut:
        """As a PUSH whose connection goes away before the second frame."""

        def __init__(self) -> None:
            self.dropping, self.arrived, self.first = False, [], True

        def send(self, frame: bytes, flags: int) -> None:
            more = bool(flags & zmq.SNDMORE)
            if self.dropping:
                self.dropping = more
                return
            if frame == b"cut":
                self.dropping = more
                raise zmq.Again
            self.arrived.append(frame)

    socket = Cut()
    assert not send_now(socket, [b"head", b"cut", b"tail"])  # type: ignore[arg-type]
    assert send_now(socket, [b"next"])  # type: ignore[arg-type]
    assert socket.arrived == [b"head", b"next"]


def test_subscribers_come_back_after_a_broker_was_killed(wire: Wire) -> None:
    """An agent that polls is heard of again by the go socket without doing anything."""
    go = wire.listen(zmq.XPUB, "go")
    port = bound_port(go)
    node = wire.connect(zmq.SUB, go)
    node.setsockopt(zmq.SUBSCRIBE, b"go")
    assert wire.take(go) == [b"\x01go"]
    wire.stop()
    wire.start()
    go = wire.listen(zmq.XPUB, "go", port)
    wire.until(lambda: go.poll(0) or node.poll(0))  # the node's loop polls
    assert wire.take(go) == [b"\x01go"]
    assert send_now(go, [b"go", b"now"])
    assert node.poll(WITHIN_S * 1000)
    assert list(receive_frames(node, 1)) == [[b"go", b"now"]]


def test_a_broker_with_another_key_is_not_spoken_to(wire: Wire) -> None:
    """The token carries the broker's key, so that nobody can play broker on the network."""
    control = wire.listen(zmq.ROUTER, "control")
    endpoint = f"tcp://127.0.0.1:{bound_port(control)}"
    node = connect(wire.nodes, zmq.DEALER, endpoint, NODE, KeyPair.new().public)
    monitor = node.get_monitor_socket(zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_SUCCEEDED)
    wire.until(lambda: monitor.poll(0))
    assert not send_now(node, [b"secret"])
    node.disable_monitor()


def test_a_port_in_use_is_a_sentence_and_a_way_out(wire: Wire) -> None:
    """Mostly a broker runs already."""
    control = wire.listen(zmq.ROUTER, "control")
    port = bound_port(control)
    with pytest.raises(FabricError, match=rf"port {port} \(for go\) is in use") as caught:
        wire.listen(zmq.XPUB, "go", port)
    assert "--listen" in caught.value.hint


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.7:0", "tcp://no-such-interface:0"])
def test_an_address_of_another_machine_cannot_be_listened_on(wire: Wire, endpoint: str) -> None:
    """A typing error in --listen."""
    with pytest.raises(FabricError, match="is no address of this machine"):
        listen(wire.broker, zmq.ROUTER, endpoint, BROKER, "control")


def test_what_is_no_address_is_refused_before_a_socket_is_made(wire: Wire) -> None:
    """A user's mistake exits with 2."""
    with pytest.raises(UsageError):
        listen(wire.broker, zmq.ROUTER, "ipc:///tmp/x", BROKER, "control")
    with pytest.raises(UsageError):
        connect(wire.nodes, zmq.DEALER, "lab0", NODE, BROKER.public)


def test_ipv6_works_on_both_sides(wire: Wire) -> None:
    """Labs have it; ZeroMQ does not by default."""
    try:
        control = listen(wire.broker, zmq.ROUTER, "tcp://[::1]:0", BROKER, "control")
    except FabricError:
        pytest.skip("this machine has no IPv6")
    node = connect(wire.nodes, zmq.DEALER, f"tcp://[::1]:{bound_port(control)}", NODE, BROKER.public)
    wire.until(lambda: send_now(node, [b"hello"]))
    assert wire.take(control) == [b"hello"]


def test_the_limit_of_descriptors_is_raised_as_far_as_allowed() -> None:
    """Each agent takes three; the usual limit of 1024 ends at 340 agents."""
    code = (
        "import resource; from fabric.transport import raise_descriptor_limit as up;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "print(up(50), up(200), up(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["100", "200", "300", "300"]


def test_what_the_kernel_counts_is_what_was_handed_over(wire: Wire) -> None:
    """By the difference the broker finds who makes it hold too much: an error would add up over months."""
    control, holdings = wire.listen(zmq.ROUTER, "control"), Holdings()
    node = wire.connect(zmq.DEALER, control)
    came: list[Received] = []

    def taken() -> int:
        came.extend(receive_now(control, 100))
        return len(came)

    sizes = (0, 1, 221, 222, 223, 5000, 100_000) * 20
    for count, size in enumerate(sizes, 1):
        wire.until(lambda size=size: send_now(node, [b"x" * size] * (1 + size % 3)))
        wire.until(lambda count=count: taken() == count)
    for received in came:
        holdings.took(received.descriptor, received.frames)
    descriptor = came[0].descriptor
    with borrowed(descriptor) as line:
        held = came_bytes(line) - holdings._taken[descriptor]
    assert 0 < held < 1024, "the handshake, and nothing else"
