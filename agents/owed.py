"""Ends of parts of runs, with their resets, that earlier lives of the agent owe, and the room kept for them.

A reset may be what makes room on a full disk, so it must not wait for room.  What is kept is a file of random
bytes: not every file system can reserve, and some take no room for zeros.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.recovery import LeftPart
from fabric.log import get_logger

log = get_logger()

RESERVE_BYTES: Final = 128 * 1024
"""A journal takes some 60 KiB to begin with; on the other hand a machine may have a hundred agents."""

_RESERVE: Final = "reserve"


class Owed:
    """The resets that could not begin yet, because the disk is full all the same.

    Args:
        state_dir: Of the agent.
        open_part: Begins the reset of a part of a run; raises OSError if the disk has no room for it.
    """

    def __init__(self, state_dir: Path, open_part: Callable[[LeftPart], None]) -> None:
        self._state_dir = state_dir
        self._open_part = open_part
        self._waiting: list[LeftPart] = []
        self._told = ""

    def has(self, run: str) -> bool:
        """Whether the reset of a run has still to begin."""
        return any(left.assign.run == run for left in self._waiting)

    def begin(self, owed: Iterable[LeftPart] = ()) -> None:
        """Begin these, and all that wait, as far as there is room.  Due every second."""
        self._waiting += owed
        while self._waiting:
            try:
                self._open_part(self._waiting[0])
            except OSError as error:
                if _give(self._state_dir):
                    continue
                self._say(self._waiting[0].assign.run, f"{self._state_dir}: {error.strerror}")
                return
            del self._waiting[0]

    def keep_room(self) -> None:
        """Take the room that is kept, unless it is; on a full disk nothing happens until the next time."""
        path = self._state_dir / _RESERVE
        new = path.with_suffix(".new")
        if path.exists():
            return
        with suppress(OSError):
            new.touch(mode=0o600)
            new.write_bytes(os.urandom(RESERVE_BYTES))
            new.rename(path)
            return
        with suppress(OSError):
            new.unlink()

    def _say(self, run: str, why: str) -> None:
        if why != self._told:
            log.error("reset_waits", run=run, why=why, hint="it is owed; make room on this disk")
        self._told = why


def _give(state_dir: Path) -> bool:
    """Let somebody have the room; False if there is none to give."""
    try:
        (state_dir / _RESERVE).unlink()
    except OSError:
        return False
    return True
