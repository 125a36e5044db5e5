"""The record log of one run: every record that its nodes and its controller reported, in one order.

A directory of segment files (segment.py), each a head and then entries (entry.py).  An entry is what
the feed carries: an `EntryHead` frame, a `Batch` frame, the bytes of its output.  Records are numbered
from 1 over the whole run; a segment is named by the number of its first record.

One process writes; its main thread calls everything, but `Mark.sync`, which a helper thread calls
(see commit.py).  The order that keeps the promise "acknowledged is stored for good"::

    log.append(...)            main thread; readers see the entry at once
    mark = log.mark()          main thread
    mark.sync()                helper thread: 7 ms, meanwhile the main thread goes on appending
    log.settle(mark)           main thread; records below `mark.number` may be acknowledged
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fabric.errors import StoreError
from fabric.private import make_private
from fabric.protocol.codec import encode
from fabric.protocol.limits import MAX_FRAME_BYTES
from fabric.protocol.messages import EntryHead
from fabric.store.entry import HEADER, Entry, seal
from fabric.store.files import store_error, sync_directory, told
from fabric.store.recovery import Cut, Recovered, recover
from fabric.store.segment import SEGMENT_BYTES, Segment, SegmentHead, Source
from fabric.store.spare import Spare

MAX_INDEXED: Final = 64
"""Most segments whose index is kept in memory: 1 MiB.  Others are walked again when they are read (0.1 s)."""


@dataclass(frozen=True, slots=True)
class _Part:
    segment: Segment
    fd: int  # a duplicate, so that the log may close its own at any time
    end: int
    spare: Spare | None = None  # whose descriptor it is

    def close(self) -> None:
        if self.spare is None:
            os.close(self.fd)
        else:
            self.spare.give_back()


@dataclass(frozen=True, slots=True)
class Mark:
    """What has to reach the disk so that all records below ``number`` are durable."""

    number: int
    parts: tuple[_Part, ...]
    directories: tuple[Path, ...]

    def sync(self) -> int:
        """Write it to the disk; once only, from any thread.

        Returns:
            ``number``: all records below it are durable now.

        Raises:
            StoreError: If the disk refused; then nothing more may be acknowledged (see `RecordLog.settle`).
        """
        try:
            for part in self.parts:
                with told(part.segment.path):
                    os.fdatasync(part.fd)
            for directory in self.directories:
                with told(directory):
                    sync_directory(directory)
        finally:
            self.close()
        return self.number

    def close(self) -> None:
        """Let go of a mark that will not be synced.  Not to be called besides `sync`."""
        for part in self.parts:
            part.close()


class RecordLog:
    """A run's records on disk: append, read from a number, make durable.

    ``cut`` tells of a torn end that was cut away when the log was opened.
    """

    def __init__(self, directory: Path, found: Recovered, segment_bytes: int) -> None:
        self.directory = directory
        self.cut: Cut | None = found.cut
        self.next_number = found.next_number
        self.durable_number = found.next_number  # records below it are on the disk
        self.failure: StoreError | None = None  # of a sync: see `settle`
        self._segments = found.segments
        self._seed = found.seed
        self._cursors = found.cursors
        self._segment_bytes = segment_bytes
        self._unsynced_directories: set[Path] = set()

    @classmethod
    def open(cls, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> "RecordLog":
        """Open a run's log or begin one; what is found in it is durable when this returns.

        Reads the last segments only, so damage further ahead shows in `read` (or in `verify`).

        Raises:
            StoreError: If acknowledged records are damaged, naming file and offset, or a file is not usable.
        """
        with told(directory):
            missing = [path for path in (directory, *directory.parents) if not path.exists()]
            make_private(directory)
        log = cls(directory, recover(directory), segment_bytes)
        log._unsynced_directories.update(path.parent for path in missing)
        return log

    @staticmethod
    def delete(directory: Path) -> None:
        """Delete a run's log, which nobody has open.  One that is not there is deleted already.

        Raises:
            StoreError: If that cannot be done.
        """
        with told(directory):
            if not directory.exists():
                return
            for path in reversed(Segment.list_in(directory)):  # a rest is a shorter log, never one with a gap
                path.unlink()
            directory.rmdir()
            sync_directory(directory.parent)

    @staticmethod
    def size_of(directory: Path) -> int:
        """Return the bytes that a log takes on the disk without opening it; 0 if it is not there.

        Raises:
            StoreError: If that cannot be looked up.
        """
        with told(directory):
            try:
                return sum(path.stat().st_size for path in Segment.list_in(directory))
            except FileNotFoundError:  # there is none, or it is being deleted
                return 0

    @property
    def cursors(self) -> Mapping[Source, int]:
        """Number of the record that comes next from each (node, incarnation).  A live view."""
        return MappingProxyType(self._cursors)

    @property
    def tail_number(self) -> int:
        """Number of the last record; 0: there is none."""
        return self.next_number - 1

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(segment.end for segment in self._segments)

    @property
    def dirty(self) -> bool:
        """Whether anything was appended that is not known to be durable."""
        return self.durable_number < self.next_number

    def append(self, head: EntryHead, batch: bytes | memoryview, payload: bytes | memoryview) -> Entry:
        """Write an entry at the end, all or nothing.

        Returns:
            The entry: the frame of ``head``, and batch and payload as they were given.

        Raises:
            StoreError: If it is not the next entry or could not be written.  The log can be used again as
                soon as there is space; after a failed sync it has to be opened anew.
        """
        if self.failure:
            raise self.failure
        entry = Entry(head.number, head.count, encode(head), batch, payload)
        self._check(entry)
        try:
            segment = self._segment_for(entry)
            segment.append(seal(entry, self.durable_number, self._seed or 0), entry)
        except OSError as error:
            raise store_error(self.directory, error) from error
        self.next_number = entry.next_number
        self._cursors[head.node, head.incarnation] = head.first + head.count
        return entry

    def read(self, number: int, limit_bytes: int) -> list[Entry]:
        """Return entries from the one that contains record ``number`` on.

        Args:
            number: A record's number; what is below 1 means 1.
            limit_bytes: Most bytes of frames; one entry is returned even if it is larger.

        Raises:
            StoreError: If an entry is damaged, naming file and offset.
        """
        number = max(number, 1)
        found: list[Entry] = []
        while number < self.next_number:
            segment = self._segment_with(number)
            part = segment.read(number, limit_bytes, self._seed or 0, at_least_one=not found)
            found += part
            limit_bytes -= sum(entry.size_bytes for entry in part)
            if not part or part[-1].next_number < segment.next_number:
                break
            number = segment.next_number
        return found

    def verify(self) -> None:
        """Read everything and check it: takes as long as the disk does.

        Raises:
            StoreError: At the first damaged entry, naming file and offset.
        """
        number = 1
        while entries := self.read(number, 8 * MAX_FRAME_BYTES):
            number = entries[-1].next_number

    def mark(self, spare: Spare | None = None) -> Mark:
        """Take down what has to be synced for all that is appended by now.

        Args:
            spare: Lent to it if no descriptor is left and it needs one only: no name is new.

        Raises:
            StoreError: If there is no descriptor for it; later there may be one.
        """
        dirty = list(takewhile(lambda segment: segment.dirty, reversed(self._segments)))
        parts: list[_Part] = []
        try:
            for segment in dirty:
                parts.append(_Part(segment, os.dup(segment.fd), segment.end))  # noqa: PERF401 - may fail
        except OSError as error:
            for part in parts:
                part.close()
            if spare is not None and len(dirty) == 1 and not self._unsynced_directories:
                lent = spare.lend(dirty[0].fd)
                if lent is not None:
                    return Mark(self.next_number, (_Part(dirty[0], lent, dirty[0].end, spare),), ())
            raise store_error(self.directory, error) from error
        return Mark(self.next_number, tuple(parts), tuple(self._unsynced_directories))

    def settle(self, mark: Mark, failure: StoreError | None = None) -> None:
        """Take note that a mark was synced, or that it failed.

        After a failure the kernel may have dropped the bytes and will report success the next time.  So
        no later mark counts and nothing is appended any more, until the log is opened anew, which looks at
        what the disk really has.
        """
        self.failure = self.failure or failure
        if self.failure:
            return
        for part in mark.parts:
            part.segment.synced_end = max(part.segment.synced_end, part.end)
            if not part.segment.dirty and part.segment is not self._segments[-1]:
                part.segment.close()
        self._unsynced_directories.difference_update(mark.directories)
        self.durable_number = max(self.durable_number, mark.number)

    def sync(self) -> int:
        """Make all that is appended durable now, in this thread.

        Returns:
            The number below which all records are durable.

        Raises:
            StoreError: If the disk refused.
        """
        mark = self.mark()
        try:
            mark.sync()
        except StoreError as error:
            self.settle(mark, error)
            raise
        self.settle(mark)
        return self.durable_number

    def close(self) -> None:
        """Close the files.  What is not durable stays so.  Safe to call twice."""
        for segment in self._segments:
            segment.close()

    def _check(self, entry: Entry) -> None:
        if entry.number != self.next_number or entry.count < 1:
            raise StoreError(
                f"{self.directory}: expected the entry of record {self.next_number}, got {entry.number}"
            )
        if max(len(entry.batch), len(entry.payload)) > MAX_FRAME_BYTES:
            raise StoreError(f"{self.directory}: a frame of an entry is over {MAX_FRAME_BYTES} bytes")

    def _segment_for(self, entry: Entry) -> Segment:
        """Return the segment that takes the entry; begin one if none does."""
        if not self._segments:
            self._seed = int.from_bytes(os.urandom(4), "little")
            return self._begin_segment()
        last = self._segments[-1]
        full = last.end + HEADER.size + entry.size_bytes > self._segment_bytes
        if full and last.next_number > last.first:
            return self._begin_segment()
        if last.fd < 0:
            last.fd = os.open(last.path, os.O_RDWR | os.O_CLOEXEC)
        return last

    def _begin_segment(self) -> Segment:
        head = SegmentHead(self._seed or 0, self.next_number, self.durable_number, self._cursors)
        segment = Segment.create(self.directory, head)
        if self._segments and not self._segments[-1].dirty:
            self._segments[-1].close()
        self._drop_indices()
        self._segments.append(segment)
        self._unsynced_directories.add(self.directory)
        return segment

    def _segment_with(self, number: int) -> Segment:
        """Return the segment that holds a record; keep the number of indices in memory small."""
        low, high = 0, len(self._segments)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._segments[middle].first <= number else (low, middle)
        if self._segments[low].index is None:
            self._drop_indices()
        return self._segments[low]

    def _drop_indices(self) -> None:
        """Make room for one more index: a run that nobody reads makes one for each segment, too."""
        indexed = [segment for segment in self._segments[:-1] if segment.index]
        for segment in indexed[: max(0, len(indexed) - MAX_INDEXED + 1)]:
            segment.index = None
