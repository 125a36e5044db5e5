"""Opens record logs in a thread of its own: the last 64 MiB of an old log are read and checked for that."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fabric.errors import StoreError
from fabric.store.record_log import RecordLog


class Opener:
    """Opens and deletes logs beside the main loop.  For the main thread; `fileno` tells that one is open."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, "log-opener")
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._opening: dict[str, Future[RecordLog]] = {}

    def __contains__(self, run: str) -> bool:
        return run in self._opening

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._event

    def begin(self, run: str, directory: Path) -> None:
        """Open a log; once is enough."""
        if run not in self._opening:
            self._opening[run] = self._threads.submit(RecordLog.open, directory)
            self._opening[run].add_done_callback(lambda _: os.eventfd_write(self._event, 1))

    def is_done(self, run: str) -> bool:
        """Whether `take` would not wait."""
        return run in self._opening and self._opening[run].done()

    def done(self) -> list[str]:
        """Return the runs whose logs wait to be taken."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        return [run for run, opening in self._opening.items() if opening.done()]

    def take(self, run: str) -> RecordLog:
        """Give out a log; who cannot wait until it is done waits here.

        Raises:
            StoreError: If it cannot be read.
        """
        return self._opening.pop(run).result()

    def delete(self, directory: Path) -> "Future[None]":
        """Delete a log that nobody has open; a rest of it is deleted at the next start."""
        return self._threads.submit(RecordLog.delete, directory)

    def close(self) -> None:
        """Wait for what is under way, and close it."""
        self._threads.shutdown()
        for opening in self._opening.values():
            try:
                opening.result().close()
            except StoreError:  # nobody waits for it any more
                continue
        self._opening.clear()
        os.close(self._event)
