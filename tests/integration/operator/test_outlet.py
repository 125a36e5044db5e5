"""The thread between a command and who reads its output: nothing is dropped, and nobody waits for it."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from fabric.cli.outlet import ROOM_BYTES, Outlet

LINE = "x" * 4095
WITHIN_S = 20.0


class Pipe:
    """Is stdout."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()

    def fileno(self) -> int:
        return self.write_fd


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for fd in (made.read_fd, made.write_fd):
        os.close(fd)


def test_a_reader_that_pauses_makes_room_when_it_goes_on(pipe: Pipe) -> None:
    """The one who reads the run is told when to go on."""
    woken: list[int] = []
    outlet = Outlet((pipe, pipe), lambda: woken.append(1))
    rest = 0
    while outlet.has_room:
        outlet.put(LINE, is_stderr=False)
        rest += len(LINE) + 1
    assert rest >= ROOM_BYTES
    assert not woken
    while rest:
        rest -= len(os.read(pipe.read_fd, 65536))
    assert outlet.close() == 0
    assert (outlet.is_empty, woken) == (True, [1])


def test_a_reader_that_takes_nothing_is_given_up(pipe: Pipe) -> None:
    """What it has not taken is counted."""
    outlet = Outlet((pipe, pipe), lambda: None)
    for _ in range(100):
        outlet.put(LINE, is_stderr=False)
    left = outlet.close(patience_s=0.3)
    assert 0 < left < 100 * 4096
    os.set_blocking(pipe.read_fd, False)
    while not outlet.is_empty:  # let the thread end
        with suppress(BlockingIOError):
            os.read(pipe.read_fd, 65536)


def test_a_reader_that_has_gone_is_known(pipe: Pipe) -> None:
    """As `head` goes when it has seen enough."""
    os.close(pipe.read_fd)
    gone: list[int] = []
    outlet = Outlet((pipe, pipe), lambda: gone.append(1))
    outlet.put(LINE, is_stderr=False)
    with pytest.raises(BrokenPipeError):
        outlet.close(WITHIN_S)
    assert (outlet.is_gone, gone) == (True, [1])
    pipe.read_fd = os.open(os.devnull, os.O_RDONLY)
