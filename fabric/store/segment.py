"""One segment file of a record log: a head, then entries.

Its name is the number of its first record, twenty digits and ``.records``.  The head repeats what a
reader needs of the segments before it, so that a broker that starts again in the middle of a run of
100 GB reads the last segments only::

    magic     8   "fabreclg"
    version   4   1
    crc       4   CRC-32 of all that follows in the head
    seed      4   begins the CRC of every entry of this log; drawn when the log was made
    size      4   bytes of the cursors
    first     8   number of the segment's first record
    durable   8   records below this number were on the disk when the segment was begun
    cursors       msgpack [[node, incarnation, next record], ...] as of the records before this segment
"""

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import msgpack

from fabric.errors import StoreError
from fabric.store.entry import HEADER, Entry, Header, cut_up, intact, parse_header
from fabric.store.files import FILE_MODE, Window, told

SEGMENT_BYTES: Final = 64 << 20
"""A new segment is begun when one would outgrow this: 64 MiB are read in 0.1 s at a restart."""

INDEX_STRIDE_BYTES: Final = 64 * 1024
"""One index point per so many bytes: 16 KiB of memory for a segment, however small its entries."""

_SUFFIX: Final = ".records"
_VERSION: Final = 1
_FIXED: Final = struct.Struct("<8sIIIIQQ")
_MAGIC: Final = b"fabreclg"
_SEALED_FROM: Final = 16
_MAX_CURSORS_BYTES: Final = 16 << 20

Source = tuple[str, int]
"""Node ("" for the controller) and incarnation."""


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """What stands at the beginning of a segment file."""

    seed: int
    first: int
    durable: int
    cursors: dict[Source, int]

    def pack(self) -> bytes:
        """Return the bytes of the head."""
        cursors: bytes = msgpack.packb([[*source, number] for source, number in self.cursors.items()])
        sealed = struct.pack("<IIQQ", self.seed, len(cursors), self.first, self.durable) + cursors
        return _MAGIC + struct.pack("<II", _VERSION, crc32(sealed)) + sealed


def read_head(path: Path) -> tuple[SegmentHead, int] | None:
    """Return the head of a segment file and its size in bytes, or None if it is damaged.

    Raises:
        StoreError: If it was written by a newer testfabric, or cannot be read.
    """
    with told(path), Window(path) as window:
        raw = window.view(0, _FIXED.size)
        if len(raw) < _FIXED.size:
            return None
        magic, version, crc, seed, size, first, durable = _FIXED.unpack(raw)
        if magic != _MAGIC or size > _MAX_CURSORS_BYTES:
            return None
        if version > _VERSION:
            raise StoreError(
                f"{path}: written by a newer testfabric", hint="update testfabric on this machine"
            )
        sealed = window.view(_SEALED_FROM, _FIXED.size - _SEALED_FROM + size)
        if crc32(sealed) != crc:
            return None
        cursors = msgpack.unpackb(sealed[_FIXED.size - _SEALED_FROM :])
        head = SegmentHead(seed, first, durable, {(node, inc): number for node, inc, number in cursors})
        return head, _FIXED.size + size


class SparseIndex:
    """Where in a segment some of its entries begin."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._offsets = array("Q")

    def note(self, number: int, offset: int) -> None:
        """Remember an entry if the last remembered one is far enough before it."""
        if not self._offsets or offset - self._offsets[-1] >= INDEX_STRIDE_BYTES:
            self._numbers.append(number)
            self._offsets.append(offset)

    def floor(self, number: int) -> int:
        """Return the offset of the last remembered entry that does not begin behind ``number``."""
        return self._offsets[max(0, bisect_right(self._numbers, number) - 1)]

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return (len(self._numbers) + len(self._offsets)) * self._numbers.itemsize


class Segment:
    """A segment file as the log knows it: what is in it, what of that is durable, where entries are."""

    def __init__(self, path: Path, first: int, next_number: int, end: int) -> None:
        self.path = path
        self.first = first
        self.next_number = next_number
        self.end = end  # bytes that hold whole entries
        self.synced_end = end
        self.fd = -1  # open while it is written to or not yet durable
        self.index: SparseIndex | None = None

    @staticmethod
    def path_in(directory: Path, first: int) -> Path:
        """Return the path of the segment that begins with record ``first``."""
        return directory / f"{first:020d}{_SUFFIX}"

    @staticmethod
    def list_in(directory: Path) -> list[Path]:
        """Return the segment files in a directory, in order."""
        return sorted(
            path for path in directory.iterdir() if path.suffix == _SUFFIX and path.stem.isdecimal()
        )

    @classmethod
    def create(cls, directory: Path, head: SegmentHead) -> "Segment":
        """Begin a segment file; on an error nothing is left of it.

        Raises:
            OSError: If that cannot be done.
        """
        path = cls.path_in(directory, head.first)
        segment = cls(path, head.first, head.first, 0)
        segment.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        segment.index = SparseIndex()
        try:
            segment.write([head.pack()])
        except OSError:
            segment.close()
            path.unlink()
            raise
        return segment

    @property
    def dirty(self) -> bool:
        """Whether it holds anything that is not known to be durable."""
        return self.synced_end < self.end

    def write(self, parts: list[bytes | memoryview]) -> None:
        """Write parts behind each other at the end, all or nothing.

        Raises:
            OSError: If they could not be written; what was there before is untouched.
        """
        size = sum(map(len, parts))
        try:
            written = os.pwritev(self.fd, parts, self.end)
            while written < size:  # a full disk takes a part first and says so only when asked again
                rest = b"".join(parts)[written:]
                written += os.pwrite(self.fd, rest, self.end + written)
        except OSError:
            os.ftruncate(self.fd, self.end)
            raise
        self.end += size

    def append(self, header: bytes, entry: Entry) -> None:
        """Write an entry at the end, all or nothing.

        Raises:
            OSError: If it could not be written; what was there before is untouched.
        """
        offset = self.end
        self.write([header, entry.head, entry.batch, entry.payload])
        self.next_number = entry.next_number
        if self.index is not None:
            self.index.note(entry.number, offset)

    def read(self, number: int, limit_bytes: int, seed: int, *, at_least_one: bool) -> list[Entry]:
        """Return entries from the one with record ``number`` on, as many as the limit lets in.

        Raises:
            StoreError: If an entry is damaged.
        """
        found: list[Entry] = []
        with told(self.path), Window(self.path) as window:
            for offset, header in self._headers(window, self._index().floor(number)):
                if header.next_number <= number:
                    continue
                limit_bytes -= header.size - HEADER.size
                if limit_bytes < 0 and (found or not at_least_one):
                    break
                raw = window.view(offset, header.size)
                if not intact(header, raw, seed):
                    raise self.damaged(offset)
                found.append(cut_up(header, raw))
        if not found and at_least_one:  # a segment behind this one is missing
            raise self.damaged(self.end)
        return found

    def damaged(self, offset: int) -> StoreError:
        """Return the error that tells of damage at ``offset``."""
        return StoreError(
            f"{self.path}: the entry at offset {offset} is damaged",
            hint="records behind it cannot be read: check the disk, or restore the file from a copy",
        )

    def close(self) -> None:
        """Close the file.  What is not durable stays so.  Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _index(self) -> SparseIndex:
        if self.index is None:
            self.index = self._walked()
        return self.index

    def _walked(self) -> SparseIndex:
        head = read_head(self.path)
        if head is None:
            raise self.damaged(0)
        index = SparseIndex()
        with Window(self.path) as window:
            for offset, header in self._headers(window, head[1]):
                index.note(header.number, offset)
        return index

    def _headers(self, window: Window, offset: int) -> Iterator[tuple[int, Header]]:
        """Yield the entries' headers from ``offset``, which is the beginning of one, to the end."""
        expected: int | None = None
        while offset < self.end:
            header = parse_header(window.view(offset, HEADER.size))
            if header is None or expected not in (None, header.number) or offset + header.size > self.end:
                raise self.damaged(offset)
            yield offset, header
            expected = header.next_number
            offset += header.size
