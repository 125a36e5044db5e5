"""What ZeroMQ holds of connections and has not handed over: whole messages, and the parts of unfinished ones.

ZeroMQ bounds how many messages wait for each connection, and not how long one may become, nor how much all
connections have together.  But the kernel says how much has come over each, and what was handed over is known
here.  So who makes the broker hold too much can be found, when it holds too much.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from broker.limits import HELD_BYTES, SUBSCRIBED_BYTES

_CURVE_BYTES: Final = 33
"""What encryption adds to a frame: the command's name, nonce, code and flags."""

_SHORT_FRAME: Final = 255
_SHORT_HEAD, _LONG_HEAD = 2, 9
"""ZMTP's head of a frame of so many bytes, and of a longer one."""


class Holdings:
    """Counts what was handed over, by the descriptor of its connection."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}

    def begun(self, fd: int) -> None:
        """A connection has come, and nothing was handed over of it."""
        self._taken[fd] = 0

    def gone(self, fd: int) -> None:
        """A connection is over.  May be repeated."""
        self._taken.pop(fd, None)

    def took(self, fd: int, frames: Iterable[bytes | memoryview]) -> None:
        """A message was handed over, in these frames."""
        self._taken[fd] = self._taken.get(fd, 0) + sum(wire_bytes(len(frame)) for frame in frames)

    def excessive(self, came: Mapping[int, tuple[int, bool]]) -> list[int]:
        """Return the connections of which too much is held, the one with the most first.

        Args:
            came: By descriptor, how many bytes the kernel has handed over, and whether the peer only
                subscribes; then answers to heartbeats come besides, that are seen nowhere.
        """
        held = {fd: count - self._taken.get(fd, 0) for fd, (count, _) in came.items()}
        most = {fd: SUBSCRIBED_BYTES if subscribes else HELD_BYTES for fd, (_, subscribes) in came.items()}
        return sorted((fd for fd in held if held[fd] > most[fd]), key=lambda fd: -held[fd])


def wire_bytes(size: int) -> int:
    """Return how many bytes a frame of so many takes on the wire."""
    size += _CURVE_BYTES
    return size + (_SHORT_HEAD if size <= _SHORT_FRAME else _LONG_HEAD)
