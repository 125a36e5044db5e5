"""The read ends of the pipes of all steps, and their way into the journals.

A pipe is read when it has something, unless the journal or the disk is full: then it is left alone, its
program waits in ``write``, and `resume` takes it up again.  The output of a step that would rather lose some
(``output = "drop"``), and what is over a step's limit, is read all the same, and thrown away.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.journal import Journal, JournalFull, SpoolStream
from agents.journal.masked_transfer import MaskedTransfer
from agents.journal.masking import Mask
from fabric.protocol.messages import Step
from fabric.protocol.records import Notice, Stream

TURN_BYTES: Final = 1 << 20
"""Most that is taken from one pipe in one turn of the loop, so that the others get theirs."""

HEARD_BYTES: Final = 1 << 16
"""The same of a step whose lines are looked at: 30,000 short ones take 20 ms, to move them 0.1 ms."""

_WHY: Final = {"disk": "the disk of the node took nothing", "journal": "the journal of the node was full"}


@dataclass(slots=True)
class Pipe:
    """One stream of one step."""

    key: str
    stream: Stream
    fd: int
    journal: Journal
    spool: SpoolStream
    step: Step
    may_drop: bool
    kept_bytes: int = 0
    paused: bool = False
    dropping: str = ""  # why, until there is room again
    is_over: bool = False  # the step's limit; what follows is dropped to the end

    @property
    def waits(self) -> bool:
        """Whether it wants to be tried again when there may be room."""
        return self.paused or bool(self.dropping and not self.is_over)


class Pipes:
    """Moves output into journals.

    ``full`` has the journals that could not take output because the disk was full when it was last tried.

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
        self.full: set[Journal] = set()

    @property
    def has_paused(self) -> bool:
        """Whether a pipe waits for room."""
        return any(pipe.waits for pipe in self._pipes.values())

    def has(self, key: str) -> bool:
        """Whether a stream of the step is still read."""
        return any(pipe.key == key for pipe in self._pipes.values())

    def waiting(self, journal: Journal) -> list[str]:
        """Return the keys of the steps that wait in ``write`` for room in a journal."""
        found = (pipe.key for pipe in self._pipes.values() if pipe.paused and pipe.journal is journal)
        return list(dict.fromkeys(found))

    def open(
        self,
        key: str,
        step: Step,
        attempt: int,
        journal: Journal,
        fds: dict[Stream, int],
        *,
        mask: Mask | None = None,
        inherited: bool = False,
    ) -> None:
        """Take over the read ends of a step, behind what the journal has of its streams already.

        With a mask nothing of its secrets gets any further, also if an earlier life has read the begin of one
        and has died with it (``inherited``).
        """
        for stream, fd in fds.items():
            had = journal.stream_state(step.step, attempt, stream).end
            spool = journal.open_stream(step.step, attempt, stream, had)
            if mask is not None:
                spool.use(MaskedTransfer(mask, after_loss=inherited))
            self._pipes[fd] = Pipe(key, stream, fd, journal, spool, step, step.output == "drop", had)
            self._watch(fd, True)

    def readable(self, fd: int) -> None:
        """Move what the pipe holds, up to a turn's share."""
        pipe = self._pipes.get(fd)
        taken = 0
        while pipe is not None and taken < (HEARD_BYTES if self._is_heard(pipe.key) else TURN_BYTES):
            size = self._take(pipe)
            if size is None:
                return
            if size == 0:
                self._end(pipe)
                return
            taken += size

    def resume(self) -> None:
        """Try the pipes again that wait for room."""
        for pipe in list(self._pipes.values()):
            if pipe.paused:
                pipe.paused = False
                self._watch(pipe.fd, True)
            elif pipe.waits and pipe.journal.keeps_again:
                pipe.dropping = ""

    def drop(self, key: str) -> None:
        """Close the pipes of a step that was never released: they hold nothing."""
        for pipe in self._of(key):
            self._close(pipe)

    def let_go(self, key: str) -> None:
        """Read the pipes of a step from now on whether there is room or not."""
        for pipe in self._of(key):
            pipe.may_drop = True
        self.resume()

    def give_up(self, key: str) -> None:
        """End the streams of a step though somebody still holds its pipes."""
        for pipe in self._of(key):
            pipe.spool.flush()
            while self._take(pipe):
                pass
            if pipe.paused:  # what it holds is lost, which is said
                self._discard(pipe, "there was no room")
            pipe.journal.end_stream(pipe.spool, *self._now())
            self._end(pipe)

    def _take(self, pipe: Pipe) -> int | None:
        """Take a chunk.  Returns its size; 0 at the end of the stream; None if nothing can be had now."""
        if pipe.dropping:
            return self._discard(pipe, pipe.dropping)
        limit = pipe.step.output_limit_bytes
        left = None if limit is None else limit - pipe.kept_bytes
        if left is not None and left <= 0:
            return self._take_over_limit(pipe)
        is_heard = self._is_heard(pipe.key)
        most = HEARD_BYTES if is_heard and (left is None or left > HEARD_BYTES) else left
        moved = pipe.journal.capture(pipe.spool, pipe.fd, *self._now(), most)
        if isinstance(moved, JournalFull):
            return self._meet_full(pipe, moved)
        if moved is None:
            return None
        if moved.size:
            self.full.discard(pipe.journal)
            pipe.kept_bytes += moved.size
            if is_heard:  # seldom: so the bytes are read back from the spool
                self._heard(pipe.key, pipe.stream, pipe.journal.read_back(pipe.spool, moved))
        return moved.size

    def _take_over_limit(self, pipe: Pipe) -> int | None:
        """Throw away what is over the limit; say so with its first byte, for the record comes at the end."""
        limit = pipe.step.output_limit_bytes
        why = f"over the output limit of {limit} bytes"
        size = self._discard(pipe, why)
        if size:
            pipe.dropping, pipe.is_over = why, True
            t_ns, bound_ns = self._now()
            said = f"{pipe.step.step}: {pipe.stream} is {why}: what follows is dropped"
            pipe.journal.append(Notice(t_ns=t_ns, bound_ns=bound_ns, level="warning", message=said))
        return size

    def _discard(self, pipe: Pipe, why: str) -> int | None:
        """Throw away what a pipe holds, but let it be looked at; return as `_take` does."""
        is_heard = self._is_heard(pipe.key)
        most = HEARD_BYTES if is_heard else TURN_BYTES
        data = pipe.journal.discard(pipe.spool, pipe.fd, why, self._now(), most)
        if data and is_heard:
            self._heard(pipe.key, pipe.stream, data)
        return None if data is None else len(data)

    def _meet_full(self, pipe: Pipe, met: JournalFull) -> int | None:
        if met.reason == "disk":
            self.full.add(pipe.journal)
        if pipe.may_drop:
            pipe.dropping = _WHY[met.reason]
            return self._discard(pipe, pipe.dropping)
        pipe.paused = True
        self._watch(pipe.fd, False)
        return None

    def _of(self, key: str) -> list[Pipe]:
        return [pipe for pipe in self._pipes.values() if pipe.key == key]

    def _end(self, pipe: Pipe) -> None:
        self._close(pipe)
        self._ended(pipe.key, pipe.stream, pipe.spool.end)

    def _close(self, pipe: Pipe) -> None:
        if not pipe.paused:
            self._watch(pipe.fd, False)
        del self._pipes[pipe.fd]
        os.close(pipe.fd)
