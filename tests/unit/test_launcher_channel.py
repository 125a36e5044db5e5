"""Frames and descriptors over a real pair of sockets."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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


def test_descriptors_that_cannot_come_are_missed_by_their_frame_alone(pair: tuple[Channel, Channel]) -> None:
    """A step would else get the pipes of the next one, and print into its output."""
    left, right = pair
    pipes = [os.pipe() for _ in range(3)]
    left.send({"n": 0, "long": "x" * 1_000_000}, pipes[0])
    with _no_more_files():
        got = right.receive()  # the begin of it, and no descriptors
        assert not got
        left.send({"n": 1}, pipes[1])  # behind the rest of it, and no copies can be made
    left.send({"n": 2}, pipes[2])
    while len(got) < 3:
        left.flush()
        got += right.receive()

    assert [(message["n"], len(fds)) for message, fds in got] == [(0, 0), (1, 0), (2, 2)]
    assert os.fstat(got[2][1][0]).st_ino == os.fstat(pipes[2][0]).st_ino
    for fds in [*pipes, got[2][1]]:
        for fd in fds:
            os.close(fd)


def test_what_goes_out_at_once_needs_no_copies(pair: tuple[Channel, Channel]) -> None:
    """A launcher at its limit of open files hands its steps to the next agent all the same."""
    left, right = pair
    ends = os.pipe()
    with _no_more_files():
        left.send({"n": 0}, ends)
    ((_, fds),) = right.receive()
    assert len(fds) == 2
    for fd in (*ends, *fds):
        os.close(fd)


@contextmanager
def _no_more_files() -> Iterator[None]:
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
