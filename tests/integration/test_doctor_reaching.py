"""Who answers at an address: the doctor tells nobody, other services and other programs from a broker."""

import socket
import threading
from collections.abc import Iterator

import pytest
import zmq

from fabric.config import Address
from fabric.doctor import reaching
from fabric.doctor.findings import Finding
from fabric.keys import KeyPair
from fabric.transport import make_context
from fabric.transport.sockets import Context

HERE = "127.0.0.1"


@pytest.fixture
def context() -> Iterator[Context]:
    context = make_context()
    yield context
    context.destroy(linger=0)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "REACH_S", 0.3)


def look(context: Context, port: int, *, expected: bool = True) -> Finding:
    keys = reaching.Keys(KeyPair.new(), KeyPair.new().public)
    return reaching.look_at_port(context, "control", Address(HERE, port), keys, expected=expected)


def listening(greeting: bytes) -> tuple[socket.socket, int]:
    """Return a service that says something to whoever comes, once."""
    server = socket.create_server((HERE, 0))

    def serve() -> None:
        with server.accept()[0] as peer:
            peer.sendall(greeting)
            peer.recv(100)
            if not greeting:
                peer.recv(100)  # until the doctor has given up

    threading.Thread(target=serve, daemon=True).start()
    return server, server.getsockname()[1]


@pytest.mark.parametrize(
    ("greeting", "wanted"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "another service listens there: it says 'SSH-2.0-OpenSSH_9.6'"),
        (b"\xff\x00\x00", "another service"),
        (b"", "something listens there and says nothing"),
    ],
)
def test_another_service_is_quoted(context: Context, greeting: bytes, wanted: str) -> None:
    """Who sees its greeting knows which it is."""
    server, port = listening(greeting)
    with server:
        found = look(context, port)
    assert found.state == "bad"
    assert wanted in found.found
    assert found.hint


def test_a_port_where_nobody_listens_is_told_from_a_machine_that_is_not_there(context: Context) -> None:
    """The one is mended there, the other on the way."""
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    assert "nothing listens there" in look(context, port).found
    nobody = Address("no-such-machine.invalid", 7400)
    keys = reaching.Keys(KeyPair.new(), KeyPair.new().public)
    found = reaching.look_at_port(context, "go", nobody, keys, expected=True)
    assert "there is no machine called no-such-machine.invalid" in found.found


def test_a_zeromq_socket_of_another_program_is_told_by_its_mechanism(context: Context) -> None:
    """Before any key is used."""
    other: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    port = other.bind_to_random_port(f"tcp://{HERE}")
    assert "another program listens there (mechanism 'NULL')" in look(context, port).found


def test_a_broker_with_another_key_is_told(context: Context) -> None:
    """It is up and reachable, so all that one would look at first is in order."""
    keys = KeyPair.new()
    other: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    other.setsockopt(zmq.CURVE_SERVER, 1)
    other.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    port = other.bind_to_random_port(f"tcp://{HERE}")
    assert "not the one whose key is stored here" in look(context, port).found
