"""A descriptor that is looked at and given back."""

import socket
from pathlib import Path

import pytest

from broker.borrowing import borrowed


def test_a_borrowed_connection_stays_open() -> None:
    """It is ZeroMQ's, which would find another's connection under a number that was closed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with borrowed(ours.fileno()) as line:
            line.send(b"a")
        ours.send(b"b")
        assert theirs.recv(2) == b"ab"


def test_what_is_no_socket_costs_no_descriptor(tmp_path: Path) -> None:
    """The number of a connection that is over may belong to a file by now, and be looked at often."""
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    with (tmp_path / "file").open("wb") as file:
        for _ in range(3):
            with pytest.raises(OSError, match="non-socket"), borrowed(file.fileno()):
                pass
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
