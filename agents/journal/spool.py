"""The spool: the bytes of output that the records of a journal speak of, in files of their own."""

import heapq
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents.journal.ledger import StreamKey, StreamState
from agents.journal.limits import OPEN_FILES, Limits
from agents.journal.names import TAIL, parse_spool_name, spool_name
from agents.journal.packed import Span
from agents.journal.transfer import REFUSALS, JournalFull, Moved, Transfer, write_all
from fabric.errors import StoreError


@dataclass(slots=True, order=True)
class SpoolFile:
    """Bytes ``start`` to ``end`` of a stream.  Records speak of those below ``recorded``."""

    last_number: int  # of the last record that speaks of it
    path: Path
    key: StreamKey = field(compare=False)
    start: int = field(compare=False)
    end: int = field(compare=False)
    recorded: int = field(compare=False)
    write_fd: int | None = field(compare=False, default=None)


class SpoolStream:
    """One stream that is being written.

    Args:
        spool: The spool to which it belongs.
        key: Which stream it is.
        offset: Where it begins; above 0 if an earlier life of the agent has the bytes before.
    """

    def __init__(self, spool: "Spool", key: StreamKey, offset: int) -> None:
        self.key = key
        self.end = offset
        self.ended = False
        self.file: SpoolFile | None = None
        self._spool = spool
        self._transfer = Transfer()
        self._gap: tuple[int, int, str] | None = None

    def use(self, transfer: Transfer) -> None:
        """Have its bytes moved in another way, before the first of them."""
        self._transfer = transfer

    def flush(self) -> None:
        """Let the next `move` take what was kept back: it is the last one."""
        self._transfer.flush()

    def reserve(self) -> None:
        """Make the file for the next bytes, if the disk is not full."""
        try:
            self._spool.writable(self)
        except OSError as error:
            if error.errno not in REFUSALS:
                raise

    def move(self, pipe_fd: int, limit_bytes: int) -> Moved | JournalFull | None:
        """Move what the pipe holds into the spool.  One `Output` record has to be appended for it.

        Returns:
            What was moved (size 0: the pipe has ended); None if the pipe is empty; or that the disk is full.
        """
        if self.ended:
            return Moved(self.end, 0)
        try:
            file, fd = self._spool.writable(self)
            size = self._transfer.move(pipe_fd, fd, self.end - file.start, limit_bytes)
        except OSError as error:
            if error.errno in REFUSALS:
                return JournalFull("disk")
            raise
        if size is None:
            return None
        offset = self.end
        self.end = file.end = offset + size
        return Moved(offset, size)

    def discard(self, pipe_fd: int, why: str, limit_bytes: int) -> bytes | None:
        """Throw away what the pipe holds; the offsets count on.

        Returns:
            The bytes; none if the pipe has ended; None if it is empty.
        """
        data = self._transfer.discard(pipe_fd, limit_bytes)
        if data:
            self._spool.leave(self)
            begin = self.end if self._gap is None else self._gap[0]
            self.end += len(data)
            self._gap = (begin, self.end - begin, why)
        return data

    def take_gap(self) -> tuple[int, int, str] | None:
        """Return offset, size and reason of what was thrown away since the last time."""
        gap, self._gap = self._gap, None
        return gap

    def put(self, data: memoryview) -> Moved | JournalFull:
        """Write bytes into the spool, all or none.  One `FileChunk` record has to be appended for them."""
        try:
            file, fd = self._spool.writable(self)
            write_all(fd, data, self.end - file.start)
        except OSError as error:
            if error.errno in REFUSALS:
                return JournalFull("disk")
            raise
        offset = self.end
        self.end = file.end = offset + len(data)
        return Moved(offset, len(data))


class Spool:
    """All spool files of a journal."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._directory = directory
        self._limits = limits
        self._files: dict[StreamKey, list[SpoolFile]] = {}
        self._streams: dict[StreamKey, SpoolStream] = {}
        self._done: list[SpoolFile] = []  # a heap: closed, every byte recorded, by the last record
        self._reading: OrderedDict[Path, int] = OrderedDict()

    # --- writing ----------------------------------------------------------------------------------------

    def open(self, key: StreamKey, offset: int = 0) -> SpoolStream:
        """Begin a stream.  One that is open and has nothing yet is begun again: its go was void.

        Raises:
            ValueError: If it is open and has bytes.
        """
        stream = self._streams.get(key)
        if stream is not None:
            if stream.end != offset:
                raise ValueError(f"spool: {key} is open already")
            return stream
        self._drop_empty(key, offset)
        stream = self._streams[key] = SpoolStream(self, key, offset)
        if offset:
            stream.reserve()  # the file's name tells the next life where this part begins
        return stream

    def _drop_empty(self, key: StreamKey, offset: int) -> None:
        """Delete the file without a byte that an earlier life may have made for what comes next."""
        files = self._files.get(key, [])
        if files and files[-1].start == offset == files[-1].end:
            self._done = [file for file in self._done if file is not files[-1]]
            heapq.heapify(self._done)
            self._delete(files[-1])

    def writable(self, stream: SpoolStream) -> tuple[SpoolFile, int]:
        """Return the file that takes the next bytes of a stream, and its descriptor."""
        file = stream.file
        if file is not None and file.end - file.start >= self._limits.spool_file_bytes:
            self._close_file(stream)
            file = None
        if file is None:
            file = stream.file = self._create(stream.key, stream.end)
        assert file.write_fd is not None
        return file, file.write_fd

    def leave(self, stream: SpoolStream) -> None:
        """Close the file of a stream: what comes next does not follow on it."""
        self._close_file(stream)

    def record(self, number: int, span: Span) -> None:
        """A record speaks of bytes in the spool, or of the end of the stream.

        Raises:
            ValueError: If the bytes are not there.
        """
        if not span.size:
            self.end(span.key)
            return
        file = self._file(span)
        if file is None:
            raise ValueError(f"spool: does not hold {span}")
        file.last_number = number
        file.recorded = span.offset + span.size
        self._note_done(file)

    def _create(self, key: StreamKey, offset: int) -> SpoolFile:
        path = self._directory / spool_name(key, offset)
        # splice refuses O_APPEND; reading is for `read`.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        file = SpoolFile(0, path, key, offset, offset, offset, fd)
        self._files.setdefault(key, []).append(file)
        return file

    def end(self, key: StreamKey) -> None:
        """Nothing follows in a stream."""
        stream = self._streams.pop(key, None)
        if stream is not None:
            stream.ended = True
            self._close_file(stream)

    def _close_file(self, stream: SpoolStream) -> None:
        file, stream.file = stream.file, None
        if file is not None and file.write_fd is not None:
            os.close(file.write_fd)
            file.write_fd = None
            self._note_done(file)

    def _note_done(self, file: SpoolFile) -> None:
        if file.write_fd is None and file.recorded == file.end:
            heapq.heappush(self._done, file)

    # --- reading ----------------------------------------------------------------------------------------

    def read(self, spans: Iterable[Span]) -> bytes:
        """Return the bytes of some records, one after the other.

        Raises:
            StoreError: If they are not there any more.
        """
        parts = [self._pread(file, start, size) for file, start, size in self._ranges(spans)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def holds(self, span: Span) -> bool:
        """Whether the bytes of a record are there."""
        return not span.size or self._file(span) is not None

    def _ranges(self, spans: Iterable[Span]) -> list[tuple[SpoolFile, int, int]]:
        """Say what to read; records that follow each other in one file are read at once."""
        ranges: list[tuple[SpoolFile, int, int]] = []
        for span in spans:
            if not span.size:
                continue
            file = self._file(span)
            if file is None:
                raise StoreError(f"journal: the spool has lost {span}")
            if ranges and ranges[-1][0] is file and ranges[-1][1] + ranges[-1][2] == span.offset:
                _, start, size = ranges.pop()
                ranges.append((file, start, size + span.size))
            else:
                ranges.append((file, span.offset, span.size))
        return ranges

    def _pread(self, file: SpoolFile, start: int, size: int) -> bytes:
        data = os.pread(self._read_fd(file), size, start - file.start)
        if len(data) != size:
            raise StoreError(f"journal: {file.path} has lost bytes")
        return data

    def _read_fd(self, file: SpoolFile) -> int:
        if file.write_fd is not None:
            return file.write_fd
        fd = self._reading.pop(file.path, None)
        if fd is None:
            fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        self._reading[file.path] = fd  # the newest end of the dictionary
        if len(self._reading) > OPEN_FILES:
            os.close(self._reading.popitem(last=False)[1])
        return fd

    def _file(self, span: Span) -> SpoolFile | None:
        """Return the file that holds all of it."""
        files = self._files.get(span.key)
        if not files:
            return None
        file = files[-1]
        if span.offset < file.start:
            file = files[bisect_right(files, span.offset, key=lambda file: file.start) - 1]
        return file if file.start <= span.offset and span.offset + span.size <= file.end else None

    # --- deleting ---------------------------------------------------------------------------------------

    def release(self, number: int) -> None:
        """Delete the files in which everything is acknowledged.

        The file of a living stream is closed for that if it is worth it: many quiet streams would otherwise
        hold a file's size each, which no limit counts.
        """
        self._close_idle(number, self._limits.idle_spool_bytes)
        while self._done and self._done[0].last_number <= number:
            self._delete(self._done[0])
            heapq.heappop(self._done)

    def squeeze(self, number: int) -> bool:
        """Delete also what is not worth it, for the disk is full; say whether something was deleted."""
        self._close_idle(number, 1)
        before = len(self._done)
        with suppress(OSError):
            self.release(number)
        return len(self._done) < before

    def _close_idle(self, number: int, least_bytes: int) -> None:
        for stream in self._streams.values():
            file = stream.file
            if (
                file is not None
                and file.end - file.start >= least_bytes
                and file.recorded == file.end
                and file.last_number <= number
            ):
                self._close_file(stream)

    def _delete(self, file: SpoolFile) -> None:
        file.path.unlink()
        fd = self._reading.pop(file.path, None)
        if fd is not None:
            os.close(fd)
        files = self._files[file.key]
        files.remove(file)
        if not files:
            del self._files[file.key]

    def close(self) -> None:
        """Close what is open.  Nothing is deleted."""
        for stream in self._streams.values():
            self._close_file(stream)
        self._streams.clear()
        while self._reading:
            os.close(self._reading.popitem()[1])

    # --- after an earlier life ----------------------------------------------------------------------------

    def find(self) -> None:
        """Take up the files that an earlier life left, as if no record spoke of them."""
        for path in self._directory.iterdir():
            key, start = parse_spool_name(path.name) or (None, None)
            if key is None or start is None:
                continue
            end = start + path.stat().st_size
            self._files.setdefault(key, []).append(SpoolFile(0, path, key, start, end, start))
        for files in self._files.values():
            files.sort(key=lambda file: file.start)

    def settle(self, streams: dict[StreamKey, StreamState]) -> None:
        """Say how far the records reached that are deleted; `record` was told of those that are there."""
        self._done.clear()
        for key, files in self._files.items():
            reached = streams[key].end if key in streams else 0
            for file in files:
                file.recorded = max(file.recorded, min(file.end, reached))
                self._note_done(file)

    def adopt_tails(self, streams: dict[StreamKey, StreamState]) -> None:
        """Put what the launcher drained behind what this agent spooled: by renaming, so it happens once."""
        for path in sorted(self._directory.glob(f"*.{TAIL}")):
            name = parse_spool_name(path.name)
            if name is None or name[1] is not None:
                continue
            self._adopt(path, name[0], streams.get(name[0], StreamState(0)).end)

    def _adopt(self, path: Path, key: StreamKey, recorded: int) -> None:
        files = self._files.setdefault(key, [])
        start = max(files[-1].end, recorded) if files else recorded  # a gap may be the last that was recorded
        if files and files[-1].start == start:
            self._done = [file for file in self._done if file is not files[-1]]
            heapq.heapify(self._done)
            files.pop()  # it is empty, and replaced by the renaming
        target = path.rename(self._directory / spool_name(key, start))
        files.append(SpoolFile(0, target, key, start, start + target.stat().st_size, start))
        self._note_done(files[-1])

    def unrecorded(self) -> Iterator[tuple[StreamKey, int, int]]:
        """Yield stream, offset and size of the bytes of which no record speaks, in chunks, in order."""
        for key, files in self._files.items():
            for file in files:
                for offset in range(file.recorded, file.end, self._limits.chunk_bytes):
                    yield key, offset, min(self._limits.chunk_bytes, file.end - offset)
