"""What a record log's directory still holds after any death of its writer.

An end that was being written when the machine died is torn: cut off, or full of holes, for the file
system writes pages in any order.  Nobody was promised those records, so they are cut away and their
sources send them again.  Damage to records that *were* acknowledged is another matter and must not be
cut away quietly.  Every entry says up to where the log was durable when it was written; so the first bad
spot is damage exactly if something intact behind it says that the spot was durable once.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgpack

from fabric.errors import StoreError
from fabric.store.entry import HEADER, MAGIC, Header, intact, parse_header
from fabric.store.files import Window, sync_directory, told
from fabric.store.segment import Segment, SegmentHead, Source, SparseIndex, read_head

_SCAN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """A torn end that was cut away."""

    path: Path
    offset: int
    lost_bytes: int


@dataclass(slots=True)
class Recovered:
    """A log as it was found.  All of it is durable."""

    segments: list[Segment]
    seed: int | None  # None: the log is empty
    next_number: int
    cursors: dict[Source, int]
    cut: Cut | None


def recover(directory: Path) -> Recovered:
    """Read the end of a log, and cut off what is torn.

    Raises:
        StoreError: If records that were acknowledged are damaged, or the files cannot be used.
    """
    with told(directory):
        paths = Segment.list_in(directory)
    if not paths:
        return Recovered([], None, 1, {}, None)
    if paths[0] != Segment.path_in(directory, 1):
        raise StoreError(
            f"{directory}: the first segment is missing", hint="restore it, or delete the run's directory"
        )
    start, head = _trusted_start(paths)
    seed = head.seed if head else None
    found = Recovered(_unread(paths[: start + 1]), seed, int(paths[start].stem), {}, None)
    if head:
        found.cursors.update(head.cursors)
    for position in range(start, len(paths)):
        with told(paths[position]):
            offset = _scan(paths[position], found)
        if offset is not None:
            _cut(paths[position:], offset, found)
            break
    return found


def _trusted_start(paths: list[Path]) -> tuple[int, SegmentHead | None]:
    """Return the last segment before which all was durable.  All others before it need no reading."""
    for position in range(len(paths) - 1, -1, -1):
        found = read_head(paths[position])
        if found and found[0].durable >= found[0].first == int(paths[position].stem):
            return position, found[0]
    return 0, None


def _unread(paths: list[Path]) -> list[Segment]:
    """Make the segments that lie before the first one to be read: each ends where the next begins."""
    firsts = [int(path.stem) for path in paths]
    with told(paths[0]):
        return [
            Segment(path, first, following, path.stat().st_size)
            for path, first, following in zip(paths, firsts, firsts[1:], strict=False)
        ]


def _scan(path: Path, found: Recovered) -> int | None:
    """Read one segment; add what is good in it.  Return the offset of the first bad spot, if there is one."""
    _settle(path)
    read = read_head(path)
    if read is None or read[0].first != found.next_number or read[0].seed != found.seed:
        return 0
    segment = Segment(path, found.next_number, found.next_number, read[1])
    segment.index = SparseIndex()
    size = path.stat().st_size
    with Window(path, _SCAN_BYTES) as window:
        for offset, header, raw in _entries(window, segment.end, found.next_number, found.seed):
            segment.index.note(header.number, offset)
            segment.end = segment.synced_end = offset + header.size
            segment.next_number = found.next_number = header.next_number
            source, number = _source(raw, header)
            found.cursors[source] = number
    found.segments.append(segment)
    return None if segment.end == size else segment.end


def _settle(path: Path) -> None:
    """Write the file to the disk and forget the cached pages, so that what is read next is what the disk has.

    A failed write-back leaves pages in the cache that look right and are nowhere else.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _entries(window: Window, offset: int, number: int, seed: int) -> Iterator[tuple[int, Header, memoryview]]:
    """Yield the intact entries that follow each other from ``offset`` on, the first with ``number``."""
    while header := parse_header(window.view(offset, HEADER.size)):
        raw = window.view(offset, header.size)
        if header.number != number or not intact(header, raw, seed):
            return
        yield offset, header, raw
        offset += header.size
        number = header.next_number


def _source(raw: memoryview, header: Header) -> tuple[Source, int]:
    """Return an entry's source and the number of the record that it sends next.

    The frame was checked when it came and its sum is right: the codec would take eight times as long,
    which counts where a restart reads 100,000 entries.
    """
    _, head = msgpack.unpackb(raw[HEADER.size : HEADER.size + header.head])
    return (head["node"], head["incarnation"]), head["first"] + head["count"]


def _cut(paths: list[Path], offset: int, found: Recovered) -> None:
    """Cut the log off at a bad spot in the first of ``paths``.

    Raises:
        StoreError: If the spot was durable once, so that it is damage and no torn end.
    """
    path = paths[0]
    with told(path):
        if _was_durable(paths, offset, found):
            raise StoreError(
                f"{path}: damaged at offset {offset}, where acknowledged records were",
                hint="check the disk; restore the file from a copy, or delete the run's directory",
            )
        lost = sum(part.stat().st_size for part in paths) - offset
        found.cut = Cut(path, offset, lost)
        for part in reversed(paths[1:] if offset else paths):  # a gap must never be seen, so from the end
            part.unlink()
        if offset:
            os.truncate(path, offset)
            _settle(path)
        sync_directory(path.parent)
    if not found.segments:
        found.seed = None


def _was_durable(paths: list[Path], offset: int, found: Recovered) -> bool:
    """Whether anything intact behind the bad spot says that the spot was durable."""
    if found.seed is None:
        return _was_used(paths)
    for part in paths:
        read = read_head(part)
        if read and read[0].seed == found.seed and read[0].durable > found.next_number:
            return True
        begin = offset if part == paths[0] else 0
        if any(header.durable > found.next_number for header in _strewn(part, begin, found.seed)):
            return True
    return False


def _was_used(paths: list[Path]) -> bool:
    """Whether a log whose first head is unreadable, so that no entry can be checked, ever held an entry."""
    with Window(paths[0]) as window:
        start = bytes(window.view(0, 1 << 12))
    return len(paths) > 1 or MAGIC in start


def _strewn(path: Path, offset: int, seed: int) -> Iterator[Header]:
    """Yield the headers of all intact entries behind ``offset``, whatever lies between them."""
    with Window(path, _SCAN_BYTES) as window:
        for position in _magics(path, offset + 1):
            header = parse_header(window.view(position, HEADER.size)) if position >= offset else None
            if header and intact(header, window.view(position, header.size), seed):
                yield header
                offset = position + header.size  # nothing inside an entry is one


def _magics(path: Path, offset: int) -> Iterator[int]:
    """Yield the offsets from ``offset`` on where an entry may begin."""
    with Window(path, _SCAN_BYTES) as window:
        while len(piece := bytes(window.view(offset, _SCAN_BYTES))) >= HEADER.size:
            position = piece.find(MAGIC)
            while position >= 0:
                yield offset + position
                position = piece.find(MAGIC, position + 1)
            offset += len(piece) - len(MAGIC) + 1
