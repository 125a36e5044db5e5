"""Deletes runs that are not to be kept any more, one after the other, beside all else."""

import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from broker.home import Home
from broker.limits import RETIRE_EVERY_NS, SURVEY_NS, S
from broker.retention import Keep, Reads, Stored, Surplus, next_unread, surplus, why_ages_wait
from fabric.clock import wall_ns
from fabric.errors import StoreError
from fabric.log import get_logger
from fabric.store.record_log import RecordLog

log = get_logger()


class Retiring:
    """Looks at what is stored now and then, and has `erase` delete what is too much.

    Sizes are looked up in a thread: a disk that has to be asked for each of 10,000 runs takes its time.  For
    the main thread; `fileno` becomes readable when they are there.  ``now_ns`` is fabric time.
    """

    def __init__(self, home: Home, keep: Keep, reads: Reads, erase: Callable[[str, int], None]) -> None:
        """Take what is kept; ``erase`` takes a run and the time, and may leave it where it is."""
        self._home, self._keep, self._reads, self._erase = home, keep, reads, erase
        self._thread = ThreadPoolExecutor(1, "survey")
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._sizing: Future[Mapping[str, int]] | None = None
        self._sizes: dict[str, int] = {}  # of closed runs: they do not grow
        self._queue: deque[Surplus] = deque()
        self._begun: tuple[int, int] | None = None  # when, and the end of the newest run then
        self._doubt = ""
        self._survey_ns = 0
        self._retire_ns = 0

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._event

    @property
    def deadline_ns(self) -> int | None:
        """When `carry_on` has something to do."""
        if self._sizing is not None:
            return None
        return min(self._survey_ns, self._retire_ns) if self._queue else self._survey_ns

    def carry_on(self, now_ns: int) -> None:
        """Begin to look, or delete one run, if that is due."""
        if self._sizing is not None:
            return
        if self._queue and now_ns >= self._retire_ns:
            self._retire_ns = now_ns + RETIRE_EVERY_NS
            self._retire_one(now_ns)
        elif now_ns >= self._survey_ns:
            self._survey_ns = now_ns + SURVEY_NS
            self._begin()

    def surveyed(self, now_ns: int) -> None:
        """Take the sizes, and see what is too much."""
        os.eventfd_read(self._event)
        if self._sizing is None:
            return
        sizing, self._sizing = self._sizing, None
        try:
            sizes = sizing.result()
            ends = self._home.catalogue.run_ends()
            open_bytes = sum(
                self._home.logs.size(run) for run, closed_ns in ends.items() if closed_ns is None
            )
        except StoreError as error:
            log.warning("runs_not_surveyed", error=str(error))
            return
        closed = {run: closed_ns for run, closed_ns in ends.items() if closed_ns is not None}
        self._sizes = {run: sizes[run] for run in closed if run in sizes}
        stored = (Stored(run, closed[run], size) for run, size in self._sizes.items())
        keep = replace(self._keep, age_ns=None) if self._doubts(closed.values(), now_ns) else self._keep
        self._queue = deque(surplus(keep, stored, open_bytes, now_ns))

    def _doubts(self, ends: Collection[int], now_ns: int) -> bool:
        """Say whether ages cannot be believed now; once each time that this changes, say why."""
        age_ns = self._keep.age_ns
        self._begun = self._begun or (now_ns, max(ends, default=0))
        if age_ns is None or all(now_ns - end <= age_ns for end in ends):
            return False  # nobody has to know of a doubt that costs nothing
        doubt = why_ages_wait(self._begun[1], self._begun[0], wall_ns(), now_ns)
        if doubt and doubt != self._doubt:
            log.warning("retention_waits", why=doubt, hint="nothing is deleted for its age meanwhile")
        self._doubt = doubt
        return bool(doubt)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)
        os.close(self._event)

    def _begin(self) -> None:
        try:
            ends = self._home.catalogue.run_ends()
        except StoreError as error:
            log.warning("runs_not_surveyed", error=str(error))
            return
        wanted = (run for run, closed_ns in ends.items() if closed_ns is not None and run not in self._sizes)
        unknown = [self._home.state.records(run) for run in wanted]
        self._sizing = self._thread.submit(_sizes, unknown, dict(self._sizes))
        self._sizing.add_done_callback(lambda _: os.eventfd_write(self._event, 1))

    def _retire_one(self, now_ns: int) -> None:
        one = next_unread(self._queue, self._reads, now_ns)
        if one is None:
            self._queue.clear()  # the next look finds them again
            return
        self._queue.remove(one)
        age_h = round((now_ns - one.run.closed_ns) / (3600 * S), 1)
        log.info("run_retired", run=one.run.run, why=one.why, hours=age_h, bytes=one.run.size_bytes)
        self._erase(one.run.run, now_ns)


def _sizes(directories: Sequence[Path], known: dict[str, int]) -> Mapping[str, int]:
    return known | {directory.name: RecordLog.size_of(directory) for directory in directories}
