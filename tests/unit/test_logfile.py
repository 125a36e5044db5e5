"""The log file: never over its limit, no line lost when it is moved, and no full disk ends its program."""

import errno
import os
from pathlib import Path

import pytest

from fabric.errors import UsageError
from fabric.logfile import LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.log"


def lines(path: Path) -> list[str]:
    """Return the lines of all files, the oldest first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: -int(one.suffix[1:]))
    return [line for file in [*older, path] for line in file.read_text().splitlines()]


def test_no_line_is_lost_or_torn_when_files_are_moved(path: Path) -> None:
    """Who looks for a fault needs just those lines."""
    log = LogFile(path, limit_bytes=100, keep=30)
    written = [f"{number} {'x' * (number % 40)}" for number in range(60)]
    for line in written:
        log.write(line + "\n")
    assert lines(path) == written
    assert len(list(path.parent.iterdir())) > 10
    assert all(file.stat().st_size <= 100 for file in path.parent.iterdir())


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_only_so_many_older_files_are_kept(path: Path, keep: int) -> None:
    """The disk of a service that nobody looks after is bounded by this."""
    log = LogFile(path, limit_bytes=10, keep=keep)
    for number in range(10):
        log.write(f"line {number:03}\n")
    assert {file.name for file in path.parent.iterdir()} == {
        path.name,
        *(f"{path.name}.{one}" for one in range(1, keep + 1)),
    }
    assert lines(path) == [f"line {number:03}" for number in range(9 - keep, 10)]


def test_a_line_that_is_longer_than_a_file_has_one_for_itself(path: Path) -> None:
    """A traceback is not cut."""
    log = LogFile(path, limit_bytes=10, keep=2)
    for line in ("a\n", "b" * 100 + "\n", "c\n"):
        log.write(line)
    assert path.with_name("broker.log.1").read_text() == "b" * 100 + "\n"
    assert path.read_text() == "c\n"


def test_a_file_that_was_moved_or_cut_by_others_goes_on(path: Path) -> None:
    """logrotate, in both its ways, needs no signal."""
    log = LogFile(path)
    log.write("one\n")
    path.rename(path.with_name("elsewhere"))
    log.write("two\n")
    assert path.read_text() == "two\n"
    os.truncate(path, 0)
    log.write("three\n")
    assert path.read_bytes() == b"three\n"
    path.unlink()
    log.write("four\n")
    assert path.read_text() == "four\n"


def test_a_start_after_a_start_appends(path: Path) -> None:
    """What was logged before the restart says why there was one."""
    for line in ("one\n", "two\n"):
        log = LogFile(path)
        log.write(line)
        log.close()
    assert lines(path) == ["one", "two"]


def test_a_full_disk_costs_lines_and_says_how_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line that did find room is taken back: the next one must not hang on it."""
    log = LogFile(path)
    log.write("one\n")
    real, room = os.write, [3]

    def write(fd: int, data: bytes) -> int:
        if not room:
            return real(fd, data)
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, data[: room[0]])
        room[0] = 0
        return written

    monkeypatch.setattr(os, "write", write)
    for line in ("two\n", "three\n"):
        log.write(line)
    room.clear()
    log.write("four\n")
    log.write("five\n")
    assert lines(path) == ["one", "2 lines are missing here: they could not be written", "four", "five"]


def test_a_directory_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    """It may come back."""
    folder = tmp_path / "log"
    folder.mkdir()
    log = LogFile(folder / "x.log")
    (folder / "x.log").unlink()
    folder.rmdir()
    log.write("one\n")
    folder.mkdir()
    log.write("two\n")
    assert (folder / "x.log").read_text() == "1 lines are missing here: they could not be written\ntwo\n"


def test_a_file_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    """Then somebody is there to read it."""
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        LogFile(tmp_path / "none" / "x.log")


def test_text_that_is_no_unicode_is_written_all_the_same(path: Path) -> None:
    """Names of files may be any bytes."""
    LogFile(path).write("a\udcffb\n")
    assert path.read_text() == "a\\udcffb\n"
