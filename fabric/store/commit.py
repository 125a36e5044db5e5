"""Group commit: one thread that makes record logs durable while the main loop goes on.

It keeps its own time: all that is submitted while one sync runs is covered by the next.
"""

import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fabric.errors import StoreError
from fabric.store.record_log import Mark, RecordLog
from fabric.store.spare import Spare

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """How a sync ended.  Without ``error``, all records below ``number`` are durable."""

    token: T
    number: int
    error: StoreError | None


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    token: T
    log: RecordLog
    mark: Mark
    error: StoreError | None = None


class GroupCommit(Generic[T]):
    """Syncs logs in a thread of its own; `fileno` becomes readable when results wait in `collect`.

    Every method is for the one main thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[T, _Job[T]] = {}
        self._done: list[_Job[T]] = []
        self._closing = False
        self._spare = Spare()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._event

    def submit(self, token: T, log: RecordLog) -> None:
        """Ask for all that is in the log by now to be made durable; one at a time without a free descriptor.

        A request under the same token that still waits is replaced: the new one covers it.
        """
        job = _Job(token, log, log.mark(self._spare))
        with self._changed:
            replaced = self._waiting.get(token)  # it keeps its place, or busy logs would starve the others
            self._waiting[token] = job
            self._changed.notify()
        if replaced:
            replaced.mark.close()

    def collect(self) -> list[Committed[T]]:
        """Return what has ended since the last call, oldest first, after its log has taken note of it."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        with self._changed:
            done, self._done = self._done, []
        for job in done:
            job.log.settle(job.mark, job.error)
        return [Committed(job.token, job.mark.number, job.log.failure) for job in done]

    def close(self) -> list[Committed[T]]:
        """Finish what was submitted, end the thread, and return the last results.  Safe to call twice."""
        if self._closing:
            return []
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        last = self.collect()
        os.close(self._event)
        self._spare.close()
        return last

    def _work(self) -> None:
        while job := self._take():
            error = _sync(job.mark)
            with self._changed:
                self._done.append(_Job(job.token, job.log, job.mark, error))
            os.eventfd_write(self._event, 1)

    def _take(self) -> _Job[T] | None:
        """Wait for the oldest request; None once there is nothing left to do."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            return self._waiting.pop(next(iter(self._waiting)))


def _sync(mark: Mark) -> StoreError | None:
    try:
        mark.sync()
    except StoreError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a thread that dies would stop all acknowledgements silently
        return StoreError(f"the record log could not be made durable: {error!r}")
    return None
