"""All puts and fetches of this node, each a little at a time."""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from agents.journal import FULL_PAUSE_S, Journal
from agents.transfers.fetch import Fetch, Progress, Stamp
from agents.transfers.limits import READ_BYTES, TURN_BYTES
from agents.transfers.put import Put, Stock
from fabric.protocol.messages import FilePart, FileRequest, Step

LIFE_FILES: Final = 1_000_000
"""In the journal of an earlier life the files that this one fetches have numbers of their own."""

_FULL_NS: Final = round(FULL_PAUSE_S * 1e9)


@dataclass(slots=True)
class _Job:
    work: Fetch | Put
    is_brought: bool = False
    progress: Progress = "more"


class Guard(Protocol):
    """Says why a real path must not be used by a run with this directory; "" if it may."""

    def why_not_read(self, path: str, scratch: Path) -> str:
        """Of a fetch."""

    def why_not_written(self, path: str, scratch: Path) -> str:
        """Of a put."""


class Transfers:
    """Does what the executors want of files, in turns of the agent's loop.

    Args:
        node: Name of this one.
        directory: For files that are not whole yet, below a name of its own; what an earlier life left there
            is deleted.
        send: Say something to the broker; False if that is not possible now.
        stamp: Returns fabric time and its bound.
        life: Incarnation of this agent.
        transferred: Called with key, whether it failed, and a few words, at the end of a put or a fetch; the
            last of its arguments says instead that a disk of this node was full, or is empty.
        brought: Called with the key when what a `Bring` wanted is in the journal, or a disk was full.
        guard: Knows what must not be read or written; None: nothing.
    """

    def __init__(
        self,
        node: str,
        directory: Path,
        *,
        send: Callable[[FileRequest], bool],
        stamp: Stamp,
        life: int,
        transferred: Callable[[str, bool, str, str], None],
        brought: Callable[[str, str], None],
        guard: Guard | None = None,
    ) -> None:
        self._node = node
        self._parts = directory / "parts"
        self._send = send
        self._stamp = stamp
        self._life = life
        self._transferred = transferred
        self._brought = brought
        self._guard = guard
        self._jobs: dict[str, _Job] = {}
        self._stocks: dict[str, Stock] = {}
        self._full_ns: int | None = None
        shutil.rmtree(self._parts, ignore_errors=True)

    def begin(self, key: str, step: Step, journal: Journal, scratch: Path) -> None:
        """Begin a put or a fetch; the attempt is the last part of the key."""
        if step.verb == "put":
            base = scratch / (step.dir or "")
            guard = None if self._guard is None else partial(self._guard.why_not_written, scratch=scratch)
            shared = scratch if _is_shared(scratch) else None
            put = Put(self._stock(journal.run), base, step.files, self._send, why_not=guard, shared=shared)
            self._jobs[key] = _Job(put)
        else:
            self._jobs[key] = _Job(self._fetch(key, step, step.paths, journal, scratch))

    def bring(self, key: str, step: Step, journal: Journal, scratch: Path) -> None:
        """Fetch what the metrics of a step are read from."""
        self._jobs[key] = _Job(self._fetch(key, step, step.bring, journal, scratch), is_brought=True)

    def stop(self, key: str) -> None:
        """Leave a transfer as it is, and say so."""
        job = self._jobs.get(key)
        if job is not None:
            job.work.stop()
            self._end(key, job)

    def forget(self, run: str) -> None:
        """Nothing more is done for a run; what is not whole of its files is deleted."""
        for key in [key for key in self._jobs if key.startswith(f"{run}|")]:
            self._jobs.pop(key).work.stop()
        if self._stocks.pop(run, None) is not None:
            shutil.rmtree(self._parts / run, ignore_errors=True)

    def take(self, message: FilePart, now_ns: int) -> None:
        """Take a part of a file that a put wants."""
        for key, job in self._jobs.items():
            if isinstance(job.work, Put) and key.startswith(f"{message.run}|"):
                job.work.take(message, now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `work` has something to do; 0: at once."""
        times = [job.work.deadline_ns for job in self._jobs.values()]
        times.append(self._full_ns)
        if any(job.progress == "more" for job in self._jobs.values()):
            times.append(0)
        return min((time for time in times if time is not None), default=None)

    def work(self, now_ns: int) -> None:
        """Give each its share of a turn."""
        if not self._jobs:
            return
        share = max(READ_BYTES, TURN_BYTES // len(self._jobs))
        self._full_ns = None
        before = self._closed
        for key, job in list(self._jobs.items()):
            job.progress = job.work.work(share, now_ns)
            if job.progress == "done":
                self._end(key, job)
            elif job.progress == "full":
                self._full_ns = now_ns + _FULL_NS
        if self._closed != before:
            for job in self._jobs.values():
                job.progress = "more"  # one may have waited for what another one got

    @property
    def _closed(self) -> int:
        return sum(stock.closed for stock in self._stocks.values())

    def close(self) -> None:
        """End all of them, for the agent ends."""
        for job in self._jobs.values():
            job.work.stop()
        self._jobs.clear()
        shutil.rmtree(self._parts, ignore_errors=True)

    def _fetch(
        self, key: str, step: Step, patterns: tuple[str, ...], journal: Journal, scratch: Path
    ) -> Fetch:
        return Fetch(
            journal,
            step.step,
            int(key.rpartition("|")[2]),
            scratch=str(scratch),
            base=str(scratch / (step.dir or "")),
            patterns=patterns,
            stamp=self._stamp,
            first=0 if journal.incarnation == self._life else self._life * LIFE_FILES,
            why_not=None if self._guard is None else partial(self._guard.why_not_read, scratch=scratch),
        )

    def _stock(self, run: str) -> Stock:
        stock = self._stocks.get(run)
        if stock is None:
            stock = self._stocks[run] = Stock(run, self._node, self._parts / run)
        return stock

    def _end(self, key: str, job: _Job) -> None:
        if self._jobs.pop(key, None) is None:
            return
        full = job.work.full_disk.sentence(self._node) if job.work.full_disk else ""
        if job.is_brought:
            self._brought(key, full)
        else:
            self._transferred(key, job.work.failed, job.work.message(), full)


def _is_shared(directory: Path) -> bool:
    """Say whether others than this process' user can write in a directory."""
    try:
        status = directory.stat()
    except OSError:
        return False  # whoever writes there will be told
    return status.st_uid != os.geteuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
