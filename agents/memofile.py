"""The file in which a part of a run is written down, beside its journal: frames, added to, or made anew."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.journal.frames import bodies, frame
from agents.journal.transfer import write_all

NAME: Final = "part"

ANEW_BYTES: Final = 1 << 20
"""A file that has become longer is made anew: of 10,000 steps that came one after another none is left."""


class MemoFile:
    """Takes frames until one cannot be written: a memo that lacks something is worse than none.

    Args:
        directory: Of the journal.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._fd = -1
        self._size = 0
        self.is_given_up = False

    @property
    def is_open(self) -> bool:
        """Whether `append` can add to it."""
        return self._fd >= 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to make it anew."""
        return self._size > ANEW_BYTES

    def write_anew(self, found: Iterable[bytes]) -> None:
        """Replace all that is there, in one act."""
        data = b"".join(map(frame, found))
        new = self._path.with_suffix(".new")
        self._close()
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._fd = fd
            write_all(fd, data, 0)
            new.rename(self._path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            self.give_up()
            return
        self._size = len(data)

    def append(self, body: bytes) -> None:
        """Add a frame; a death meanwhile leaves it out."""
        data = frame(body)
        try:
            write_all(self._fd, data, self._size)
        except OSError:
            self.give_up()
            return
        self._size += len(data)

    def give_up(self) -> None:
        """Delete it, for the disk is full: who comes next takes nothing over."""
        self.is_given_up = True
        self._close()
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Leave it for the next life."""
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def read_memo(directory: Path) -> list[bytes]:
    """Return the frames that are whole; none if there is no file."""
    try:
        data = (directory / NAME).read_bytes()
    except OSError:
        return []
    return [body for _, body in bodies(data)]
