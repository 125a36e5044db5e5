"""The thread between a run and its reader: nothing waits, nothing grows, nothing is lost in silence."""

import os
import pty
import threading
from collections.abc import Iterator

import pytest

from fabric.report.printer import Backlog, Gap, Printer, _Text

WITHIN_S = 20.0


def text(name: str, *, keep: bool = False, mark: int = 0) -> _Text:
    return _Text(name, 1, keep, mark)


def test_over_the_limit_the_oldest_output_goes_and_is_counted() -> None:
    """What is newest is what a person looks at; that something is missing must stand in its place."""
    backlog = Backlog(40)
    for number in range(9):
        backlog.add(text(f"{number}" * 8, mark=number))
    gap, texts = backlog.take()
    assert [one.mark for one in texts] == list(range(gap.lines, 9))
    assert (gap.first, gap.last) == (0, gap.lines - 1)
    assert backlog.not_shown == gap.lines > 0
    assert not backlog


def test_what_matters_stays_longer() -> None:
    """A failure is said in one line between a million of output."""
    backlog = Backlog(40)
    backlog.add(text("failure!", keep=True))
    for number in range(100):
        backlog.add(text("x" * 8, mark=number))
    assert backlog.take()[1][0].text == "failure!"


def test_even_what_matters_is_bounded() -> None:
    """A run with a million events is one, too."""
    backlog = Backlog(40)
    for number in range(1000):
        backlog.add(text("x" * 8, keep=True, mark=number))
    assert sum(len(one.text) for one in backlog.take()[1]) <= 4 * 40


def test_who_hurries_is_shown_only_what_matters() -> None:
    """After Ctrl-C nobody waits for megabytes of output on a slow line."""
    backlog = Backlog(400)
    for number in range(9):
        backlog.add(text("x" * 8, mark=number, keep=number == 4))
    backlog.cut()
    gap, texts = backlog.take()
    assert (gap.lines, [one.mark for one in texts]) == (8, [4])


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    for fd in (read_fd, write_fd):
        os.close(fd)


def tell(gap: Gap) -> str:
    return f"{gap.lines} gone"


def test_a_reader_that_pauses_gets_everything_in_the_end(pipe: tuple[int, int]) -> None:
    """A pipe into a pager: the run goes on meanwhile, and the pager has it all."""
    read_fd, write_fd = pipe
    printer = Printer(write_fd, encoding="utf-8", tell=tell)
    for number in range(20_000):
        printer.put(f"line {number}")
    closing = threading.Thread(target=printer.close)
    closing.start()
    found = b""
    while not found.endswith(b"line 19999\n"):
        found += os.read(read_fd, 65536)
    closing.join(WITHIN_S)
    assert found.decode().splitlines() == [f"line {number}" for number in range(20_000)]


def test_a_reader_that_went_away_ends_nothing(pipe: tuple[int, int]) -> None:
    """`fabric-run | head`: the run goes on to its verdict."""
    read_fd, write_fd = pipe
    os.dup2(os.open(os.devnull, os.O_RDONLY), read_fd)  # the reading end is closed
    with Printer(write_fd, encoding="utf-8", tell=tell) as printer:
        for _ in range(1000):
            printer.put("x" * 1000)


def test_a_reader_that_takes_nothing_can_be_left(pipe: tuple[int, int]) -> None:
    """Ctrl-C at the end of a run whose output nobody takes must not hang."""
    printer = Printer(pipe[1], encoding="utf-8", tell=tell)
    printer.put("x" * 1_000_000)
    printer.abandon()
    printer.close()


def test_characters_that_the_terminal_lacks_are_replaced(pipe: tuple[int, int]) -> None:
    """An old locale must not end a run with an exception about a dash."""
    with Printer(pipe[1], encoding="ascii", tell=tell) as printer:
        printer.put("a │ b")
    assert os.read(pipe[0], 100) == b"a ? b\n"


def test_a_terminal_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is over and its bundle written: a hung ssh must not keep the exit code back for ever."""
    monkeypatch.setattr("fabric.report.printer.ENDED_S", 0.1)
    master, slave = pty.openpty()
    printer = Printer(slave, encoding="utf-8", tell=tell)
    for _ in range(100):
        printer.put("x" * 10_000)
    printer.close()
    for fd in (master, slave):
        os.close(fd)
