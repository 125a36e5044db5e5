"""One end of the Unix socket: frames and descriptors, never blocking, nothing lost when the peer is slow."""

from __future__ import annotations

import os

from agents.launcher import bare, wire
from agents.launcher.bare import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MAX_FDS = 16
"""Most descriptors of one frame; a step has two."""

_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_READ_BYTES = 256 * 1024
_MAX_READS = 16
"""Reads in one turn, so that one talkative peer does not keep the loop from the rest."""


class Channel:
    """Sends and receives on a connected stream socket, which it owns and makes non-blocking.

    ``backlog_bytes`` is what waits for the peer to read; whoever feeds the channel bounds it.  ``is_open``
    turns False when the peer is gone; the descriptor stays until the owner closes it, so its number is not
    reused under a poller that still knows it.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reader = wire.Reader()
        self._fds: list[tuple[int, ...]] = []  # of each frame that has some, until it is complete
        self._queue: list[tuple[bytes, tuple[int, ...]]] = []
        self.backlog_bytes = 0
        self.is_open = True

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._sock.fileno()

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send now, or when the peer has read; the descriptors stay the caller's.

        Without a descriptor left to copy them to, the frame goes without: its receiver sees that.
        """
        if not self.is_open:
            return
        if not self._queue and self._went_at_once(message, fds):
            return
        # Copies of the descriptors: the caller may close its own before the peer has room.
        copies = _copies(fds)
        data = wire.encode(message, len(copies))
        self._queue.append((data, copies))
        self.backlog_bytes += len(data)
        self.flush()

    def _went_at_once(self, message: dict[str, Any], fds: tuple[int, ...]) -> bool:
        """Send as much as there is room for; False if there is none at all, or nobody to send to."""
        data = wire.encode(message, len(fds))
        try:
            sent = self._send(data, fds)
        except OSError:
            return False  # `flush` sees the same, and knows what it means
        if sent < len(data):
            self._queue.append((data[sent:], ()))
            self.backlog_bytes += len(data) - sent
        return True

    def flush(self) -> None:
        """Send what waits, as far as the peer has room."""
        while self._queue and self.is_open:
            data, fds = self._queue[0]
            try:
                sent = self._send(data, fds)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.is_open = False
                return
            # The descriptors go with the first byte, so never a second time with the rest.
            close_all(fds)
            self.backlog_bytes -= sent
            self._queue[0] = (data[sent:], ())
            if sent == len(data):
                self._queue.pop(0)

    def receive(self) -> list[tuple[dict[str, Any], tuple[int, ...]]]:
        """Return what has come, each frame with its descriptors.

        It is without any if one of the two processes may open no more files.

        Raises:
            wire.WireError: If it is no frame.
        """
        messages: list[tuple[dict[str, Any], tuple[int, ...]]] = []
        for _ in range(_MAX_READS):
            data = self._read()
            if not data:
                break
            messages += [(message, self._claim(count)) for message, count in self._reader.feed(data)]
        return messages

    def close(self) -> None:
        """Close the socket and every descriptor that did not reach its receiver."""
        self.is_open = False
        self._sock.close()
        for fds in self._fds:
            close_all(fds)
        self._fds.clear()
        for _, fds in self._queue:
            close_all(fds)
        self._queue.clear()
        self.backlog_bytes = 0

    def _send(self, data: bytes, fds: tuple[int, ...]) -> int:
        if not fds:
            return self._sock.send(data)
        return self._sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, bare.pack_fds(fds))])

    def _read(self) -> bytes:
        """Return some bytes, or none if nothing has come or the peer is gone."""
        room = socket.CMSG_SPACE(4 * MAX_FDS)
        try:
            data, extra, flags, _ = self._sock.recvmsg(_READ_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data, extra, flags = b"", [], 0
        came = [bare.unpack_fds(body) for level, kind, body in extra if (level, kind) == _RIGHTS]
        if came or flags & socket.MSG_CTRUNC:
            # The kernel ends a read behind the first bytes that bring descriptors: they are of one frame.
            self._fds.append(tuple(fd for fds in came for fd in fds))
        if not data:
            self.is_open = False
        return data

    def _claim(self, count: int) -> tuple[int, ...]:
        if not count:
            return ()
        # The kernel hands descriptors over with the first byte of their frame at the latest, in order.
        claimed = self._fds.pop(0) if self._fds else ()
        if len(claimed) == count:
            return claimed
        close_all(claimed)
        return ()


def _copies(fds: tuple[int, ...]) -> tuple[int, ...]:
    """Return copies of descriptors; none at all if there is none left for one of them."""
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))  # noqa: PERF401 - may fail
    except OSError:
        close_all(copies)
        return ()
    return tuple(copies)


def close_all(fds: Iterable[int]) -> None:
    """Close some descriptors."""
    for fd in fds:
        os.close(fd)
