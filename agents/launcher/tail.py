"""Output that no agent will read from the pipe any more goes to a file, for the agent that comes one day."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agents.launcher.registry import Registry

LIMIT_BYTES = 64 << 20
"""Most that is taken from a stream while its program is being ended: it may print, but not for ever."""

_READ_BYTES = 256 * 1024
_READS = 16


class Tail:
    """Moves what is in a non-blocking pipe to the end of a file, which is made with the first byte.

    Without a path the bytes are thrown away.  What a full disk does not take is thrown away too, from the
    first such byte on; how much it was is in the name of an empty file, for which there mostly is room.
    """

    __slots__ = ("_bytes", "_file", "_lost_bytes", "_path", "fd")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self._path = path
        self._file = -1
        self._bytes = 0
        self._lost_bytes = 0

    def pump(self) -> bool:
        """Move some; say whether more can come now or later."""
        try:
            for _ in range(_READS):
                data = _read(self.fd)
                if not data:
                    return False
                self._bytes += len(data)
                self._write(data)
        except BlockingIOError:
            return True
        return self._bytes < LIMIT_BYTES

    def finish(self) -> None:
        """Move what is left when no writer is, and close the file."""
        while self._bytes < 2 * LIMIT_BYTES:
            before = self._bytes
            if not self.pump() or self._bytes == before:
                break
        self.close()

    def close(self) -> None:
        """Close the file; the pipe stays its owner's."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lost_bytes:
            _make(f"{self._path.removesuffix('.tail')}.lost{self._lost_bytes}")
            self._lost_bytes = 0

    def _write(self, data: bytes) -> None:
        if not self._path:
            return
        rest = memoryview(data)
        if self._lost_bytes:  # what follows a gap has no place in the file
            self._lost_bytes += len(rest)
            return
        try:
            if self._file < 0:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._lost_bytes += len(
                rest
            )  # disk full or directory gone: the program must be ended all the same


def _make(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:
        return


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _READ_BYTES)
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal that nobody holds any more
            return b""
        raise


class Tails:
    """The tails of all steps, while no agent is there to read."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tails: list[Tail] = []

    def start(self) -> None:
        """Begin to move output to files, so that programs can print while they are ended."""
        if self._tails:
            return
        for step in self._registry.steps.values():
            ends = (step.process.stdout, step.process.stderr)
            self._tails += [Tail(fd, path) for fd, path in zip(ends, step.tail_paths, strict=True)]
        for tail in self._tails:
            self._registry.watch(tail.fd, lambda tail=tail: self._pump(tail))  # type: ignore[misc]

    def stop(self) -> None:
        """Stop: an agent reads again, and what it gets follows on what is in the files."""
        for tail in self._tails:
            self._registry.watch(tail.fd, None)
            tail.close()
        self._tails.clear()

    def finish(self) -> None:
        """Move all that is left in the pipes; nobody writes to them any more."""
        self.start()
        for tail in self._tails:
            tail.finish()
        self.stop()

    def _pump(self, tail: Tail) -> None:
        if not tail.pump():
            self._registry.watch(tail.fd, None)
