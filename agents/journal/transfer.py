"""Bytes from a pipe into a file: by splice where the kernel does it, else by read and write."""

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

REFUSALS: Final = FULL | {errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
"""What a disk says while it takes nothing, or a process that may open no more files.  A person mends it, and
then it goes on, so nobody ends for it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of a stream that are in the spool now.  Size 0: the stream has ended."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class JournalFull:
    """Nothing was taken; the bytes stay in the pipe.  Stop reading, and try again later.

    disk: the file system is full, or takes nothing for another of the `REFUSALS`.  journal: too much is not
    acknowledged yet.
    """

    reason: Literal["disk", "journal"]


@dataclass(slots=True)
class Transfer:
    """Moves the bytes of one pipe.

    With splice no moment exists in which bytes are only in this process.  A terminal or a socket on some
    file systems refuses it (EINVAL); then bytes pass through ``carry``, which a full disk may leave filled.
    """

    can_splice: bool = True
    carry: bytes = field(default=b"", repr=False)

    def move(self, source_fd: int, target_fd: int, offset: int, limit_bytes: int) -> int | None:
        """Move what is there, at most ``limit_bytes``, to ``offset`` of the file.

        Returns:
            How many bytes; 0 at the end of the stream; None if nothing is there now.

        Raises:
            OSError: With an error of `REFUSALS` and nothing moved, if the disk takes nothing.
        """
        moved = 0
        # A fast writer fills the pipe while it is read: without a loop a chunk is a few pages, with it,
        # a record is worth its cost.
        while moved < limit_bytes:
            try:
                size = self._step(source_fd, target_fd, offset + moved, limit_bytes - moved)
            except BlockingIOError:
                return moved or None
            except OSError as error:
                if moved and error.errno in REFUSALS:
                    return moved
                raise
            if size == 0:
                return moved  # if bytes came before the end, the next call finds the end again
            moved += size
        return moved

    def discard(self, source_fd: int, limit_bytes: int) -> bytes | None:
        """Read what is there.

        Returns:
            The bytes; none at the end of the stream; None if nothing is there now.
        """
        if self.carry:
            data, self.carry = self.carry, b""
            return data
        os.set_blocking(source_fd, False)
        try:
            return read_now(source_fd, limit_bytes)
        except BlockingIOError:
            return None

    def flush(self) -> None:
        """Let out what is kept back; here nothing is."""

    def _step(self, source_fd: int, target_fd: int, offset: int, limit_bytes: int) -> int:
        if self.can_splice:
            try:
                return os.splice(
                    source_fd, target_fd, limit_bytes, offset_dst=offset, flags=os.SPLICE_F_NONBLOCK
                )
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            self.can_splice = False
            os.set_blocking(source_fd, False)
        return self._copy(source_fd, target_fd, offset, limit_bytes)

    def _copy(self, source_fd: int, target_fd: int, offset: int, limit_bytes: int) -> int:
        if not self.carry:
            self.carry = read_now(source_fd, limit_bytes)
        written = os.pwrite(target_fd, self.carry[:limit_bytes], offset) if self.carry else 0
        self.carry = self.carry[written:]
        return written


def read_now(fd: int, limit_bytes: int) -> bytes:
    """Return what a pipe or a terminal holds; nothing at the end of its stream.

    Raises:
        BlockingIOError: If nothing is there now.
    """
    try:
        return os.read(fd, limit_bytes)
    except OSError as error:
        if error.errno == errno.EIO:  # a pseudo-terminal whose other side is closed
            return b""
        raise


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it at the end of a file, or nothing: a short write says that the disk is full.

    Raises:
        OSError: If it could not be written; nothing of it is left then.
    """
    try:
        written = os.pwrite(fd, data, offset)
    except OSError:
        with suppress(OSError):  # a disk that is read-only now has taken nothing
            os.ftruncate(fd, offset)
        raise
    if written < len(data):
        os.ftruncate(fd, offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
