"""Segment files: the records of a journal, one frame each, after a checkpoint."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EINVAL, EOPNOTSUPP
from pathlib import Path
from typing import Final

from agents.journal.foreign import readable
from agents.journal.frames import HEAD, bodies, body_at, frame
from agents.journal.ledger import Checkpoint, Ledger
from agents.journal.limits import Limits
from agents.journal.transfer import REFUSALS, write_all
from fabric.errors import StoreError

BLOCK_BYTES: Final = 64 * 1024
"""Read at once when records are sent: some hundred records, and cheap if there is only one."""


@dataclass(slots=True)
class Segment:
    """One file.  ``start`` is where its records begin, ``size`` where they end, both in bytes."""

    path: Path
    first: int
    count: int
    start: int
    size: int

    @property
    def last(self) -> int:
        """Number of its last record; ``first - 1`` if it has none."""
        return self.first + self.count - 1


def read_segment(path: Path) -> tuple[Segment, Ledger | None, Iterator[tuple[int, bytes]]] | None:
    """Read a file that an earlier life left.

    Returns:
        The segment as yet without records, the ledger at its begin (None: in a form that is not known), and
        where each of its sound records ends with the record; None if its first frame is torn, so that it
        never had records.
    """
    data = path.read_bytes()
    head = body_at(data, 0)
    if head is None:
        return None
    start = HEAD.size + len(head)
    try:
        checkpoint = Checkpoint.decode(head)
    except StoreError:
        return Segment(path, int(path.stem), 0, start, start), None, bodies(data, start)
    return Segment(path, checkpoint.first, 0, start, start), checkpoint.ledger, bodies(data, start)


class Segments:
    """All segment files of a journal.  Only the newest is written, and it is never deleted.

    Args:
        directory: Where the files are.
        limits: How long a file is, and how much of the disk is kept for words.
        found: Files of an earlier life, in order; they are not written any more.
        last: Number of the last record of that life.
    """

    def __init__(self, directory: Path, limits: Limits, found: Sequence[Segment] = (), last: int = 0) -> None:
        self._directory = directory
        self._limit_bytes = limits.segment_bytes
        self._words_bytes = limits.words_bytes
        self._files = list(found)
        self._write_fd: int | None = None
        self._reserved = 0  # so far the disk is ours in the newest file
        self.last = last

    def append(self, body: bytes, ledger: Ledger) -> None:
        """Write one record behind the last one, with a single write.

        Args:
            body: The packed record.
            ledger: As it is before this record; a new file begins with it.

        Raises:
            OSError: If it could not be written; then nothing of it is left in the file.
        """
        data = frame(body)
        segment, fd = self._writable(ledger, len(data))
        try:
            write_all(fd, data, segment.size)
        except OSError:
            self._reserved = segment.size
            raise
        segment.size += len(data)
        segment.count += 1
        self.last += 1

    def make_room(self, ledger: Ledger) -> bool:
        """See to it that some more records can be written though the disk becomes full.

        Args:
            ledger: As it is now; a new file begins with it.

        Returns:
            Whether that is so.
        """
        try:
            self.reserve(ledger)
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            return False
        return True

    def reserve(self, ledger: Ledger) -> None:
        """Do the same, or raise.

        Raises:
            OSError: If the disk is full.
        """
        segment, fd = self._writable(ledger, self._words_bytes)
        if self._reserved - segment.size < self._words_bytes:
            self._reserve(fd, segment.size)

    def _reserve(self, fd: int, size: int) -> None:
        """Take disk behind the records, half as much again as is wanted, so that it is seldom done."""
        wanted = self._words_bytes * 3 // 2
        try:
            os.posix_fallocate(fd, size, wanted)
        except OSError as error:
            if error.errno not in (EOPNOTSUPP, EINVAL):
                raise  # else the file system cannot: then the disk may be full before a record is written
        self._reserved = size + wanted

    def _writable(self, ledger: Ledger, wanted: int) -> tuple[Segment, int]:
        """Return the file that takes the next records; a new one if the last one is long enough."""
        newest = self._files[-1] if self._files else None
        fd = self._write_fd
        if fd is None or newest is None:
            return self._next(ledger)
        if newest.size - newest.start < self._limit_bytes:
            return newest, fd
        try:
            return self._next(ledger)
        except OSError as error:
            if error.errno not in REFUSALS or self._reserved - newest.size < wanted:
                raise
            return newest, fd  # longer than it should be, but it has the room

    def _next(self, ledger: Ledger) -> tuple[Segment, int]:
        newest = self._files[-1] if self._files else None
        segment, fd = self._create(Checkpoint(self.last + 1, ledger))
        self._write_fd = fd
        if newest is not None and newest.first == segment.first:
            self._files.pop()  # an earlier life left it without records; it has just been replaced
        self._files.append(segment)
        return segment, fd

    def _create(self, checkpoint: Checkpoint) -> tuple[Segment, int]:
        path = self._directory / f"{checkpoint.first:020}.records"
        unfinished = path.with_suffix(".new")
        head = frame(checkpoint.encode())
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        before = self._reserved
        try:
            write_all(fd, head, 0)
            self._reserve(fd, len(head))
            # The last file gives its reserve back before there is a newer one: only the newest may be torn.
            self._close_written()
            unfinished.rename(path)
        except OSError:
            os.close(fd)
            unfinished.unlink(missing_ok=True)
            self._reserved = before
            raise
        return Segment(path, checkpoint.first, 0, len(head), len(head)), fd

    def release(self, number: int) -> None:
        """Delete the files in which everything is acknowledged, all but the newest."""
        while len(self._files) > 1 and self._files[0].last <= number:
            self._files[0].path.unlink()
            del self._files[0]

    def holding(self, number: int) -> Segment:
        """Return the file that holds a record.

        Raises:
            StoreError: If none does.
        """
        for segment in self._files:
            if segment.first <= number <= segment.last:
                return segment
        raise StoreError(f"journal: record {number} is not in {self._directory}")

    def close(self) -> None:
        """Close what is open.  Nothing is deleted."""
        with suppress(OSError):  # what is reserved stays behind the records, as after a death
            self._close_written()
        if self._write_fd is not None:
            os.close(self._write_fd)
            self._write_fd = None

    def _close_written(self) -> None:
        if self._write_fd is not None:
            os.ftruncate(self._write_fd, self._files[-1].size)
            os.close(self._write_fd)
            self._write_fd = None


class Reader:
    """Goes through the records of a journal in order.  Memory: one block, however far behind it is.

    Args:
        segments: That hold them.
        number: Of the first one.
        foreign_last: Up to this one some may be of another version; 0: none is.
    """

    def __init__(self, segments: Segments, number: int, foreign_last: int = 0) -> None:
        self._segments = segments
        self._foreign_last = foreign_last
        self._segment: Segment | None = None
        self._fd: int | None = None
        self._next: bytes | None = None
        self.seek(number)

    def seek(self, number: int) -> None:
        """Go to a record; it need not exist yet."""
        self.close()
        self.number = number

    def peek(self) -> bytes | None:
        """Return the next record, packed, and stay before it; None if it does not exist yet.

        Raises:
            StoreError: If it was there and cannot be read any more.
        """
        if self._next is None and self.number <= self._segments.last:
            if self._segment is None or self.number > self._segment.last:
                self._enter(self._segments.holding(self.number))
            self._next = self._body()
        return self._next

    def readable(self) -> bytes | None:
        """Return what is sent for the next record, packed, as `peek` does."""
        body = self.peek()
        return body if body is None or self.number > self._foreign_last else readable(self.number, body)

    def advance(self) -> None:
        """Go over the record that `peek` returned."""
        assert self._next is not None
        self._at += HEAD.size + len(self._next)
        self._next = None
        self.number += 1

    def close(self) -> None:
        """Close what is open; `peek` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._segment = self._next = None

    def _enter(self, segment: Segment) -> None:
        wanted = self.number
        self.seek(segment.first)
        self._segment = segment
        self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self._block, self._block_start, self._at = b"", segment.start, 0
        while self.number < wanted:
            self._next = self._body()
            self.advance()

    def _body(self) -> bytes:
        body = body_at(self._block, self._at)
        if body is None:
            self._read_block()
            body = body_at(self._block, 0)
        if body is None:
            raise StoreError(f"journal: record {self.number} cannot be read any more")
        return body

    def _read_block(self) -> None:
        assert self._fd is not None
        self._block_start += self._at
        self._at = 0
        self._block = os.pread(self._fd, BLOCK_BYTES, self._block_start)
        if len(self._block) >= HEAD.size:
            size = HEAD.size + HEAD.unpack_from(self._block)[0]
            if size > len(self._block):
                self._block = os.pread(self._fd, size, self._block_start)
