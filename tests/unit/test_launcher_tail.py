"""Output that no agent reads any more."""

import os
from pathlib import Path

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
