"""Frames between the agent and its launcher: a length, a count of descriptors, and JSON.

Pure: bytes in, messages out.  The descriptors themselves travel beside the bytes (see `channel`).
"""

from __future__ import annotations

from agents.launcher import bare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 2
"""Of what agent and launcher say to each other; a launcher says its own in its first words.

An agent may be newer than its launcher: one that is restarted leads the launcher of its predecessor.  What is
added so that both sides can do without it changes nothing here.  2: a launcher tells for when a release is
planned, and whether it has begun to end everything.
"""

HEAD_BYTES = 5
"""Four bytes of length (big-endian, of the JSON alone), one byte that counts descriptors."""

MAX_FRAME_BYTES = 16 << 20
"""The largest argv and environment that Linux takes (ARG_MAX, 2 MiB), with every byte escaped."""


class WireError(Exception):
    """The other end sent what is no frame."""


def encode(message: dict[str, Any], fds: int = 0) -> bytes:
    """Return the frame of a message that brings ``fds`` descriptors."""
    body = bare.dumps(message).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return len(body).to_bytes(4, "big") + bytes((fds,)) + body


class Reader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], int]]:
        """Return the messages that are complete now, each with its number of descriptors.

        Raises:
            WireError: If the bytes are no frames; the reader is of no use after that.
        """
        self._buffer += data
        messages = []
        at = 0
        while len(self._buffer) - at >= HEAD_BYTES:
            size = int.from_bytes(self._buffer[at : at + 4], "big")
            if size > MAX_FRAME_BYTES:
                raise WireError(f"a frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}")
            start = at + HEAD_BYTES
            if len(self._buffer) - start < size:
                break
            messages.append((_decode(bytes(self._buffer[start : start + size])), self._buffer[at + 4]))
            at = start + size
        del self._buffer[:at]
        return messages


def _decode(body: bytes) -> dict[str, Any]:
    try:
        message = bare.loads(body.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"a frame is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise WireError(f"a frame is not a JSON object: {body[:40]!r}")
    return message
