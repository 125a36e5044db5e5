"""Frames of a segment file: a body with its length and its checksum, so that a torn end is seen."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from fabric.protocol.limits import MAX_FRAME_BYTES

HEAD: Final = struct.Struct("<II")  # length of the body in bytes, CRC-32 of the body

MAX_BODY_BYTES: Final = MAX_FRAME_BYTES - 4096
"""Largest record: a batch of it alone, with its head, is still below MAX_FRAME_BYTES."""


def frame(body: bytes) -> bytes:
    """Return the body as it stands in the file."""
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def body_at(data: bytes, start: int) -> bytes | None:
    """Return the body of the frame at ``start``, or None if no whole and sound frame stands there."""
    if start + HEAD.size > len(data):
        return None
    length, checksum = HEAD.unpack_from(data, start)
    body = data[start + HEAD.size : start + HEAD.size + length]
    # An empty body is no frame: a file system that lost power may leave zeros.
    if not 0 < length == len(body) or zlib.crc32(body) != checksum:
        return None
    return body


def bodies(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield where each frame ends and its body, up to the first that is not sound."""
    while (body := body_at(data, start)) is not None:
        start += HEAD.size + len(body)
        yield start, body
