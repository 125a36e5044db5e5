"""Writes to a terminal, a pipe or a file in a thread of its own, so that a slow reader never slows a run.

What waits is bounded.  Over the limit, output goes before events, the oldest first, and what went is
counted and told at its place: the bundle has all of it.
"""

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from fabric.report.frame import Footer, Painter

TERMINAL_BYTES: Final = 256 * 1024
"""Most text that waits for a terminal: about a second of a fast one, and far more than anyone reads."""

PIPE_BYTES: Final = 64 << 20
"""Most text that waits for a pipe or a file: its reader wants all of it, and may pause for a while."""

KEPT_FACTOR: Final = 4
"""Lines that matter (`keep`) go only when all that waits is over so many times the limit."""

TAKEN_BYTES: Final = 64 * 1024
"""Written at once: after Ctrl-C all that is still behind it can go."""

CHUNK_BYTES: Final = 4096
"""Of one write: a pipe that can be written at all takes so much (PIPE_BUF) without blocking."""

POLL_MS: Final = 200

PACE_S: Final = 0.02
"""Between two writes: a line each would cost as much as all the rest, and nobody sees the difference."""

ENDED_S: Final = 5.0
"""How long a terminal may take nothing when the run is over, before the rest is given up."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Whole lines, the last without its newline."""

    text: str
    lines: int
    keep: bool
    mark: int


@dataclass(slots=True)
class Gap:
    """Lines that were not shown, one after another."""

    lines: int = 0
    first: int = 0  # the marks of the first and the last one
    last: int = 0


class Backlog:
    """What waits to be written, in order, with gaps where something had to go."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._texts: deque[_Text] = deque()
        self._size = 0
        self._gap = Gap()  # before what waits
        self.not_shown = 0
        """Lines that went, in all."""

    def __bool__(self) -> bool:
        return bool(self._texts or self._gap.lines)

    def add(self, text: _Text) -> None:
        """Take a text in; what is over the limit goes."""
        self._texts.append(text)
        self._size += len(text.text)
        if self._size > self._limit:
            self._shrink()

    def take(self) -> tuple[Gap, list[_Text]]:
        """Return what went before what waits, and of that what is written at once."""
        gap, self._gap = self._gap, Gap()
        texts: list[_Text] = []
        taken = 0
        while self._texts and taken < TAKEN_BYTES:
            text = self._texts.popleft()
            taken += len(text.text)
            texts.append(text)
        self._size -= taken
        return gap, texts

    def cut(self) -> None:
        """Drop all that waits, but for what matters."""
        older = deque(self._texts)
        self._texts.clear()
        for text in older:
            if text.keep:
                self._texts.append(text)
            else:
                self._drop(text)

    def _shrink(self) -> None:
        """Drop the older half, so that this is not done for each text."""
        older = deque(self._texts)
        self._texts.clear()
        goal, kept_goal = self._limit // 2, self._limit * KEPT_FACTOR // 2
        while older:
            text = older.popleft()
            if self._size > (kept_goal if text.keep else goal):
                self._drop(text)
            else:
                self._texts.append(text)

    def _drop(self, text: _Text) -> None:
        self._size -= len(text.text)
        self.not_shown += text.lines
        self._gap.first = self._gap.first if self._gap.lines else text.mark
        self._gap.last = text.mark
        self._gap.lines += text.lines


class Printer:
    """The thread.  `put` and `show` never wait.

    Args:
        fd: Where to write; stays open.
        encoding: Of the text; characters that it lacks are replaced.
        tell: What to write in place of a gap.
    """

    def __init__(self, fd: int, *, encoding: str, tell: Callable[[Gap], str]) -> None:
        self._fd, self._is_terminal = _own_descriptor(fd)
        self._owns = self._fd != fd
        self._encoding = encoding
        self._tell = tell
        self._painter = Painter()
        self._changed = threading.Condition()
        self._backlog = Backlog(TERMINAL_BYTES if self._is_terminal else PIPE_BYTES)
        self._footer: Footer | None = None
        self._due = False  # something is to be written now
        self._ending = False
        self._broken = False  # nobody reads any more
        self._problem = ""
        self._busy = False
        self._given_up = False
        self._thread = threading.Thread(target=self._serve, name="printer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def not_shown(self) -> int:
        """Lines that had to go, so far."""
        return self._backlog.not_shown

    @property
    def problem(self) -> str:
        """Why not all could be written, if it is not that nobody reads: "No space left on device"."""
        return self._problem

    @property
    def is_busy(self) -> bool:
        """Whether the reader still has to take what was given before."""
        return self._busy

    def put(self, text: str, *, keep: bool = False, mark: int = 0, wait: bool = False) -> None:
        """Write whole lines, soon.

        Args:
            text: Without the last newline.
            keep: It matters more than others.
            mark: A number by which a gap can say what is missing.
            wait: Together with the next `show`, and no sooner.
        """
        with self._changed:
            if self._broken:
                return
            self._backlog.add(_Text(text, text.count("\n") + 1, keep, mark))
            if not wait:
                self._wake()

    def show(self, footer: Footer | None) -> None:
        """Let this stand below everything that was and will be put; it replaces the one before."""
        with self._changed:
            self._footer = footer
            self._wake()

    def hurry(self) -> None:
        """Drop the output that still waits; the gap is told."""
        with self._changed:
            self._backlog.cut()

    def forget(self) -> None:
        """Someone else has written to the terminal: what stands there is not the footer."""
        self._painter.forget()

    def close(self) -> None:
        """Take the footer away and wait until all is written, or until nobody takes it.  Safe to repeat.

        A pipe's reader is waited for.  A terminal that stands still is given up after a moment.
        """
        with self._changed:
            self._footer = None
            self._ending = True
            self._wake()
        self._thread.join()
        if self._owns:
            with suppress(OSError):
                os.close(self._fd)
            self._owns = False

    def abandon(self) -> None:
        """Let `close` not wait for the reader any longer.  May be called by a signal's handler."""
        self._given_up = True

    def _wake(self) -> None:
        self._due = True
        self._changed.notify()

    # --- the thread -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        is_left = False  # something of what had come before
        while True:
            with self._changed:
                self._busy = False
                if not is_left:
                    self._changed.wait_for(lambda: self._ending, PACE_S)
                    self._changed.wait_for(lambda: self._due)
                gap, texts = self._backlog.take()
                self._due = is_left = bool(self._backlog)
                is_last, footer = self._ending and not is_left, self._footer
                self._busy = True
            lines = [self._tell(gap)] if gap.lines else []
            lines += [text.text for text in texts]
            if footer is not None and not self._is_foreground():
                footer = None
                self._painter.forget()
            if not self._write(self._painter.paint(lines, footer)):
                return
            if is_last:
                return

    def _is_foreground(self) -> bool:
        """Whether the terminal is ours: a job in the background must not draw over its user's shell."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not the terminal that controls us, so no shell is there
            return True

    def _write(self, text: str) -> bool:
        """Write all of it; False if nobody reads any more."""
        rest = memoryview(text.encode(self._encoding, "replace"))
        waited_s = 0.0
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while rest:
            try:
                if poller.poll(POLL_MS):
                    rest = rest[os.write(self._fd, rest[:CHUNK_BYTES]) :]
                    waited_s = 0.0
                    continue
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    self._problem = os.strerror(error.errno)
                break  # or the pipe is closed, the terminal is gone
            waited_s += POLL_MS / 1000
            if self._given_up or (self._ending and self._is_terminal and waited_s > ENDED_S):
                break
        with self._changed:
            self._broken = bool(rest)
        return not rest


def _own_descriptor(fd: int) -> tuple[int, bool]:
    """Return a descriptor that never blocks, and whether it is a terminal.

    A terminal is opened anew for it: the flag on the one that we were given is everybody's.
    """
    if not os.isatty(fd):
        return fd, False
    try:
        return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), True
    except OSError:  # of another user, after su; or of another namespace
        return fd, True


def terminal_size(fd: int) -> os.terminal_size:
    """Return columns and lines; what cannot be known is as on the oldest of terminals."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return os.terminal_size((80, 24))
    return os.terminal_size((size.columns or 80, size.lines or 24))
