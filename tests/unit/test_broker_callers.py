"""Which connections a key has: real ones, for it is the kernel that knows them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from broker.callers import Callers
from fabric.transport import Received


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def heard(line: socket.socket) -> Received:
    return Received("", b"", [], line.fileno())


def accepted(server: socket.socket, stack: ExitStack) -> socket.socket:
    stack.enter_context(socket.create_connection(server.getsockname()))
    line, _ = server.accept()
    return stack.enter_context(line)


def test_a_key_has_so_many_connections_and_no_more(server: socket.socket) -> None:
    """One key must not take the places of all others; those that it has go on."""
    callers = Callers([server.getsockname()[1]])
    with ExitStack() as stack:
        first, second, third = (accepted(server, stack) for _ in range(3))
        assert callers.note("key", heard(first), 2)
        assert callers.note("key", heard(second), 2)
        assert not callers.note("key", heard(third), 2)
        assert callers.note("key", heard(first), 2)
        assert callers.note("other", heard(third), 2)


def test_a_connection_that_is_over_makes_room(server: socket.socket) -> None:
    """An agent that comes again and again must not be kept out in the end."""
    callers = Callers([server.getsockname()[1]])
    with ExitStack() as stack:
        first, second = (accepted(server, stack) for _ in range(2))
        callers.note("key", heard(first), 1)
        callers.gone(first.fileno())  # told of an earlier connection that had the same number
        assert not callers.note("key", heard(second), 1)
        number = first.fileno()
        first.close()
        callers.gone(number)
        assert callers.note("key", heard(second), 1)
        assert callers.cut("key") == 1
