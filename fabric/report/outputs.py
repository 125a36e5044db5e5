"""The out/ part of a bundle: each stream of each step in a file of its own, byte for byte."""

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fabric.errors import StoreError
from fabric.protocol.names import NODE, StepId
from fabric.protocol.records import Output, OutputDropped
from fabric.report.paths import stream_path
from fabric.report.unfit import UnfitRecord

if TYPE_CHECKING:
    from hashlib import _Hash

OPEN_FILES: Final = 128
"""Most files that are open at once: well below the usual limit of 1024 descriptors."""

HOLES_BYTES: Final = 256 << 20
"""Most bytes of the holes in the files of one node: they are hashed with the rest, half a second of a turn in
all.  A node can say that it dropped any amount."""

_ZEROS: Final = memoryview(bytes(1 << 20))


@dataclass(slots=True)
class _Stream:
    """How far one stream is written."""

    offset: int = 0  # of the next byte, as the node counts
    size: int = 0  # of the file
    exists: bool = False  # there is a file: a stream of which nothing came but a gap has none
    hole: int = 0  # bytes that were dropped on the node and are to be left out behind those
    ended: bool = False
    broken: bool = False  # something did not follow: nothing more of it is believed
    digest: "_Hash" = field(default_factory=hashlib.sha256)


class OutputFiles:
    """Appends chunks of output to their files, and hashes them on the way.

    What comes has to follow what was there: a gap or an overlap would make a file that nobody can trust.
    """

    def __init__(self, directory: Path, *, open_files: int = OPEN_FILES) -> None:
        """Write below ``directory``, the bundle's."""
        self._directory = directory
        self._streams: dict[str, _Stream] = {}
        self._open: OrderedDict[str, FileIO] = OrderedDict()  # the one used last stands last
        self._open_files = open_files
        self._holes: Counter[str] = Counter()  # bytes of each node's

    def write(self, node: str, step: StepId, record: Output, data: bytes | memoryview) -> None:
        """Append a chunk.

        Raises:
            UnfitRecord: If it does not follow the chunk before; the stream ends there.
            StoreError: If the node's name is no name.
            OSError: If it cannot be written.
        """
        path = output_path(node, step, record)
        stream = self._streams.get(path)
        if stream is None:
            stream = self._streams[path] = _Stream()
        if not self._follows(path, stream, record, len(data)):
            return
        file, stream.exists = self._file(path), True
        if data and stream.hole:
            self._leave_hole(node, file, stream)
        _write_all(file, data)
        stream.digest.update(data)
        stream.offset += len(data)
        stream.size += len(data)
        if not record.size:
            stream.ended = True
            self._open.pop(path).close()

    def skip(self, node: str, step: StepId, record: OutputDropped) -> None:
        """Take in that output was dropped on the node.

        What follows stands at its own offset in the file, behind a hole that takes no disk and is read as
        zeros.  At the end of a file there is none.  Where a node has dropped more than HOLES_BYTES, what
        follows stands at once behind what was before.

        Raises:
            UnfitRecord: If it does not follow the chunk before; the stream ends there.
            StoreError: If the node's name is no name.
        """
        path = output_path(node, step, record)
        stream = self._streams.setdefault(path, _Stream())
        if not self._follows(path, stream, record, record.size):
            return
        stream.offset += record.size
        stream.hole += record.size

    def _follows(self, path: str, stream: _Stream, record: Output | OutputDropped, size: int) -> bool:
        """Whether a record is to be written: of a stream of which one did not follow, none is any more.

        Raises:
            UnfitRecord: If this is that one.
        """
        if stream.broken:
            return False
        if stream.ended or record.offset != stream.offset or record.size != size:
            stream.broken = True
            if file := self._open.pop(path, None):
                file.close()
            raise UnfitRecord(path, _misfit(stream, record, size))
        return True

    def _leave_hole(self, node: str, file: FileIO, stream: _Stream) -> None:
        size, stream.hole = stream.hole, 0
        if self._holes[node] + size > HOLES_BYTES:
            return
        self._holes[node] += size
        stream.size += size
        file.truncate(stream.size)
        while size:
            part = min(size, len(_ZEROS))
            stream.digest.update(_ZEROS[:part])
            size -= part

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file in hex, by its path in the bundle."""
        return {path: stream.digest.hexdigest() for path, stream in self._streams.items() if stream.exists}

    def close(self) -> None:
        """Close all files.  What is written stays."""
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, path: str) -> FileIO:
        file = self._open.get(path)
        if file is None:
            if len(self._open) >= self._open_files:
                self._open.popitem(last=False)[1].close()
            target = self._directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            file = self._open[path] = FileIO(target, "a")
        self._open.move_to_end(path)
        return file


def output_path(node: str, step: StepId, record: Output | OutputDropped) -> str:
    """Return the path in the bundle.

    Raises:
        StoreError: If the node's name could lead out of the bundle.
    """
    if not NODE.fullmatch(node):
        raise StoreError(f"output of {step}: {node!r:.80} is not the name of a node")
    return stream_path(node, step, record.attempt, record.stream)


def _misfit(stream: _Stream, record: Output | OutputDropped, size: int) -> str:
    if record.size != size:
        return f"expected {record.size} bytes, got {size}"
    if stream.ended:
        return f"more output at {record.offset} after the end at {stream.offset}"
    return f"expected output from byte {stream.offset} on, got it from {record.offset} on"


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    """Write unbuffered, so that ``tail -f`` in the bundle shows what there is; a write may be short."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]
