"""What a step reads from its standard input: nothing, some bytes, or a file of the node."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH118

from __future__ import annotations

import errno
import os
import stat

from agents.launcher.program import CannotStartError

_NOEXEC_SEAL = 0x8  # MFD_NOEXEC_SEAL: wanted by kernels with vm.memfd_noexec, unknown before Linux 6.3


def nothing() -> int:
    """Return a descriptor that is at its end."""
    return os.open(os.devnull, os.O_RDONLY)


def of_bytes(data: bytes) -> int:
    """Return a descriptor from which these bytes are read, as if from a file: it can be read again."""
    try:
        hidden = os.memfd_create("stdin", os.MFD_CLOEXEC | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        hidden = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(hidden, rest) :]
        # Opened anew, so that it is for reading only and stands at the begin.
        return os.open(f"/proc/self/fd/{hidden}", os.O_RDONLY)
    finally:
        os.close(hidden)


def of_file(name: str, directory: str) -> int:
    """Return a descriptor of a file, as the effective user may open it; relative to ``directory``.

    Raises:
        CannotStartError: If it cannot be read.
    """
    path = os.path.join(directory, name)
    try:
        # Without waiting: a pipe that nobody writes to would keep the launcher from everything else.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise CannotStartError(f"stdin: {path!r} cannot be opened: {error.strerror}") from None
    kind = os.fstat(fd).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)):
        os.close(fd)
        raise CannotStartError(f"stdin: {path!r} is no plain file")
    os.set_blocking(fd, True)
    return fd
