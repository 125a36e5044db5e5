"""An entry of a run's record log, as it comes from the feed or from a replay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fabric.errors import DecodeError
from fabric.protocol.codec import decode_as
from fabric.protocol.messages import Batch, EntryHead
from fabric.protocol.records import Record, payload_size

ENTRY_FRAMES = 3
"""Head, batch, bytes of the output."""


@dataclass(frozen=True, slots=True)
class Read:
    """One record of a run, as a reader is given it."""

    number: int
    """Of the record in the run, from 1 on without a gap."""

    node: str
    """Its source; empty for the controller."""

    record: Record

    data: bytes | memoryview
    """The bytes of an `Output` or a `FileChunk`, else nothing.  A view lives as long as the message that
    it came in.  Nothing too if they were not asked for."""

    incarnation: int = 0
    """Which life of the source; its records are numbered from 1 in each."""

    @property
    def is_whole(self) -> bool:
        """Whether the bytes that the record brings are there."""
        return len(self.data) == payload_size(self.record)


@dataclass(frozen=True, slots=True)
class Entry:
    """Consecutive records of one source, with the bytes that they bring one after another."""

    run: str
    number: int
    node: str
    records: tuple[Record, ...]
    payload: bytes | memoryview
    incarnation: int = 0

    @property
    def end(self) -> int:
        """Number of the record that follows this entry."""
        return self.number + len(self.records)

    @property
    def cost_bytes(self) -> int:
        """About how much memory it takes."""
        return len(self.payload) + 256 * len(self.records)

    def reads(self, number: int) -> Iterator[Read]:
        """Yield its records from ``number`` on, each output with its own part of the bytes, if they came."""
        view = memoryview(self.payload)
        offset = 0
        for at, record in enumerate(self.records, self.number):
            size = payload_size(record)
            if at >= number:
                yield Read(at, self.node, record, view[offset : offset + size], self.incarnation)
            offset += size


def decode_entry(frames: Sequence[bytes | memoryview]) -> Entry:
    """Return the entry in the frames of a replay, or of the feed without its topic.

    Raises:
        DecodeError: If they are no entry, or if its parts do not fit together.
    """
    if len(frames) != ENTRY_FRAMES:
        raise DecodeError(f"entry: expected {ENTRY_FRAMES} frames, got {len(frames)}")
    head, batch, payload = decode_as(frames[0], EntryHead), decode_as(frames[1], Batch), frames[2]
    if head.number < 1 or head.count < 1:
        raise DecodeError(
            f"entry.number: expected 1 or more records from 1 on, got {head.count} from {head.number}"
        )
    if head.count != len(batch.records):
        raise DecodeError(f"entry.count: expected {len(batch.records)} as the batch has, got {head.count}")
    sizes = [payload_size(record) for record in batch.records]
    if any(size < 0 for size in sizes) or len(payload) not in (sum(sizes), 0):  # 0: as it was asked for
        raise DecodeError(f"entry: expected {sum(sizes)} bytes of output, got {len(payload)}")
    return Entry(batch.run, head.number, head.node, batch.records, payload, head.incarnation)
