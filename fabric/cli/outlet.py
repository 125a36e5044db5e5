"""Writes to stdout and stderr in a thread of its own: who reads slowly slows nothing but the reading.

Nothing is dropped: what waits is bounded because its owner stops reading when there is no room.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

ROOM_BYTES: Final = 4 << 20
"""With more waiting there is no room: a few replays, and a moment of the fastest terminal."""

PIECE_BYTES: Final = 64 * 1024
"""Of one write: a pipe holds so much."""

POLL_MS: Final = 200


class Stream(Protocol):
    """Says where it leads to, and how text is written there."""

    @property
    def encoding(self) -> str:
        """Of its text."""

    def fileno(self) -> int:
        """Return its descriptor."""


class Outlet:
    """The thread.  Nothing but `close` waits.

    Args:
        streams: stdout and stderr.
        wake: Called from the thread when there is room again.
    """

    def __init__(self, streams: tuple[Stream, Stream], wake: Callable[[], None]) -> None:
        self._streams = streams
        self._wake = wake
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._size = 0  # of what waits and of what is being written
        self._changed = threading.Condition()
        self._error: OSError | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="outlet", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether more is to be read."""
        return self._size < ROOM_BYTES

    @property
    def is_empty(self) -> bool:
        """Whether all of it was written."""
        return not self._size

    @property
    def is_gone(self) -> bool:
        """Whether nobody takes any more."""
        return self._error is not None

    def put(self, text: str, *, is_stderr: bool) -> None:
        """Write lines, the last without its newline."""
        stream = self._streams[is_stderr]
        data = f"{text}\n".encode(stream.encoding or "utf-8", "replace")
        with self._changed:
            if self._error is None:
                self._waiting.append((stream.fileno(), data))
                self._size += len(data)
                self._changed.notify()

    def close(self, patience_s: float | None = None) -> int:
        """Wait until all is written, or for so long; return how many bytes nobody has taken.

        Raises:
            OSError: If it could not be written, such as BrokenPipeError.
        """
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(patience_s)
        if self._error is not None:
            raise self._error
        return self._size

    # --- the thread -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while batch := self._take():
            for fd, data in batch:
                try:
                    self._write(fd, data)
                except OSError as error:
                    with self._changed:
                        self._error = error
                        self._waiting.clear()
                    self._wake()
                    return

    def _take(self) -> list[tuple[int, bytes]]:
        """Wait for something; return what waits, as few pieces; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            batch: list[tuple[int, bytes]] = []
            while self._waiting:
                fd = self._waiting[0][0]
                parts = []
                while self._waiting and self._waiting[0][0] == fd:
                    parts.append(self._waiting.popleft()[1])
                batch.append((fd, b"".join(parts)))
            return batch

    def _write(self, fd: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                count = os.write(fd, rest[:PIECE_BYTES])
            except BlockingIOError:  # somebody who has it, too, wants it never to block
                poller = select.poll()
                poller.register(fd, select.POLLOUT)
                poller.poll(POLL_MS)
                continue
            rest = rest[count:]
            with self._changed:
                had_room = self.has_room
                self._size -= count
                gets_room = self.has_room and not had_room
            if gets_room:
                self._wake()
