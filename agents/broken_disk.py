"""Whether a directory of this node takes files at present, and what is said if it does not."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.journal.transfer import FULL, REFUSALS

_PROBE: Final = "probe"


def refusal_of(directory: Path) -> str:
    """Return what the system says of a new file in a directory, such as "Read-only file system".

    A full disk says nothing: it has room again as soon as records are acknowledged.
    """
    error = _tried(directory)
    return "" if error in FULL or error not in REFUSALS else os.strerror(error)


def state_of(directory: Path, node: str) -> str:
    """Return a sentence on a disk that has just refused something."""
    error = _tried(directory)
    if error in (errno.EMFILE, errno.ENFILE):
        return f"the agent of {node} can open no more files (ulimit -n)"
    state = {errno.EROFS: "is read-only", errno.EIO: "reports errors"}.get(error, "is full")
    return f"the disk of {node} {state} ({directory})"


def _tried(directory: Path) -> int:
    """Make a file and delete it; return the error, 0 if there was none."""
    path = directory / _PROBE
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error.errno or 0
    try:
        os.pwrite(fd, bytes(1), 0)
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(fd)
        with suppress(OSError):
            path.unlink()
    return 0
