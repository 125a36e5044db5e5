"""One entry of the record log: a header, then the three frames of the feed as they are.

Header, 40 bytes, little-endian::

    magic    4   f7 "REC"
    crc      4   CRC-32 of all that follows in the entry, begun with the log's seed
    number   8   run number of the entry's first record
    durable  8   records below this number were known to be on the disk when the entry was written
    count    4   records in the entry, at least 1
    head     4   bytes of the EntryHead frame
    batch    4   bytes of the Batch frame
    payload  4   bytes of output

The seed keeps a program that prints somebody's log file from being taken for entries.  ``durable`` tells
a torn end, which nobody was promised, from damage to what was acknowledged (see recovery.py).
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple
from zlib import crc32

from fabric.protocol.limits import MAX_FRAME_BYTES

MAGIC: Final = b"\xf7REC"
HEADER: Final = struct.Struct("<4sIQQIIII")
_SEALED_FROM: Final = 8  # magic and crc themselves are not summed


@dataclass(frozen=True, slots=True)
class Entry:
    """The frames of one entry, and which records of the run are in it."""

    number: int
    count: int
    head: bytes
    batch: bytes | memoryview
    payload: bytes | memoryview

    @property
    def next_number(self) -> int:
        """Number of the first record behind this entry."""
        return self.number + self.count

    @property
    def size_bytes(self) -> int:
        """Bytes of the frames."""
        return len(self.head) + len(self.batch) + len(self.payload)


class Header(NamedTuple):
    """An entry's header.  Nothing in it is certain before `intact` has said so."""

    magic: bytes
    crc: int
    number: int
    durable: int
    records: int
    head: int
    batch: int
    payload: int

    @property
    def size(self) -> int:
        """Bytes of the whole entry."""
        return HEADER.size + self.head + self.batch + self.payload

    @property
    def next_number(self) -> int:
        """Number of the first record behind this entry."""
        return self.number + self.records


def seal(entry: Entry, durable: int, seed: int) -> bytes:
    """Return the header of an entry."""
    sizes = (len(entry.head), len(entry.batch), len(entry.payload))
    blank = HEADER.pack(MAGIC, 0, entry.number, durable, entry.count, *sizes)
    crc = crc32(blank[_SEALED_FROM:], seed)
    for part in (entry.head, entry.batch, entry.payload):
        crc = crc32(part, crc)
    return HEADER.pack(MAGIC, crc, entry.number, durable, entry.count, *sizes)


def parse_header(raw: memoryview) -> Header | None:
    """Return the header that these bytes can be, or None."""
    if len(raw) < HEADER.size:
        return None
    header = Header(*HEADER.unpack(raw[: HEADER.size]))
    largest = max(header.head, header.batch, header.payload)
    return header if header.magic == MAGIC and header.records and largest <= MAX_FRAME_BYTES else None


def intact(header: Header, raw: memoryview, seed: int) -> bool:
    """Whether ``raw`` is the whole entry of this header, unharmed."""
    return len(raw) == header.size and crc32(raw[_SEALED_FROM:], seed) == header.crc


def cut_up(header: Header, raw: memoryview) -> Entry:
    """Return the entry in ``raw``, copied out of it."""
    batch = HEADER.size + header.head
    payload = batch + header.batch
    return Entry(
        number=header.number,
        count=header.records,
        head=bytes(raw[HEADER.size : batch]),
        batch=bytes(raw[batch:payload]),
        payload=bytes(raw[payload:]),
    )
