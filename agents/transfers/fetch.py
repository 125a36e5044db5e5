"""One fetch: what its patterns mean, read a little at a time into the journal."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from agents.journal import Journal, JournalFull, SpoolStream
from agents.transfers.full_disk import FullDisk
from agents.transfers.limits import (
    AHEAD_BYTES,
    DISK_PATIENCE_S,
    ENDLESS_BYTES,
    FILE_COST_BYTES,
    MAX_FILES,
    READ_BYTES,
)
from agents.transfers.walk import Entered, Found, Missed, Sight, find
from fabric.protocol.numbers import MAX_COUNT, MAX_INSTANT_NS, clamped
from fabric.protocol.records import FileBegun, FileEnded, FileMissing

if TYPE_CHECKING:
    from hashlib import _Hash

Progress = Literal["more", "waits", "full", "done"]
"""more: it can go on at once.  waits: for something to come, or its deadline.  full: the disk is."""

Stamp = Callable[[], tuple[int, int]]
"""Returns fabric time and its bound."""

_LONG_CHARS: Final = 200

_DISK_NS: Final = round(DISK_PATIENCE_S * 1e9)


@dataclass(slots=True)
class _Reading:
    """The file that is being read."""

    number: int
    path: str
    fd: int
    size: int  # when it was opened
    is_made_up: bool  # by the kernel, as it is read: its size says nothing
    stream: SpoolStream
    offset: int = 0
    unwritten: memoryview = field(default_factory=lambda: memoryview(b""))
    digest: "_Hash" = field(default_factory=hashlib.sha256)


class Fetch:
    """Reads files into a journal.  Memory: one chunk, and the names of the files that it has had.

    Args:
        journal: Of the run.
        step: Id of the step.
        attempt: At it.
        scratch: The run's directory on this node; paths in it are reported without it.
        base: Where relative patterns begin.
        patterns: What is wanted.
        stamp: Tells the time for the records.
        first: Number of the first file, less one: those up to there are an earlier life's.
        why_not: Says why the file at a real path must not be read; "" if it may.  None: any may.
    """

    def __init__(
        self,
        journal: Journal,
        step: str,
        attempt: int,
        *,
        scratch: str,
        base: str,
        patterns: Sequence[str],
        stamp: Stamp,
        first: int = 0,
        why_not: Callable[[str], str] | None = None,
    ) -> None:
        self.files = 0
        self._first = first
        self.bytes = 0
        self.problems: list[str] = []  # the first ones
        self.full_disk: FullDisk | None = None
        self._journal = journal
        self._step, self._attempt = step, attempt
        self._stamp = stamp
        self._why_not = why_not
        self._scratch = scratch.rstrip("/") + "/"
        self._seen: set[str] = set()
        self._sights = self._look(base, patterns)
        self._reading: _Reading | None = None
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._full_ns: int | None = None  # since when the disk is full
        self._over = False

    @property
    def failed(self) -> bool:
        """Whether something could not be had that should have been there."""
        return bool(self.problems)

    @property
    def deadline_ns(self) -> int | None:
        """It waits for the sink only."""
        return None

    def message(self) -> str:
        """Say in a few words what came."""
        came = f"{self.files} file{'' if self.files == 1 else 's'}, {size_text(self.bytes)}"
        return f"{'; '.join(self.problems)} ({came} fetched)" if self.problems else f"fetched {came}"

    def work(self, limit_bytes: int, now_ns: int) -> Progress:
        """Read on, about so much.  ``now_ns`` is local."""
        while limit_bytes > 0 and not self._over:
            if self._journal.unacknowledged_bytes >= AHEAD_BYTES:
                return "waits"
            taken = self._step_on()
            if taken is None:
                return self._is_full(now_ns)
            self._full_ns = None
            limit_bytes -= taken
        return "done" if self._over else "more"

    def stop(self) -> None:
        """Leave it as it is."""
        if not self._over:
            self._give_up("was ended before it was done")

    # --- in the small -----------------------------------------------------------------------------------

    def _step_on(self) -> int | None:
        """Do the next thing; return what it costs in bytes, None if the disk is full."""
        if not self._journal.has_room():
            return None
        if self._reading is not None:
            return self._read(self._reading)
        self._take(next(self._sights, False))
        return FILE_COST_BYTES

    def _look(self, base: str, patterns: Sequence[str]) -> Iterator[Sight]:
        for pattern in patterns:
            matches = had = 0
            for sight in find(base, pattern):
                matches += sight is not None
                had += isinstance(sight, Found | Entered)
                yield sight
            if not matches:
                yield Missed(pattern, "nothing matches")
            elif not had:
                self._note_problem(f"nothing that {pattern} means could be had")

    def _take(self, sight: Sight | Literal[False]) -> None:
        match sight:
            case False:
                self._over = True
            case Found(path) if path not in self._seen:
                self._seen.add(path)
                if self.files >= MAX_FILES:
                    self._miss(path, f"more than {MAX_FILES} files")
                    self._give_up(f"wants more than {MAX_FILES} files: pack them into one")
                else:
                    self._open(path)
            case Missed(path, why, serious):
                self._miss(path, why)
                if serious:
                    self._note_problem(f"{_shortened(self._shown(path))}: {why}")
            case _:
                pass

    def _open(self, path: str) -> None:
        try:
            # A FIFO that has taken the file's place must not hold the agent up.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._miss(path, "it is gone")
            return
        except OSError as error:
            self._take(Missed(path, error.strerror or str(error)))
            return
        # Of what is open, not of what its name means by now.
        if self._why_not is not None and (
            why := self._why_not(os.fspath(Path(f"/proc/self/fd/{fd}").readlink()))
        ):
            os.close(fd)
            self._take(Missed(path, why))
            return
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            self._miss(path, "it is no regular file any more")
            return
        self.files += 1
        self._begin(path, fd, status)

    def _begin(self, path: str, fd: int, status: os.stat_result) -> None:
        t_ns, bound_ns = self._stamp()
        number = self._first + self.files
        self._journal.append(
            FileBegun(
                t_ns=t_ns,
                bound_ns=bound_ns,
                step=self._step,
                attempt=self._attempt,
                file=number,
                path=self._shown(path),
                size=clamped(status.st_size, MAX_COUNT),
                mode=stat.S_IMODE(status.st_mode),
                mtime_ns=clamped(status.st_mtime_ns, MAX_INSTANT_NS, -MAX_INSTANT_NS),
            )
        )
        stream = self._journal.open_file(self._step, self._attempt, number)
        size = 0 if _is_of_proc(status) else status.st_size
        made_up = size == 0 or status.st_blocks == 0
        self._reading = _Reading(number, path, fd, size, made_up, stream)

    def _read(self, reading: _Reading) -> int | None:
        """Read and store a chunk; return its size, None if the disk takes none."""
        if not reading.unwritten:
            limit = min(READ_BYTES, (reading.size or ENDLESS_BYTES) - reading.offset)
            try:
                size = os.readv(reading.fd, [self._buffer[:limit]]) if limit else 0
            except OSError as error:
                self._end(f"cannot be read: {error.strerror or error}")
                return 0
            if not size:
                self._end(self._ending(reading))
                return 0
            reading.unwritten = self._buffer[:size]
            reading.digest.update(reading.unwritten)
        moved = self._journal.put(reading.stream, reading.unwritten, *self._stamp())
        if isinstance(moved, JournalFull):
            return None
        reading.unwritten = memoryview(b"")
        reading.offset += moved.size
        self.bytes += moved.size
        return moved.size

    def _ending(self, reading: _Reading) -> str:
        """Say what is wrong with a file of which no more comes; "" if nothing is."""
        if reading.offset < reading.size and not reading.is_made_up:
            return f"became shorter while it was read: {reading.offset} of {reading.size} bytes came"
        if not reading.size and reading.offset == ENDLESS_BYTES and os.read(reading.fd, 1):
            return f"does not end: {size_text(ENDLESS_BYTES)} of it came"
        return ""

    def _end(self, problem: str) -> None:
        reading, self._reading = self._reading, None
        assert reading is not None
        os.close(reading.fd)
        t_ns, bound_ns = self._stamp()
        self._journal.append(
            FileEnded(
                t_ns=t_ns,
                bound_ns=bound_ns,
                step=self._step,
                attempt=self._attempt,
                file=reading.number,
                size=reading.offset,
                # What was hashed and not stored is no part of the file that came.
                sha256="" if reading.unwritten else reading.digest.hexdigest(),
                problem=problem,
            )
        )
        if problem:
            self._note_problem(f"{self._shown(reading.path)} {problem}")

    # --- trouble ----------------------------------------------------------------------------------------

    def _shown(self, path: str) -> str:
        """Return what a file is called: nobody knows the name of the scratch directory beforehand."""
        return shown(os.path.normpath(path).removeprefix(self._scratch))

    def _miss(self, path: str, why: str) -> None:
        t_ns, bound_ns = self._stamp()
        self._journal.append(
            FileMissing(
                t_ns=t_ns,
                bound_ns=bound_ns,
                step=self._step,
                attempt=self._attempt,
                path=self._shown(path),
                why=why,
            )
        )

    def _note_problem(self, words: str) -> None:
        most = 2
        if len(self.problems) < most:
            self.problems.append(words)
        elif len(self.problems) == most:
            self.problems.append("and more: see missing.txt")

    def _is_full(self, now_ns: int) -> Progress:
        if self._full_ns is None:
            self._full_ns = now_ns
        if now_ns - self._full_ns < _DISK_NS:
            return "full"
        what = self._shown(self._reading.path) if self._reading else "what is fetched"
        self.full_disk = FullDisk(str(self._journal.path.parents[2]), what)
        self._give_up("could not be stored: the disk of the node is full")
        return "done"

    def _give_up(self, why: str) -> None:
        self._over = True
        if self._reading is not None:
            self._end(why)
        else:
            self._note_problem(f"the fetch {why}")


def _is_of_proc(status: os.stat_result) -> bool:
    """Whether what a file says of its size means nothing: /proc/kcore has 128 TB."""
    return status.st_dev == Path("/proc").stat().st_dev


def _shortened(path: str) -> str:
    """Return what a sentence has room for; missing.txt has all of it."""
    return path if len(path) <= _LONG_CHARS else f"{path[: _LONG_CHARS // 2]} ... {path[-_LONG_CHARS // 2 :]}"


def shown(path: str) -> str:
    r"""Return a path as text that any peer takes: bytes that are no UTF-8 become ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def size_text(size: int) -> str:
    """Return a size for a person: ``1.2 GB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes" if size != 1 else "1 byte"
