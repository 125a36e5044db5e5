"""The doors of a broker, tried with real sockets and with every sort of key."""

import io
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.gate import Gate
from broker.selftest import self_test
from broker.zap import ENDPOINT, ZapHandler
from fabric.errors import FabricError
from fabric.keys import KeyPair
from fabric.log import set_up
from fabric.transport import Domain, Received, bound_port, connect, listen, receive_now, send_now
from fabric.transport.sockets import Context, Socket

WITHIN_S = 20.0  # only a failing test waits so long
TYPES: dict[Domain, int] = {"control": zmq.ROUTER, "go": zmq.XPUB, "sink": zmq.PULL, "feed": zmq.XPUB}
PEERS: dict[Domain, int] = {"control": zmq.DEALER, "go": zmq.SUB, "sink": zmq.PUSH, "feed": zmq.SUB}
ANYWHERE = "tcp://127.0.0.1:0"
OPEN = zmq.Event.HANDSHAKE_SUCCEEDED
CLOSED = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.DISCONNECTED
)


class Doors:
    """A broker's sockets and its ZAP handler, served from the test itself."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        self.gate = Gate()
        self.zap = ZapHandler(self.context, self.gate)
        self.keys = KeyPair.new()
        self.sockets: dict[Domain, Socket] = {
            domain: listen(self.context, kind, ANYWHERE, self.keys, domain) for domain, kind in TYPES.items()
        }
        self.known = {
            "node": KeyPair.new(),
            **{role: KeyPair.new() for role in ("operator", "viewer", "unknown")},
        }
        self.gate.add(self.known["node"].public, "node", "lab1")
        self.gate.add(self.known["operator"].public, "operator", "ann")
        self.gate.add(self.known["viewer"].public, "viewer", "vic")

    def user_id(self, role: str) -> str:
        return str(self.gate.identify(self.known[role].public))

    def endpoint(self, domain: Domain) -> str:
        return f"tcp://127.0.0.1:{bound_port(self.sockets[domain])}"

    def endpoints(self) -> dict[Domain, str]:
        return {domain: self.endpoint(domain) for domain in self.sockets}

    def replace(self, domain: Domain, socket: Socket) -> None:
        """Put a socket in the place of one, at a port of its own."""
        socket.bind(ANYWHERE)
        self.sockets[domain].close(linger=0)
        self.sockets[domain] = socket

    def peer(self, domain: Domain, role: str) -> Socket:
        return connect(self.context, PEERS[domain], self.endpoint(domain), self.known[role], self.keys.public)

    def test(self) -> None:
        self_test(self.context, self.endpoints(), self.keys.public, self.zap.serve_for, self.gate)

    def until(self, done: Callable[[], bool]) -> None:
        """Serve handshakes until something is so."""
        end = time.monotonic() + WITHIN_S
        while not done():
            assert time.monotonic() < end, "waited in vain"
            self.zap.serve_for(0.01)

    def gets_in(self, socket: Socket, endpoint: str) -> bool:
        """Connect a socket of any making, and see what comes of the handshake."""
        monitor = socket.get_monitor_socket(OPEN | CLOSED)
        socket.connect(endpoint)
        self.until(lambda: bool(monitor.poll(0)))
        event = recv_monitor_message(monitor)["event"]
        socket.disable_monitor()
        socket.close(linger=0)
        return bool(event & OPEN)

    def receive(self, domain: Domain) -> Received:
        came: list[Received] = []

        def take() -> bool:
            came.extend(receive_now(self.sockets[domain], 1))
            return bool(came)

        self.until(take)
        return came[0]

    def close(self) -> None:
        self.zap.close()
        self.context.destroy(linger=0)


@pytest.fixture
def doors() -> Iterator[Doors]:
    structlog.reset_defaults()
    set_up("error", stream=io.StringIO())
    doors = Doors()
    yield doors
    doors.close()
    structlog.reset_defaults()


def curve(doors: Doors, domain: Domain, keys: KeyPair) -> Socket:
    """Return a socket that is not connected yet and tries once."""
    socket = doors.context.socket(PEERS[domain])
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    socket.curve_serverkey = doors.keys.public
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    return socket


@pytest.mark.parametrize(
    ("domain", "roles"),
    [
        ("control", {"node", "operator", "viewer", "unknown"}),
        ("go", {"node"}),
        ("sink", {"node"}),
        ("feed", {"operator", "viewer"}),
    ],
)
def test_each_socket_lets_in_its_roles_and_nobody_else(doors: Doors, domain: Domain, roles: set[str]) -> None:
    """An unknown key can reach control and nothing more; a node cannot read what others print."""
    let_in = {
        role
        for role, keys in doors.known.items()
        if doors.gets_in(curve(doors, domain, keys), doors.endpoint(domain))
    }
    assert let_in == roles


@pytest.mark.parametrize("domain", TYPES)
@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
def test_nobody_gets_in_without_curve(doors: Doors, domain: Domain, mechanism: str) -> None:
    """Else a name could be claimed, and everything read on the way."""
    socket = doors.context.socket(PEERS[domain])
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    if mechanism == "PLAIN":
        socket.plain_username, socket.plain_password = b"node:lab1", b"secret"
    assert not doors.gets_in(socket, doors.endpoint(domain))


def test_who_speaks_is_known_from_the_key_on_every_message(doors: Doors) -> None:
    """The name in a message is a claim; this is the proof."""
    for role, name in (("node", "lab1:"), ("operator", "ann:"), ("viewer", "vic:"), ("unknown", "")):
        who = f"{role}:{name}{doors.known[role].public.decode()}"
        peer = doors.peer("control", role)
        doors.until(lambda peer=peer: send_now(peer, [b"a", b"b"]))  # type: ignore[misc]
        assert send_now(peer, [b"c"])
        came = [doors.receive("control") for _ in range(2)]
        assert [one.user_id for one in came] == [who, who]
        assert [[bytes(frame) for frame in one.frames] for one in came] == [[b"a", b"b"], [b"c"]]


def test_the_proof_is_on_every_frame(doors: Doors) -> None:
    """`receive_now` reads it from the last frame, which thus must have it, whatever the socket."""
    peer = doors.peer("sink", "node")
    doors.until(lambda: send_now(peer, [b"head", b"", b"x" * 100_000]))
    assert doors.sockets["sink"].poll(WITHIN_S * 1000)
    frames = doors.sockets["sink"].recv_multipart(copy=False)
    assert [frame.get("User-Id") for frame in frames] == [doors.user_id("node")] * 3


def test_a_subscription_says_whose_it_is(doors: Doors) -> None:
    """The broker sends a go by control to who does not listen yet, so it must know who does: each of them."""
    doors.gate.add(doors.known["unknown"].public, "node", "lab2")
    peers = [doors.peer("go", role) for role in ("node", "unknown")]
    for peer in peers:
        peer.setsockopt(zmq.SUBSCRIBE, b"go")
    came = [doors.receive("go") for _ in range(2)]
    assert {(one.user_id, bytes(one.frames[0])) for one in came} == {
        (doors.user_id("node"), b"\x01go"),
        (doors.user_id("unknown"), b"\x01go"),
    }


def test_what_a_socket_itself_says_is_nobodys(doors: Doors) -> None:
    """An XPUB reports the end of the last subscription without a name: no role may be read into it."""
    peer = doors.peer("go", "node")
    peer.setsockopt(zmq.SUBSCRIBE, b"go")
    assert doors.receive("go").user_id == doors.user_id("node")
    peer.close(linger=0)
    ended = doors.receive("go")
    assert (ended.user_id, bytes(ended.frames[0])) == ("", b"\x00go")


def test_an_unknown_key_that_enrolled_is_known_on_its_next_connection(doors: Doors) -> None:
    """ZeroMQ asks at the handshake only, so an agent connects again after its enrolment."""
    keys = doors.known["unknown"]
    before = doors.peer("control", "unknown")
    doors.until(lambda: send_now(before, [b"enrol"]))
    assert doors.receive("control").user_id.startswith("unknown:")
    doors.gate.add(keys.public, "node", "lab2")
    after = doors.peer("control", "unknown")
    doors.until(lambda: send_now(after, [b"hello"]))
    assert doors.receive("control").user_id == f"node:lab2:{keys.public.decode()}"


def test_refusals_are_counted_by_reason(doors: Doors) -> None:
    """Who looks for a fault sees whether it is a wrong key or the wrong socket."""
    doors.gets_in(curve(doors, "sink", doors.known["unknown"]), doors.endpoint("sink"))
    doors.gets_in(curve(doors, "sink", doors.known["operator"]), doors.endpoint("sink"))
    doors.gets_in(curve(doors, "sink", doors.known["node"]), doors.endpoint("sink"))
    assert doors.zap.refusals == {"unknown_key": 1, "operator_key": 1}


@pytest.mark.parametrize(
    ("request_frames", "status"),
    [
        ([b"1.0", b"7", b"control", b"", b"", b"NULL"], b"400"),
        ([b"1.0", b"7", b"control", b"", b"", b"PLAIN", b"ann", b"pw"], b"400"),
        ([b"1.0", b"7", b"control", b"", b"", b"NULL", b"k" * 32], b"400"),
        ([b"1.0", b"7", b"control", b"", b"", b"GSSAPI", b"k" * 32], b"400"),
        ([b"2.0", b"7", b"control", b"", b"", b"CURVE", b"k" * 32], b"400"),
        ([b"1.0", b"7", b"control", b"", b"", b"CURVE", b"short"], b"400"),
        ([b"1.0", b"7", b"\xff\xfe", b"", b"", b"CURVE", b"k" * 32], b"400"),
        ([b"1.0", b"7", b"", b"", b"", b"CURVE", b"k" * 32], b"400"),
        ([b"1.0", b"7", b"control", b"", b"", b"CURVE", b"k" * 32], b"200"),
    ],
)
def test_the_handler_answers_by_the_book(doors: Doors, request_frames: list[bytes], status: bytes) -> None:
    """RFC 27: version, request id, status; and a mechanism that nobody offered is refused all the same."""
    asker = doors.context.socket(zmq.DEALER)
    asker.connect(ENDPOINT)
    asker.send_multipart([b"", *request_frames])
    doors.until(lambda: bool(asker.poll(0)))
    _, version, request_id, answered, _, user_id, _ = asker.recv_multipart()
    assert (version, request_id, answered) == (b"1.0", b"7", status)
    assert bool(user_id) == (status == b"200")


def test_a_stump_of_a_request_does_not_stop_the_handler(doors: Doors) -> None:
    """It cannot be answered; the next one must be."""
    asker = doors.context.socket(zmq.DEALER)
    asker.connect(ENDPOINT)
    asker.send_multipart([b"", b"1.0"])
    doors.until(lambda: doors.zap.refusals["malformed"] == 1)
    assert doors.gets_in(curve(doors, "sink", doors.known["node"]), doors.endpoint("sink"))


def test_a_mistake_of_the_broker_keeps_nobody_out_for_ever(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception kills pyzmq's own handler, and after status 500 a client never tries again."""
    for socket in doors.sockets.values():
        socket.setsockopt(zmq.HANDSHAKE_IVL, 200)  # counts from the next bind on
    doors.sockets["sink"].unbind(doors.endpoint("sink"))
    doors.sockets["sink"].bind(ANYWHERE)

    def fails(_domain: str, _public: bytes) -> None:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as patched:
        patched.setattr(doors.gate, "admit", fails)
        peer = doors.peer("sink", "node")
        doors.until(lambda: doors.zap.refusals["failed"] > 0)
    doors.until(lambda: send_now(peer, [b"here again"]))
    assert bytes(doors.receive("sink").frames[0]) == b"here again"


def test_doors_stay_closed_while_nobody_answers_for_them(doors: Doors) -> None:
    """Without a handler, CURVE alone lets everybody in: the domain and its enforcement do not."""
    doors.zap.close()
    monitor_of = curve(doors, "control", doors.known["node"])
    monitor = monitor_of.get_monitor_socket(OPEN | CLOSED)
    monitor_of.connect(doors.endpoint("control"))
    assert monitor.poll(WITHIN_S * 1000)
    assert not recv_monitor_message(monitor)["event"] & OPEN


# --- the self-test ------------------------------------------------------------------------------------


def test_good_doors_pass_the_self_test_and_keep_nothing_of_it(doors: Doors) -> None:
    """It runs at every start, so it is quick, and its keys must open nothing afterwards."""
    before = vars(Gate()).keys(), dict(doors.gate._keys)
    doors.test()
    assert (vars(doors.gate).keys(), doors.gate._keys) == before
    assert not doors.gate._barred
    assert doors.zap.refusals == {}
    assert not list(receive_now(doors.sockets["control"], 10))


def forgotten(doors: Doors, domain: Domain, *, without: str) -> Socket:
    """Make a listening socket as `listen` does, but for one thing."""
    socket = doors.context.socket(TYPES[domain])
    if without != "curve":
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = doors.keys.public, doors.keys.secret
    if without not in ("domain", "curve"):
        socket.zap_domain = domain.encode()
    if without != "enforcement":
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return socket


@pytest.mark.parametrize("domain", TYPES)
@pytest.mark.parametrize("without", ["curve", "domain"])
def test_one_forgotten_option_stops_the_broker(doors: Doors, domain: Domain, without: str) -> None:
    """Such a socket is open to anybody and works as if nothing were wrong."""
    doors.replace(domain, forgotten(doors, domain, without=without))
    with pytest.raises(FabricError, match=rf"the {domain} socket at .* lets .* in"):
        doors.test()


def test_a_door_that_nobody_can_open_stops_the_broker_too(doors: Doors) -> None:
    """CURVE forgotten but the domain kept: closed to strangers, and to every node as well."""
    socket = doors.context.socket(zmq.PULL)
    socket.zap_domain = b"sink"
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    doors.replace("sink", socket)
    with pytest.raises(FabricError, match=r"the sink socket at .* does not let a node's key in"):
        doors.test()


def test_swapped_domains_stop_the_broker(doors: Doors) -> None:
    """Each socket is closed as it should be, but to the wrong people."""
    doors.replace("feed", forgotten(doors, "sink", without="nothing"))
    with pytest.raises(FabricError, match="the feed socket"):
        doors.test()


def test_a_door_that_does_not_answer_is_not_called_closed(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with too much to do is no firewall, and what was not tested is not served."""
    monkeypatch.setattr("broker.selftest.LIMIT_S", 0.2)
    with pytest.raises(FabricError, match=r"has not answered .* within 0.2 s") as raised:
        self_test(
            doors.context, doors.endpoints(), doors.keys.public, time.sleep, doors.gate
        )  # nobody answers a handshake
    assert "too much to do" in raised.value.hint


def test_a_handshake_that_took_too_long_is_tried_again(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's own limit for handshakes has ended it: that looks like a refusal and says nothing."""
    for domain in TYPES:
        socket = forgotten(doors, domain, without="nothing")
        socket.setsockopt(zmq.HANDSHAKE_IVL, 100)
        doors.replace(domain, socket)
    monkeypatch.setattr("broker.selftest.HANDSHAKE_MS", 50)
    begun = time.monotonic()

    def serve(seconds: float) -> None:
        if time.monotonic() - begun < 0.3:
            time.sleep(seconds)
        else:
            doors.zap.serve_for(seconds)

    self_test(doors.context, doors.endpoints(), doors.keys.public, serve, doors.gate)
