"""The journal of one incarnation of an agent for one run: what it reports, until the sink has stored it.

It survives any death of the process: a record is in a file before it is sent, and output is in a file before
anything speaks of it.  A power cut may take any part of its end, which the sink may have: see `recover`.
"""

import os
from pathlib import Path
from typing import NamedTuple

from agents.journal import directory, spoken
from agents.journal.backlog import Backlog
from agents.journal.frames import MAX_BODY_BYTES
from agents.journal.ledger import OpenStep, StreamKey, StreamState
from agents.journal.limits import ROOM, Limits
from agents.journal.names import journal_directory, lost_tails, tail_prefix
from agents.journal.packed import Span, packed_span, size_bytes, span_of
from agents.journal.recovery import Recovered, recover
from agents.journal.segments import Reader, Segments
from agents.journal.spool import Spool, SpoolStream
from agents.journal.transfer import REFUSALS, JournalFull, Moved
from agents.journal.window import Window
from fabric.errors import DecodeError
from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.records import FileChunk, FileEnded, Output, Record, Stream


class Shipment(NamedTuple):
    """The two frames for the sink."""

    batch: bytes
    payload: bytes


class Journal:
    """Numbered records and the bytes of their output.

    One thread.  Every size is in bytes, every number is a record's, from 1.  Made by `create` or `recover`.
    """

    def __init__(self, root: Path, run: str, incarnation: int, limits: Limits, left: Recovered) -> None:
        self.run = run
        self.incarnation = incarnation
        self.path = journal_directory(root, run, incarnation)
        self.damage = left.damage
        """Empty, or a sentence on what a power cut has taken; never filled by the death of a process."""
        self._root = root
        self._limits = limits
        self._ledger = left.ledger
        self._spool = left.spool
        self._segments = Segments(self.path / directory.RECORDS, limits, left.segments, left.last)
        self._window = Window(
            limits.window_bytes,
            limits.window_records,
            acknowledged=left.acknowledged,
            appended=left.last,
            unacknowledged_bytes=left.unacknowledged_bytes,
        )
        self._reader = Reader(self._segments, left.acknowledged + 1, left.last if left.is_foreign else 0)
        self._acknowledged_fd = directory.open_acknowledged(self.path)
        self.backlog = Backlog(self._segments, self._ledger)

    @classmethod
    def create(cls, root: Path, run: str, incarnation: int, limits: Limits | None = None) -> "Journal":
        """Begin the journal of this life for a run.

        Args:
            root: The state directory of the agent.
            run: Id of the run.
            incarnation: Of the agent; it must not have had a journal for this run.
            limits: Other than the usual ones.

        Raises:
            StoreError: If there is such a journal already, or ``run`` is no run id.
            OSError: If the disk has no room for one; nothing is left of it.
        """
        limits = limits or Limits()
        path = journal_directory(root, run, incarnation)
        directory.create(path)
        left = Recovered(Spool(path / directory.SPOOL, limits))
        journal = cls(root, run, incarnation, limits, left)
        try:
            journal._segments.reserve(journal._ledger)
        except OSError:
            journal.remove()
            raise
        return journal

    @classmethod
    def recover(cls, root: Path, limits: Limits | None = None) -> "list[Journal]":
        """Return the journals that earlier lives left, the oldest first.

        A record that was not written whole is cut off.  Call `recover_tails` on each of this boot once its
        launcher is gone, or taken over: then it goes on, with each stream at the end of its `stream_state`.
        """
        limits = limits or Limits()
        return [
            cls(root, run, incarnation, limits, recover(path, limits))
            for run, incarnation, path in directory.leftovers(root)
        ]

    # --- writing ----------------------------------------------------------------------------------------

    def append(self, record: Record) -> int:
        """Take a record.  It is in the file when this returns, or waits in memory for a full disk.

        Returns:
            Its number.

        Raises:
            DecodeError: If it is too large for a peer.
            ValueError: If it speaks of output that is not in the spool.
            StoreError: If the disk takes nothing and too much waits already.
        """
        body = codec.encode_record(record)
        if len(body) > MAX_BODY_BYTES:
            raise DecodeError(f"{record.kind}: {len(body)} bytes are over the limit of {MAX_BODY_BYTES}")
        self.backlog.check(body)
        span = span_of(record) if isinstance(record, Output | FileChunk) else None
        if span:
            self._spool.record(self._window.appended + 1, span)
        elif isinstance(record, FileEnded):
            self._spool.end(StreamKey.of_file(record.step, record.attempt, record.file))
        number = self._window.append(size_bytes(body, span))
        self.backlog.add(body, record)
        self.backlog.write()
        return number

    def open_stream(self, step: str, attempt: int, stream: Stream, offset: int = 0) -> SpoolStream:
        """Begin to take the output of a step; ``offset`` if an earlier life has the bytes before it."""
        return self._spool.open(StreamKey(step, attempt, stream), offset)

    def capture(
        self, stream: SpoolStream, pipe_fd: int, t_ns: int, bound_ns: int, limit_bytes: int | None = None
    ) -> Moved | JournalFull | None:
        """Move what a pipe holds into the spool and append the `Output` record for it.

        Args:
            stream: From `open_stream`.
            pipe_fd: Read end of a pipe; a blocking one is not waited for.
            t_ns: Instant of the bytes, fabric time.
            bound_ns: Bound of that instant.
            limit_bytes: Most bytes to take, at most (and by default) a chunk.

        Returns:
            What was moved; size 0, now and ever after, at the end of the stream, whose mark is appended.
            None if the pipe is empty.  `JournalFull` if nothing can be taken now.
        """
        if stream.ended:
            return Moved(stream.end, 0)
        if self.is_full:
            return JournalFull("journal")
        if not self.has_room():
            return JournalFull("disk")
        self._note_gap(stream, t_ns, bound_ns)
        most = min(limit_bytes or self._limits.chunk_bytes, self._limits.chunk_bytes)
        moved = stream.move(pipe_fd, most)
        if isinstance(moved, JournalFull) and self._spool.squeeze(self.acknowledged):
            moved = stream.move(pipe_fd, most)
        if isinstance(moved, Moved):
            self._append_bytes(stream.key, moved.offset, moved.size, t_ns, bound_ns)
        return moved

    def read_back(self, stream: SpoolStream, moved: Moved) -> bytes:
        """Return what `capture` has just moved."""
        return self._spool.read([Span(stream.key, moved.offset, moved.size)])

    def discard(
        self, stream: SpoolStream, pipe_fd: int, why: str, stamp: tuple[int, int], limit_bytes: int
    ) -> bytes | None:
        """Throw away what a pipe holds.  ``stamp``, time and bound, and ``why`` are recorded.

        One `OutputDropped` record speaks of all in a row, as soon as bytes are kept again or the stream ends.
        Returns the bytes; none at the end, whose mark is appended; None if the pipe is empty.
        """
        data = b"" if stream.ended else stream.discard(pipe_fd, why, limit_bytes)
        if data == b"":
            self.end_stream(stream, *stamp)
        return data

    @property
    def keeps_again(self) -> bool:
        """Whether it is worth the while to keep output again after some was thrown away."""
        if self.unacknowledged_bytes > self._limits.journal_bytes * ROOM:
            return False
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize >= self._limits.room_bytes

    def end_stream(self, stream: SpoolStream, t_ns: int, bound_ns: int) -> None:
        """Append the mark of the end though the pipe goes on (somebody else still holds it)."""
        if not stream.ended:
            self._note_gap(stream, t_ns, bound_ns)
            self._append_bytes(stream.key, stream.end, 0, t_ns, bound_ns)

    def open_file(self, step: str, attempt: int, file: int) -> SpoolStream:
        """Begin to take the bytes of a file; its `FileBegun` is appended, a `FileEnded` will be."""
        return self._spool.open(StreamKey.of_file(step, attempt, file))

    def put(self, stream: SpoolStream, data: memoryview, t_ns: int, bound_ns: int) -> Moved | JournalFull:
        """Take the next bytes of a file, at most a chunk, and append the `FileChunk` record for them.

        Returns:
            What was taken, which is all of it; or `JournalFull`, and nothing was.
        """
        if not self.has_room():
            return JournalFull("disk")
        moved = stream.put(data)
        if isinstance(moved, JournalFull) and self._spool.squeeze(self.acknowledged):
            moved = stream.put(data)
        if isinstance(moved, Moved):
            self._append_bytes(stream.key, moved.offset, moved.size, t_ns, bound_ns)
        return moved

    def recover_tails(self, t_ns: int, bound_ns: int) -> int:
        """Append records for the bytes of the earlier life of which no record speaks.

        These are bytes that it had spooled when it died, and those that its launcher drained afterwards.

        Args:
            t_ns: Now, fabric time: when they came is not known.
            bound_ns: Bound of that instant; -1 if it says nothing about the bytes.

        Returns:
            How many bytes are there.
        """
        self._spool.adopt_tails(self._ledger.streams)
        found = list(self._spool.unrecorded())
        for key, offset, size in found:
            self._append_bytes(key, offset, size, t_ns, bound_ns)
        for key, size, mark in lost_tails(self.path / directory.SPOOL):
            end = self._ledger.streams.get(key, StreamState(0)).end
            self.append(spoken.dropped(key, end, size, spoken.LOST_TAIL, (t_ns, bound_ns)))
            mark.unlink()
        return sum(size for _, _, size in found)

    def open_steps(self) -> tuple[OpenStep, ...]:
        """Return the steps that have begun and not finished: after a recovery, those that are lost."""
        return self._ledger.open_steps()

    def stream_state(self, step: str, attempt: int, stream: Stream) -> StreamState:
        """Return how far the records of a stream have come: where the next life goes on with it."""
        return self._ledger.streams.get(StreamKey(step, attempt, stream), StreamState(0))

    def tail_prefixes(self, step: str, attempt: int) -> tuple[str, str]:
        """Return where the launcher puts what it drains of stdout and stderr when this agent is gone.

        It adds ``.tail``, or ``.lost`` and a number for what it could not put anywhere.
        """
        stdout, stderr = (tail_prefix(StreamKey(step, attempt, stream)) for stream in ("stdout", "stderr"))
        return str(self.path / directory.SPOOL / stdout), str(self.path / directory.SPOOL / stderr)

    def _append_bytes(self, key: StreamKey, offset: int, size: int, t_ns: int, bound_ns: int) -> None:
        self.append(spoken.kept(key, offset, size, t_ns, bound_ns))

    def _note_gap(self, stream: SpoolStream, t_ns: int, bound_ns: int) -> None:
        if (gap := stream.take_gap()) is not None:
            self.append(spoken.dropped(stream.key, *gap, (t_ns, bound_ns)))

    def has_room(self) -> bool:
        """Whether bytes may be taken: the disk has the record of them, even if they fill it.

        Bytes without a record could not be shipped, so they would hold the disk's last page for ever.
        """
        return self.backlog.write() and self._segments.make_room(self._ledger)

    # --- shipping ---------------------------------------------------------------------------------------

    def next_batch(self) -> Shipment | None:
        """Return the next records and the bytes of their output, and count them as sent.

        Returns:
            None if nothing is left to send, or the window is full.

        Raises:
            StoreError: If something was deleted or damaged behind the journal's back.  An OSError may pass.
        """
        self.backlog.write()
        first, gone = self._window.sent + 1, self.acknowledged
        packed: list[bytes] = []
        spans: list[Span] = []
        packed_bytes = payload_bytes = 0
        while len(packed) < self._limits.batch_records and (body := self._reader.readable()) is not None:
            span = packed_span(body)
            packed_bytes += len(body)
            payload_bytes += span.size if span else 0
            size = size_bytes(body, span)
            too_large = max(packed_bytes, payload_bytes) > self._limits.batch_bytes
            if (packed and too_large) or not self._window.fits(1, size):
                break
            packed.append(body)
            if span:
                spans.append(span)
            self._reader.advance()
            self._window.send(size)
        if not packed:
            return None
        head = Batch(run=self.run, incarnation=self.incarnation, first=first, gone=gone, records=())
        return Shipment(codec.encode_batch(head, packed), self._spool.read(spans))

    def acknowledge(self, number: int) -> None:
        """The sink has stored everything up to ``number``: free what that needs.

        Numbers from the past change nothing; of numbers that were never written, the last one counts.
        """
        number = min(number, self._segments.last)
        if number <= self._window.acknowledged:
            return
        self._pass_over(number)
        self._window.acknowledge(number)
        if self._reader.number != self._window.sent + 1:
            self._reader.seek(self._window.sent + 1)
        # In this order a death in between leaves nothing that looks unacknowledged or unrecorded.
        directory.write_acknowledged(self._acknowledged_fd, number)
        self._spool.release(number)
        self._segments.release(number)

    def rewind(self, number: int) -> None:
        """Send again from ``number`` on; ``acknowledged + 1`` after a new connection."""
        self._window.rewind(number)
        self._reader.seek(self._window.sent + 1)

    def _pass_over(self, number: int) -> None:
        """Learn the sizes of records that an earlier life sent."""
        while self._window.reached < number:
            body = self._reader.readable()
            assert body is not None
            self._window.send(size_bytes(body, packed_span(body)))
            self._reader.advance()
            self._window.acknowledge(self._window.sent)

    @property
    def appended(self) -> int:
        """Number of the last record."""
        return self._window.appended

    @property
    def acknowledged(self) -> int:
        """Number up to which the sink has stored everything."""
        return self._window.acknowledged

    @property
    def sent(self) -> int:
        """Number up to which everything was sent, since the last rewind."""
        return self._window.sent

    @property
    def is_shipped(self) -> bool:
        """Everything is acknowledged."""
        return self._window.is_shipped

    @property
    def unacknowledged_bytes(self) -> int:
        """Size of what the sink has not stored yet, records and output."""
        return self._window.unacknowledged_bytes

    @property
    def is_full(self) -> bool:
        """No output is taken until the sink has acknowledged more."""
        return self.unacknowledged_bytes >= self._limits.journal_bytes

    # --- the whole --------------------------------------------------------------------------------------

    def save_state(self, state: bytes, *, durable: bool = False) -> None:
        """Keep a few bytes for the next life, instead of those that were kept before.

        On a full disk only the first byte is replaced.  ``durable`` waits until it would outlive a power cut.

        Raises:
            OSError: If nothing was kept before, and the disk is full.
        """
        try:
            directory.save_state(self.path, state, durable=durable)
        except OSError as error:
            if error.errno not in REFUSALS or self.load_state() is None:
                raise
            directory.mark_state(self.path, state[0], durable=durable)

    def load_state(self) -> bytes | None:
        """Return what was kept, None if nothing was."""
        return directory.load_state(self.path)

    def close(self) -> None:
        """Close all files, and leave them for the next life."""
        if self._acknowledged_fd >= 0:
            os.close(self._acknowledged_fd)
        self._acknowledged_fd = -1
        self._reader.close()
        self._segments.close()
        self._spool.close()

    def remove(self) -> None:
        """Delete all of it, and the run's directory if nothing else is there."""
        self.close()
        directory.remove(self.path)

    def set_aside(self) -> Path:
        """Keep it where no life looks for it, because the broker does not know the run.  Returns where."""
        self.close()
        return directory.set_aside(self._root, self.path)
