"""Output that no agent reads any more."""

import errno
import os
from pathlib import Path

import pytest

from agents.launcher.tail import Tail


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    return read_end, write_end


def test_all_that_is_in_the_pipe_goes_to_the_file(tmp_path: Path) -> None:
    """The next agent ships it; it follows on what is there already."""
    read_end, write_end = _pipe()
    path = tmp_path / "x.tail"
    path.write_bytes(b"before ")
    os.write(write_end, b"some")
    tail = Tail(read_end, str(path))
    assert tail.pump()  # a writer is left
    os.write(write_end, b" more")
    os.close(write_end)
    tail.finish()
    assert path.read_bytes() == b"before some more"
    os.close(read_end)


def test_no_bytes_make_no_file(tmp_path: Path) -> None:
    """An empty file would be a trace of nothing."""
    read_end, write_end = _pipe()
    os.close(write_end)
    Tail(read_end, str(tmp_path / "x.tail")).finish()
    assert list(tmp_path.iterdir()) == []
    os.close(read_end)


def test_a_file_that_cannot_be_written_does_not_keep_the_pipe_full(tmp_path: Path) -> None:
    """A program that prints while it is ended must not wait for a disk that is full."""
    read_end, write_end = _pipe()
    os.write(write_end, b"lost")
    os.close(write_end)
    tail = Tail(read_end, str(tmp_path / "missing" / "x.tail"))
    tail.finish()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_what_a_full_disk_does_not_take_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next agent says how much is missing; what comes after a gap has no place in the file."""
    read_end, write_end = _pipe()
    path = tmp_path / "x.tail"
    tail = Tail(read_end, str(path))
    os.write(write_end, b"kept")
    tail.pump()

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        os.write(write_end, b"lost")
        patched.setattr("agents.launcher.tail.os.write", full)
        tail.pump()
    os.write(write_end, b"later")
    os.close(write_end)
    tail.finish()
    assert path.read_bytes() == b"kept"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x.lost9", "x.tail"]
    os.close(read_end)


def test_the_end_of_a_terminal_is_an_end() -> None:
    """It is told by an error, which must not end the launcher."""
    master, terminal = os.openpty()
    os.set_blocking(master, False)
    os.write(terminal, b"some")
    os.close(terminal)
    tail = Tail(master, "")
    assert not tail.pump()
    tail.finish()
    os.close(master)
