"""Runs that left this node dirty, for their reset did not succeed: what they owe is kept until it is done.

dirty/RUN: a line of JSON, then the frame of the `Assign` that says what is to be reset
cleaned/RUN: empty; what that run owed is done, which the broker may not have heard
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.cleaning import UNREADABLE, Left
from agents.journal.durable import sync_directory
from agents.removal import remove_later, scratch_of
from fabric.errors import DecodeError
from fabric.log import get_logger
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import MAX_WHY_CHARS
from fabric.protocol.messages import Assign, DirtyRun
from fabric.protocol.names import RUN

log = get_logger()

CLEANED: Final = 16
"""So many runs whose resets were done again are remembered: a broker that lacks the word asks for one."""


class DirtyRuns:
    """The table, oldest first, in memory and on the disk.

    Args:
        state_dir: Of the agent.
        fabric_now: Returns fabric time and its bound.
    """

    def __init__(self, state_dir: Path, fabric_now: Callable[[], tuple[int, int]]) -> None:
        self._state_dir = state_dir
        self._directory = state_dir / "dirty"
        self._notes = state_dir / "cleaned"
        self._fabric_now = fabric_now
        self._left: dict[str, Left] = {}
        paths = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        for path in paths:
            if RUN.fullmatch(path.name):
                self._left[path.name] = _read(path)
        notes = self._notes.iterdir() if self._notes.is_dir() else ()
        found = sorted((path.stat().st_mtime_ns, path.name) for path in notes if RUN.fullmatch(path.name))
        self._cleaned = [run for _, run in found]

    @property
    def told(self) -> tuple[DirtyRun, ...]:
        """What the hello says."""
        return tuple(left.told for left in self._left.values())

    @property
    def cleaned(self) -> tuple[str, ...]:
        """What the hello says of resets that were done again here, or forgotten because a person said so."""
        return tuple(self._cleaned)

    @property
    def first(self) -> Left | None:
        """The oldest."""
        return next(iter(self._left.values()), None)

    def has(self, run: str) -> bool:
        """Whether a run has left this node dirty."""
        return run in self._left

    def why(self, run: str) -> str:
        """Why a run has left this node dirty; "" if it has not."""
        return self._left[run].told.why if run in self._left else ""

    def add(self, run: str, why: str, assign: Assign | None) -> bool:
        """Keep what a run owes, or why it still does; return whether a next life will know of it."""
        known = self._left.get(run)
        since_ns = known.told.since_ns if known is not None else self._fabric_now()[0]
        left = Left(DirtyRun(run=run, why=why[:MAX_WHY_CHARS], since_ns=since_ns), assign)
        if known == left:
            return (self._directory / run).exists()
        self._left[run] = left
        self._unnote(run)
        log.warning("node_dirty", run=run, why=why)
        try:
            _write(self._directory / run, left)
        except OSError as error:
            log.warning("dirty_not_kept", run=run, error=error.strerror)
            return False
        return True

    def add_unreadable(self, runs: Iterable[str]) -> None:
        """Take in runs of which it is only known that something is owed."""
        for run in runs:
            self.add(run, UNREADABLE, None)

    def forget(self, run: str) -> None:
        """It owes nothing any more; what its steps have left in its directory goes.

        One rename: whenever this dies, the next life knows that it is dirty, or that it was cleaned.
        """
        if self._left.pop(run, None) is None:
            return
        remove_later(self._state_dir, scratch_of(self._state_dir, run))
        try:
            self._notes.mkdir(mode=0o700, exist_ok=True)
            note = (self._directory / run).replace(self._notes / run)
            os.truncate(note, 0)  # secrets were in it
        except OSError as error:  # of a disk that takes nothing; or it never got there
            log.warning("clean_not_noted", run=run, error=error.strerror)
            with suppress(OSError):
                (self._directory / run).unlink(missing_ok=True)
        self._cleaned = [*(known for known in self._cleaned if known != run), run]
        for old in self._cleaned[:-CLEANED]:
            self._unnote(old)
        log.info("node_clean", run=run)

    def _unnote(self, run: str) -> None:
        if run in self._cleaned:
            self._cleaned.remove(run)
            (self._notes / run).unlink(missing_ok=True)


def _write(path: Path, left: Left) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f".{path.name}")  # no id of a run begins so
    head = json.dumps({"why": left.told.why, "since_ns": left.told.since_ns}).encode()
    new.touch(mode=0o600)  # secrets are in it
    with new.open("wb") as file:
        file.write(head + b"\n" + (encode(left.assign) if left.assign is not None else b""))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def _read(path: Path) -> Left:
    head, _, frame = path.read_bytes().partition(b"\n")
    try:
        said = json.loads(head)
        told = DirtyRun(run=path.name, why=str(said["why"]), since_ns=int(said["since_ns"]))
    except (ValueError, KeyError, TypeError):
        told = DirtyRun(run=path.name, why=UNREADABLE, since_ns=0)
    try:
        assign = decode(frame)
    except DecodeError:
        return Left(told, None)
    return Left(told, assign if isinstance(assign, Assign) else None)
