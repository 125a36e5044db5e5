"""A pseudo-terminal as a step's output: what it writes comes out as it was written."""

from __future__ import annotations

import os
import termios
from fcntl import ioctl

from agents.launcher.program import CannotStartError

ROWS, COLUMNS = 24, 80
TYPE = "xterm"
"""TERM of a step that has none: what nearly all programs know."""

_OUTPUT_FLAGS = 1  # its place in what tcgetattr returns


def open_pair() -> tuple[int, int]:
    """Return the end to read from, and the terminal.

    Raises:
        CannotStartError: If the system has none left.
    """
    try:
        # Neither becomes this process' controlling terminal: the C library opens both with O_NOCTTY.
        master, terminal = os.openpty()
    except OSError as error:
        raise CannotStartError(f"there is no pseudo-terminal for it: {error.strerror}") from None
    attributes = termios.tcgetattr(terminal)
    attributes[_OUTPUT_FLAGS] &= ~(termios.OPOST | termios.ONLCR)  # else a newline would be two bytes
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
    return master, terminal


def control(terminal: int) -> None:
    """Make it the controlling terminal of the calling process, which has just begun its session."""
    ioctl(terminal, termios.TIOCSCTTY, 0)
