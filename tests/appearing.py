"""Waiting for a file that another process makes: the kernel says when."""

import ctypes
import os
import select
import time
from pathlib import Path
from typing import Final

_CREATED: Final = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO
_libc: Final = ctypes.CDLL(None, use_errno=True)


def wait_for(directory: Path, pattern: str, pid: int, within_s: float) -> Path:
    """Return the first path in a directory that matches, as soon as it is there.

    Fails the test if the process that is to make it ends before, or takes too long.
    """
    until_s = time.monotonic() + within_s
    watch, process = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), os.pidfd_open(pid)
    try:
        assert _libc.inotify_add_watch(watch, os.fsencode(directory), _CREATED) >= 0, ctypes.get_errno()
        while True:
            if found := sorted(directory.glob(pattern)):
                return found[0]
            left_s = max(0.0, until_s - time.monotonic())
            ready = select.select([watch, process], [], [], left_s)[0]
            assert ready, f"no {pattern} in {directory} within {within_s} s"
            assert process not in ready, f"the process has ended without {pattern}"
            os.read(watch, 1 << 16)
    finally:
        os.close(watch)
        os.close(process)
