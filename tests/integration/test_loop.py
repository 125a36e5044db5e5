"""The main loop with real descriptors, sockets, signals and threads."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import zmq

from fabric.clock import MonotonicClock
from fabric.loop import MAX_WAIT_MS, Loop

SOON_NS = 20 * 10**9  # only a failing test waits so long


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock()


@pytest.fixture
def loop(clock: MonotonicClock) -> Iterator[Loop]:
    loop = Loop(clock)
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test closed it
            os.close(end)


def turns(loop: Loop, clock: MonotonicClock, done: list[object]) -> None:
    """Turn until something is in ``done``."""
    end_ns = clock.now_ns() + SOON_NS
    while not done:
        assert loop.turn(end_ns) < end_ns


def test_a_turn_is_never_early_and_hardly_late(loop: Loop, clock: MonotonicClock) -> None:
    """Machines are asked what is due: a turn that ends before the deadline would spin until it."""
    for after_ns in (0, 1_500_001, 30_000_000):
        deadline_ns = clock.now_ns() + after_ns
        now_ns = loop.turn(deadline_ns)
        assert 0 <= now_ns - deadline_ns < 10**9


def test_a_turn_without_a_deadline_ends_all_the_same(loop: Loop) -> None:
    """A wait without end can miss a wake-up for ever."""
    started_s = time.monotonic()
    loop.turn(None)
    assert MAX_WAIT_MS * 0.9 < (time.monotonic() - started_s) * 1000 < MAX_WAIT_MS * 10


def test_reader_and_writer_of_one_descriptor_are_called_apart(
    loop: Loop, clock: MonotonicClock, pipe: tuple[int, int]
) -> None:
    """An agent writes to its launcher when it can, and reads when something is there."""
    reading, writing = pipe
    seen: list[object] = []
    loop.add(reading, lambda _: seen.append(os.read(reading, 10)))
    loop.add(writing, lambda _: (os.write(writing, b"x"), loop.remove(writing, write=True)), write=True)
    turns(loop, clock, seen)
    assert seen == [b"x"]


def test_the_end_of_a_pipe_calls_its_reader(loop: Loop, clock: MonotonicClock, pipe: tuple[int, int]) -> None:
    """That the launcher died is seen by this alone."""
    reading, writing = pipe
    seen: list[object] = []
    loop.add(reading, lambda _: seen.append(os.read(reading, 10)))
    os.close(writing)
    turns(loop, clock, seen)
    assert seen[0] == b""


def test_a_reader_that_is_gone_calls_the_writer(
    loop: Loop, clock: MonotonicClock, pipe: tuple[int, int]
) -> None:
    """Otherwise every turn comes back at once, and nobody sees why."""
    reading, writing = pipe
    seen: list[object] = []
    os.set_blocking(writing, False)
    os.write(writing, b"x" * 65536)  # full, so it cannot be written
    loop.add(writing, seen.append, write=True)
    os.close(reading)
    turns(loop, clock, seen)


def test_what_was_taken_off_is_not_called_in_the_same_turn(loop: Loop) -> None:
    """One callback may end the connection of another, whose descriptor is closed by then."""
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def take_off(_: int) -> None:
        called.append(1)
        for reading, _writing in pipes:
            loop.remove(reading)

    for reading, writing in pipes:
        os.write(writing, b"x")
        loop.add(reading, take_off)
    loop.turn(None)
    assert called == [1]
    for end in (end for ends in pipes for end in ends):
        os.close(end)


def test_a_socket_that_was_not_drained_is_seen_again(loop: Loop) -> None:
    """A callback takes a bounded number of messages; ZeroMQ's descriptor would stay silent about the rest."""
    context = zmq.Context()
    left, right = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    left.bind("inproc://x")
    right.connect("inproc://x")
    for number in range(3):
        right.send(bytes([number]))
    seen: list[bytes] = []
    loop.add(left, lambda _: seen.append(left.recv()))
    for _ in range(3):
        loop.turn(None)
    assert seen == [b"\0", b"\1", b"\2"]
    loop.remove(left)
    context.destroy(linger=0)


def test_no_signal_is_lost_and_it_ends_the_wait(loop: Loop, clock: MonotonicClock) -> None:
    """Ctrl-C three times means something else than once; and it must not wait for a message."""
    came: list[int] = []
    loop.on_signals((signal.SIGTERM, signal.SIGINT), came.append)
    killer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    killer.start()
    turns(loop, clock, came)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
    loop.turn(None)
    killer.join()
    assert came == [signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGINT]


def test_a_flood_of_wake_ups_does_not_hide_a_signal(loop: Loop) -> None:
    """Both end the wait through one pipe, which may be full."""
    came: list[int] = []
    loop.on_signals((signal.SIGTERM,), came.append)
    for _ in range(100_000):
        loop.wake()
    os.kill(os.getpid(), signal.SIGTERM)
    loop.turn(None)
    assert came == [signal.SIGTERM]


def test_signals_are_as_before_after_the_loop(clock: MonotonicClock) -> None:
    """A command that ends its loop dies of Ctrl-C again."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    loop = Loop(clock)
    loop.on_signals((signal.SIGTERM, signal.SIGINT), lambda _: None)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) != before
    loop.close()
    loop.close()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_another_thread_ends_the_wait(loop: Loop, clock: MonotonicClock) -> None:
    """Fdatasync is done by a helper thread, whose news must not wait for the next message."""
    started_ns = clock.now_ns()
    thread = threading.Thread(target=loop.wake)
    thread.start()
    now_ns = loop.turn(started_ns + SOON_NS)
    thread.join()
    assert now_ns - started_ns < MAX_WAIT_MS * 10**6
