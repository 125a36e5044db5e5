"""The main loop of every process of the fabric: one thread, one turn after another."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

import zmq

from fabric.clock import Clock

MAX_WAIT_MS: Final = 1000
"""A turn lasts no longer even if nothing is to be done: a wait without end can miss a wake-up for ever."""

_IN: Final = int(zmq.POLLIN)
_OUT: Final = int(zmq.POLLOUT)
_ERR: Final = int(zmq.POLLERR)
"""As plain numbers: a test with pyzmq's own takes 2 us, and there are some in each turn."""

Source = zmq.Socket[Any] | int
Callback = Callable[[int], None]
"""Takes the instant at which the wait was over, in nanoseconds of the loop's clock."""


class Loop:
    """Waits for sockets, descriptors, signals and a deadline, and calls who wants to know.

    A shell is written on it like this::

        loop = Loop(clock)
        loop.on_signals((signal.SIGTERM, signal.SIGINT), self._stop)
        loop.add(control, self._control_came)        # a ZeroMQ socket from fabric.transport
        loop.add(connection.fileno(), self._launcher_spoke)    # a plain descriptor
        while not self._done:
            now_ns = loop.turn(machine.deadline_ns)
            self._carry_out(machine.expire(now_ns))
        loop.close()

    What a callback has to know:

    - It gets the instant of the turn; the clock is read once for all of them.
    - It never waits.  It takes what has come, but only so much (``receive_now(socket, limit)``): what is left
      makes the next turn begin at once, after the others had theirs.  It need not drain a ZeroMQ socket to
      the end: the loop asks the sockets themselves and not their descriptors, which fire on the edge only.
    - A descriptor that has hung up or failed calls its reader (or, without one, its writer), which sees it on
      the next read.  It must then take it off, or every turn comes back to it.
    - It may add and take off sources, its own too.  It is not called after it was taken off, also not
      in the turn that is going on.
    - An exception ends the turn and comes out of `turn`; the other sources are seen in the next one.
    """

    def __init__(self, clock: Clock) -> None:
        """Make a loop whose deadlines and instants are of ``clock``."""
        self._clock = clock
        self._poller = zmq.Poller()
        self._readers: dict[Source, Callback] = {}
        self._writers: dict[Source, Callback] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signals: deque[int] = deque()
        self._on_signal: Callable[[int], None] | None = None
        self._on_turn: list[Callback] = []
        self._previous: dict[int, Any] = {}
        self._previous_wakeup = -1
        self.add(self._wake_read, self._woken)

    def add(self, source: Source, callback: Callback, *, write: bool = False) -> None:
        """Call back when ``source`` can be read, or written if ``write``.

        A source may have one callback for each; adding again replaces it.  Take a writer off when nothing is
        to be written, since most sources can be written most of the time.
        """
        (self._writers if write else self._readers)[source] = callback
        self._register(source)

    def remove(self, source: Source, *, write: bool = False) -> None:
        """Stop calling the reader (or writer) of ``source``.  Do it before closing that.  Safe to repeat."""
        (self._writers if write else self._readers).pop(source, None)
        self._register(source)

    def on_signals(self, signals: Iterable[int], callback: Callable[[int], None]) -> None:
        """Call back in a turn, once for each of these signals that came.  For the main thread only.

        None is lost, and none interrupts anything: the handler only notes it and ends the wait.
        """
        self._on_signal = callback
        if not self._previous:
            self._previous_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in signals:
            previous = signal.signal(number, self._note_signal)
            self._previous.setdefault(number, previous)

    def on_turn(self, callback: Callback) -> None:
        """Call back at the end of every turn: what is said there is said by a loop that really turns."""
        self._on_turn.append(callback)

    def wake(self) -> None:
        """End the wait of this turn or of the next one.  The one thing that other threads may call."""
        with suppress(BlockingIOError):  # the pipe is full of wake-ups
            os.write(self._wake_write, b"\0")

    def turn(self, deadline_ns: int | None) -> int:
        """Wait until something has come or the deadline has, and call back whom it concerns.

        Args:
            deadline_ns: When to go on in any case, on the loop's clock; None: whenever.  It may have passed.
                It is kept to the next millisecond, and never missed by being early.

        Returns:
            The instant at which the wait was over, in nanoseconds of the loop's clock.
        """
        events = self._poller.poll(self._patience_ms(deadline_ns))
        now_ns = self._clock.now_ns()
        due = [call for source, event in events for call in self._due(source, event)]
        for callbacks, source, callback in due:
            if callbacks.get(source) is callback:  # else an earlier one of this turn took it off
                callback(now_ns)
        while self._signals and self._on_signal is not None:
            self._on_signal(self._signals.popleft())
        for callback in self._on_turn:
            callback(now_ns)
        return now_ns

    def close(self) -> None:
        """Give the signals back and forget all sources, which are not closed.  Safe to repeat."""
        if self._previous:
            signal.set_wakeup_fd(self._previous_wakeup)
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
        for source in [*self._readers, *self._writers]:
            self.remove(source)
            self.remove(source, write=True)
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
        self._wake_read = self._wake_write = -1

    def _patience_ms(self, deadline_ns: int | None) -> int:
        if self._signals:
            return 0
        if deadline_ns is None:
            return MAX_WAIT_MS
        left_ns = deadline_ns - self._clock.now_ns()
        return max(
            0, min(MAX_WAIT_MS, -(-left_ns // 1_000_000))
        )  # rounded up: a millisecond early is too early

    def _due(self, source: Source, event: int) -> list[tuple[dict[Source, Callback], Source, Callback]]:
        reader, writer = self._readers.get(source), self._writers.get(source)
        failed = event & _ERR
        due = []
        if reader is not None and (event & _IN or failed):
            due.append((self._readers, source, reader))
        if writer is not None and (event & _OUT or (failed and reader is None)):
            due.append((self._writers, source, writer))
        return due

    def _register(self, source: Source) -> None:
        flags = _IN * (source in self._readers) | _OUT * (source in self._writers)
        if flags:
            self._poller.register(source, flags)
        elif source in self._poller:
            self._poller.unregister(source)

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _woken(self, _: int) -> None:
        with suppress(BlockingIOError):  # woken for nothing
            os.read(self._wake_read, 65536)
