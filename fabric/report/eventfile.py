"""events.jsonl: written as records come, so that it can be followed, and put in order at the end."""

import heapq
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

_BUFFER_BYTES: Final = 256 * 1024
"""Small records come by the thousand; `flush` shows them to a reader."""

_PLACES: Final = 8192
"""So many places are kept before they are written: 64 KiB."""

_PIECE_BYTES: Final = 16 << 20
"""Lines that are sorted in memory at once; larger files are merged from such pieces."""

_READ_BYTES: Final = 1 << 16
_HEAD_BYTES: Final = 12  # of a line in a piece: place and length

_Item = tuple[int, bytes]


class EventFile:
    """Lines, each with its place on the timeline.  Memory stays flat, whatever their number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=_BUFFER_BYTES)
        self._places = array("q")
        self._stored: IO[bytes] | None = None  # places that were written
        self._last_ns = 0
        self._is_ordered = True

    def write(self, line: bytes, place_ns: int) -> None:
        """Add a line, which has no newline."""
        self._file.write(line + b"\n")
        self._is_ordered = self._is_ordered and place_ns >= self._last_ns
        self._last_ns = place_ns
        self._places.append(place_ns)
        if len(self._places) >= _PLACES:
            if self._stored is None:
                self._stored = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115 - see `close`
            self._places.tofile(self._stored)
            self._places = array("q")

    def flush(self) -> None:
        """Show what was written to whoever reads the file now."""
        self._file.flush()

    def finish(self) -> None:
        """Put the lines in the order of their places, those of one place in the order in which they came."""
        if self._file.closed:
            return
        self._file.close()
        if not self._is_ordered:
            fresh = self._path.with_name(f".{self._path.name}.sorted")
            try:
                with fresh.open("wb", buffering=_BUFFER_BYTES) as target:
                    target.writelines(line for _, line in self._sorted())
                fresh.replace(self._path)
            finally:
                fresh.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the file as it is.  Safe to repeat."""
        with suppress(OSError):  # a full disk was told by `write`
            self._file.close()
        if self._stored is not None:
            self._stored.close()
            self._stored = None

    # --- sorting ----------------------------------------------------------------------------------------

    def _sorted(self) -> Iterator[_Item]:
        """Yield all lines in order.  Sorting is stable, and so is merging: earlier pieces come first."""
        with tempfile.TemporaryFile(dir=self._path.parent) as pieces:
            ends = [0]
            held: list[_Item] = []
            size = 0
            for item in self._items():
                held.append(item)
                size += len(item[1])
                if size >= _PIECE_BYTES:
                    ends.append(_spill(held, pieces))
                    held, size = [], 0
            pieces.flush()
            spilt = [_read(pieces.fileno(), *span) for span in pairwise(ends)]
            yield from heapq.merge(*spilt, sorted(held, key=_place), key=_place)

    def _items(self) -> Iterator[_Item]:
        with self._path.open("rb") as lines:
            yield from zip(self._all_places(), lines, strict=True)

    def _all_places(self) -> Iterator[int]:
        if self._stored is not None:
            self._stored.seek(0)
            while data := self._stored.read(_READ_BYTES):
                yield from array("q", data)
        yield from self._places


def _place(item: _Item) -> int:
    return item[0]


def _spill(held: list[_Item], pieces: IO[bytes]) -> int:
    """Write lines in their order; return where they end."""
    for place_ns, line in sorted(held, key=_place):
        pieces.write(place_ns.to_bytes(8, "big", signed=True) + len(line).to_bytes(4, "big") + line)
    return pieces.tell()


def _read(fd: int, begin: int, end: int) -> Iterator[_Item]:
    """Yield the lines of one piece of a file that others read, too."""
    data = b""
    while begin < end or data:
        need = _HEAD_BYTES if len(data) < _HEAD_BYTES else _HEAD_BYTES + int.from_bytes(data[8:12], "big")
        if len(data) < need:
            more = os.pread(fd, min(max(_READ_BYTES, need), end - begin), begin)
            begin += len(more)
            data += more
            continue
        yield int.from_bytes(data[:8], "big", signed=True), data[_HEAD_BYTES:need]
        data = data[need:]
