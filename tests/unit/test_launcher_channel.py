"""Frames and descriptors over a real pair of sockets."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from agents.launcher.channel import Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """Two connected channels; closed at the end."""
    left, right = socket.socketpair()
    channels = Channel(left), Channel(right)
    yield channels
    for channel in channels:
        channel.close()


def test_descriptors_stay_with_their_frames(pair: tuple[Channel, Channel]) -> None:
    """Frames with and without descriptors are read at once: none may get the other's."""
    left, right = pair
    pipes = [os.pipe() for _ in range(3)]
    left.send({"n": -1})
    for n, (read_end, write_end) in enumerate(pipes):
        left.send({"n": n}, (read_end, write_end))
        left.send({"n": -1})
    got: list[tuple[dict[str, Any], tuple[int, ...]]] = []
    while len(got) < 7:
        got += right.receive()

    for message, fds in got:
        assert len(fds) == (0 if message["n"] < 0 else 2)
        if fds:
            assert os.fstat(fds[0]).st_ino == os.fstat(pipes[message["n"]][0]).st_ino
    for fds in [*pipes, *(fds for _, fds in got)]:
        for fd in fds:
            os.close(fd)


def test_a_slow_reader_loses_nothing(pair: tuple[Channel, Channel]) -> None:
    """What the socket has no room for waits, with its descriptors, even if the sender closed its own."""
    left, right = pair
    read_end, write_end = os.pipe()
    for n in range(200):
        left.send({"n": n, "pad": "x" * 10_000})
    assert left.backlog_bytes > 0
    left.send({"n": 200}, (read_end,))
    inode = os.fstat(read_end).st_ino
    os.close(read_end)

    got: list[tuple[dict[str, Any], tuple[int, ...]]] = []
    while len(got) < 201:
        got += right.receive()
        left.flush()
    assert [message["n"] for message, _ in got] == list(range(201))
    assert left.backlog_bytes == 0
    (fd,) = got[-1][1]
    assert os.fstat(fd).st_ino == inode
    os.close(fd)
    os.close(write_end)


def test_the_end_of_the_peer_is_seen_after_its_last_words(pair: tuple[Channel, Channel]) -> None:
    """An agent that is killed after a command has given the command."""
    left, right = pair
    left.send({"do": "quit"})
    left.close()
    assert right.receive() == [({"do": "quit"}, ())]
    assert not right.is_open
    right.send({"ev": "beat"})  # late words are normal, and harmless
    assert right.receive() == []


def test_no_descriptor_is_left_open(pair: tuple[Channel, Channel]) -> None:
    """Descriptors that never reached their receiver are closed with the channel."""
    left, right = pair
    read_end, write_end = os.pipe()
    for _ in range(200):
        left.send({"pad": "x" * 10_000})
    left.send({}, (write_end,))
    os.close(write_end)
    left.close()
    right.close()
    assert os.read(read_end, 1) == b""  # the end: nobody holds the other one
    os.close(read_end)
