"""The read ends of the pipes of all steps, and their way into the journals.

A pipe is read when it has something, unless the journal or the disk is full: then it is left alone, its
program waits in ``write``, and `resume` takes it up again.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.journal import Journal, JournalFull, SpoolStream
from fabric.protocol.records import Stream

TURN_BYTES: Final = 1 << 20
"""Most that is taken from one pipe in one turn of the loop, so that the others get theirs."""


@dataclass(slots=True)
class Pipe:
    """One stream of one step."""

    key: str
    stream: Stream
    fd: int
    journal: Journal
    spool: SpoolStream
    paused: bool = False


class Pipes:
    """Moves output into journals.

    Args:
        watch: Have a descriptor polled for reading, or no longer.
        now: Returns fabric time and its bound.
        ended: Called with key, stream and size when a stream was read to its end.
        is_heard: Returns whether `heard` wants the bytes of the step with this key, beside the journal.
        heard: Called with key, stream and bytes.
    """

    def __init__(
        self,
        watch: Callable[[int, bool], None],
        now: Callable[[], tuple[int, int]],
        ended: Callable[[str, Stream, int], None],
        is_heard: Callable[[str], bool],
        heard: Callable[[str, Stream, bytes], None],
    ) -> None:
        self._watch = watch
        self._now = now
        self._ended = ended
        self._is_heard = is_heard
        self._heard = heard
        self._pipes: dict[int, Pipe] = {}

    @property
    def has_paused(self) -> bool:
        """Whether a pipe waits for room."""
        return any(pipe.paused for pipe in self._pipes.values())

    def has(self, key: str) -> bool:
        """Whether a stream of the step is still read."""
        return any(pipe.key == key for pipe in self._pipes.values())

    def open(self, key: str, step: str, attempt: int, journal: Journal, fds: dict[Stream, int]) -> None:
        """Take over the read ends of a step."""
        for stream, fd in fds.items():
            spool = journal.open_stream(step, attempt, stream)
            self._pipes[fd] = Pipe(key, stream, fd, journal, spool)
            self._watch(fd, True)

    def readable(self, fd: int) -> None:
        """Move what the pipe holds, up to a turn's share."""
        pipe = self._pipes.get(fd)
        if pipe is None:
            return
        taken = 0
        while taken < TURN_BYTES:
            moved = pipe.journal.capture(pipe.spool, fd, *self._now())
            if moved is None:
                return
            if isinstance(moved, JournalFull):
                self._pause(pipe)
                return
            if moved.size == 0:
                self._close(pipe)
                self._ended(pipe.key, pipe.stream, pipe.spool.end)
                return
            taken += moved.size
            if self._is_heard(pipe.key):  # seldom: so the bytes are read back from the spool
                self._heard(pipe.key, pipe.stream, pipe.journal.read_back(pipe.spool, moved))

    def resume(self) -> None:
        """Try the pipes again that wait for room."""
        for pipe in list(self._pipes.values()):
            if pipe.paused:
                pipe.paused = False
                self._watch(pipe.fd, True)

    def drop(self, key: str) -> None:
        """Close the pipes of a step that was never released: they hold nothing."""
        for pipe in [pipe for pipe in self._pipes.values() if pipe.key == key]:
            self._close(pipe)

    def give_up(self, key: str) -> None:
        """End the streams of a step though somebody still holds its pipes."""
        for pipe in [pipe for pipe in self._pipes.values() if pipe.key == key]:
            while moved := pipe.journal.capture(pipe.spool, pipe.fd, *self._now()):
                if isinstance(moved, JournalFull) or moved.size == 0:
                    break
            pipe.journal.end_stream(pipe.spool, *self._now())
            self._close(pipe)
            self._ended(pipe.key, pipe.stream, pipe.spool.end)

    def _pause(self, pipe: Pipe) -> None:
        pipe.paused = True
        self._watch(pipe.fd, False)

    def _close(self, pipe: Pipe) -> None:
        if not pipe.paused:
            self._watch(pipe.fd, False)
        del self._pipes[pipe.fd]
        os.close(pipe.fd)
