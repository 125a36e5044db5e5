"""A log file that never grows over its limit and never stops its program.

One line is one `write`, at the end of whatever the file is then.  So a file that somebody else has moved
away is made anew at the next line, and one that was cut down (logrotate's ``copytruncate``) goes on at its
new end: no signal is needed, and SIGHUP means what it always meant.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from fabric.errors import UsageError

Form = Literal["console", "json"]
FORMS: Final[tuple[Form, ...]] = ("console", "json")

USUAL_BYTES: Final = 10 << 20
"""Of one file.  With `USUAL_FILES` older ones a service that is left alone takes 60 MB."""

MIN_BYTES: Final = 64 << 10
"""Smallest limit of a file: a traceback or two have to fit."""

MAX_BYTES: Final = 1 << 40
MAX_FILES: Final = 999
USUAL_FILES: Final = 5


class LogFile:
    """Lines in a file, which is moved to ``NAME.1`` before it would be longer than ``limit_bytes``.

    ``NAME.1`` is the youngest of ``keep`` older files.  A line that cannot be written (the disk is full, the
    directory is gone) is dropped, whole; the first one that can be says how many are missing.
    """

    def __init__(self, path: Path, limit_bytes: int = USUAL_BYTES, keep: int = USUAL_FILES) -> None:
        """Open the file, or make it.

        Raises:
            UsageError: If that cannot be done: when the program starts somebody is there to be told.
        """
        self._path, self._limit, self._keep = path, limit_bytes, keep
        self._fd = -1
        self._lost = 0
        try:
            self._open()
        except OSError as error:
            raise UsageError(
                f"the log file {path} cannot be written: {error.strerror}",
                hint="name another one: --log-file",
            ) from None

    def isatty(self) -> bool:
        """Say that nobody wants colours."""
        return False

    def flush(self) -> None:
        """Nothing to do: `write` leaves nothing behind."""

    def write(self, text: str) -> None:
        """Append a line, or several that belong together.  Never raises."""
        line = text.encode(errors="backslashreplace")
        if self._lost:
            line = b"%d lines are missing here: they could not be written\n" % self._lost + line
        try:
            self._append(line)
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def close(self) -> None:
        """Close the file.  Safe to repeat."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        self._fd = os.open(self._path, flags, 0o640)

    def _append(self, line: bytes) -> None:
        self._follow()
        size = os.fstat(self._fd).st_size
        if size and size + len(line) > self._limit:
            self._rotate()
            size = os.fstat(self._fd).st_size
        written = os.write(self._fd, line)
        if written < len(line):  # the disk is full: half a line is no line
            os.ftruncate(self._fd, size)
            raise OSError

    def _follow(self) -> None:
        """Make the file anew if somebody has moved or removed it."""
        with suppress(FileNotFoundError):
            if self._fd >= 0 and os.path.samestat(self._path.stat(), os.fstat(self._fd)):
                return
        self.close()
        self._open()

    def _rotate(self) -> None:
        """Move each file to the next number.  A crash in between leaves a number out and loses nothing."""
        for number in range(self._keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        if self._keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()
        self.close()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
