"""The read ends of commands that show whether a step is ready: what they write is looked at and not kept."""

import os
from collections.abc import Callable
from typing import Final

from agents.journal.masking import Mask, Masker
from fabric.protocol.records import Stream

TURN_BYTES: Final = 1 << 16
"""Most that is read of one pipe in one turn of the loop."""


class ProbePipes:
    """Reads them to their end.

    Args:
        watch: Have a descriptor polled for reading, or no longer.
        heard: Called with key, stream and bytes.
        ended: Called with key, stream and size when a stream was read to its end.
    """

    def __init__(
        self,
        watch: Callable[[int, bool], None],
        heard: Callable[[str, Stream, bytes], None],
        ended: Callable[[str, Stream, int], None],
    ) -> None:
        self._watch = watch
        self._heard = heard
        self._ended = ended
        self._pipes: dict[int, tuple[str, Stream]] = {}
        self._maskers: dict[int, Masker] = {}

    def has(self, key: str) -> bool:
        """Whether a stream of the command is still read."""
        return any(name == key for name, _ in self._pipes.values())

    def open(self, key: str, fds: dict[Stream, int], mask: Mask | None = None) -> None:
        """Take over the read ends of a command; with a mask nothing of its secrets is heard."""
        for stream, fd in fds.items():
            os.set_blocking(fd, False)
            if mask is not None:
                self._maskers[fd] = Masker(mask)
            self._pipes[fd] = (key, stream)
            self._watch(fd, True)

    def readable(self, fd: int) -> bool:
        """Read what a pipe holds, up to a turn's share; False if it is none of these."""
        if fd not in self._pipes:
            return False
        key, stream = self._pipes[fd]
        try:
            data = os.read(fd, TURN_BYTES)
        except BlockingIOError:
            return True
        masker = self._maskers.get(fd)
        if masker is not None:
            certain = masker.feed(data) if data else masker.finish()
            if certain:
                self._heard(key, stream, certain)
        elif data:
            self._heard(key, stream, data)
        if not data:
            self._close(fd)
            self._ended(key, stream, 0)
        return True

    def give_up(self, key: str) -> None:
        """End the streams of a command though somebody still holds its pipes."""
        for fd, (name, stream) in list(self._pipes.items()):
            if name == key:
                self._close(fd)
                self._ended(key, stream, 0)

    def drop(self, key: str) -> None:
        """Close the pipes of a command that was never released."""
        for fd in [fd for fd, (name, _) in self._pipes.items() if name == key]:
            self._close(fd)

    def _close(self, fd: int) -> None:
        del self._pipes[fd]
        self._maskers.pop(fd, None)
        self._watch(fd, False)
        os.close(fd)
