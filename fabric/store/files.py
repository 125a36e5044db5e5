"""What the store asks of the file system, and how it says that it was refused."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from fabric.errors import StoreError

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
"""Output of steps may hold secrets, so nobody but the broker's user reads the store."""

_HINTS: Final = {
    errno.ENOSPC: "free some space on this file system; the store goes on as soon as there is some",
    errno.EDQUOT: "the quota of this user is used up: raise it or delete something",
    errno.EFBIG: "the file size limit (ulimit -f) of the broker is too small",
    errno.EIO: "the disk reports errors: look at the kernel's log, then restart the broker",
    errno.EROFS: "the file system is mounted read-only: the disk may be failing",
    errno.EACCES: "let the user of the broker read and write there, or choose another --state-dir",
    errno.EPERM: "let the user of the broker read and write there, or choose another --state-dir",
    errno.EMFILE: "raise the broker's limit of open files (ulimit -n)",
}


def store_error(path: Path, error: OSError) -> StoreError:
    """Return what to tell a user about an operating system error at ``path``."""
    hint = _HINTS.get(error.errno or 0, "see that the state directory is complete and belongs to the broker")
    return StoreError(f"{path}: {error.strerror or error}", hint=hint)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a StoreError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise store_error(path, error) from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: fsync of a new file does not cover its name."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Window:
    """Reads a file front to back in large pieces, by offset.

    Not mmap: a disk error would then be a SIGBUS, and the mapped file would count as the broker's memory.
    """

    def __init__(self, path: Path, chunk_bytes: int = 1 << 18) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._chunk_bytes = chunk_bytes
        self._start = 0
        self._data = memoryview(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def view(self, offset: int, size: int) -> memoryview:
        """Return ``size`` bytes from ``offset``, or fewer at the end of the file."""
        begin = offset - self._start
        if begin < 0 or begin + size > len(self._data):
            self._start, begin = offset, 0
            self._data = memoryview(os.pread(self._fd, max(size, self._chunk_bytes), offset))
        return self._data[begin : begin + size]
