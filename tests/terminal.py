"""A terminal of the tests: a pty, and the screen that its output makes."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

_TOKEN: Final = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n\b])|([^\x1b\r\n\b]+)|(\x1b)")
_TAKE_TERMINAL: Final = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execv(sys.argv[2], sys.argv[2:])"
WITHIN_S: Final = 60.0


class Screen:
    """What stands on the terminal; `history` has the lines that scrolled off."""

    def __init__(self, columns: int = 100, lines: int = 30) -> None:
        self.columns, self.lines = columns, lines
        self.history: list[str] = []
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.cursor_shown = True
        self._rest = ""

    def feed(self, text: str) -> None:
        """Obey what a program wrote."""
        text = self._rest + text
        cut = re.search(r"\x1b(\[[0-9;?]*)?$", text)  # a sequence that is not whole yet
        self._rest = cut[0] if cut else ""
        for parameters, command, control, plain, _ in _TOKEN.findall(text[: len(text) - len(self._rest)]):
            if command:
                self._command(parameters, command)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self._down()
            elif plain:
                self._write(plain)

    @property
    def text(self) -> str:
        """Everything that can be seen or scrolled back to."""
        return "\n".join(row.rstrip() for row in (*self.history, *self.rows))

    def _command(self, parameters: str, command: str) -> None:
        if command == "A":
            self.row = max(0, self.row - int(parameters or 1))
        elif command == "K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif command == "J":
            del self.rows[self.row + 1 :]
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif parameters == "?25":
            self.cursor_shown = command == "h"
        else:
            assert command == "m", f"not expected: {parameters}{command}"

    def _write(self, text: str) -> None:
        for start in range(0, len(text), 1):
            if self.column >= self.columns:
                self.column = 0
                self._down()
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + text[start] + row[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")
        if len(self.rows) > self.lines:
            self.history.append(self.rows.pop(0))
            self.row -= 1


class Terminal:
    """A program on a pty that is its controlling terminal, as under a shell."""

    def __init__(
        self, words: Sequence[str], env: dict[str, str], *, columns: int = 100, lines: int = 30
    ) -> None:
        self.screen = Screen(columns, lines)
        self.fd, slave = pty.openpty()
        self.resize(columns, lines)
        # a program of the first process of a session gets its terminal by opening it
        own = [sys.executable, "-c", _TAKE_TERMINAL, os.ttyname(slave), *words]
        self.process = subprocess.Popen(
            own, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; what stands there is not wrapped anew."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.columns, self.screen.lines = columns, lines

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.fd, keys)

    def read(self, patience_s: float = 0.1) -> bool:
        """Take what comes within a moment; False if the program has ended."""
        if not select.select([self.fd], [], [], patience_s)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody has the other end open
            return False
        self.screen.feed(data.decode("utf-8", "replace"))
        return bool(data)

    def until(self, done: Callable[[Screen], bool]) -> None:
        """Read until something stands there."""
        until_s = time.monotonic() + WITHIN_S
        while not done(self.screen):
            assert self.read(), f"ended before: {self.screen.text}"
            assert time.monotonic() < until_s, f"waited in vain: {self.screen.text}"

    def end(self) -> int:
        """Read to the program's end; return its exit code."""
        until_s = time.monotonic() + WITHIN_S
        while self.read():
            assert time.monotonic() < until_s, f"does not end: {self.screen.text}"
        return self.process.wait()
