"""Which programs would lose privileges if they were executed under trace.

The kernel takes from a traced program what its file would give it: the owner's user or group, or
capabilities.  It does not where the tracer has CAP_SYS_PTRACE.
"""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH116, PTH118, PTH123

from __future__ import annotations

import os
import stat

_CAP_SYS_PTRACE = 1 << 19
_MOST_INTERPRETERS = 5  # as in the kernel
_LINE_BYTES = 256


class Privileges:
    """What this process may do with the programs that it traces."""

    def __init__(self) -> None:
        found = _capabilities()
        self._is_trusted = bool(found.get("CapEff", 0) & _CAP_SYS_PTRACE)
        # A root that has given up capabilities gets them back by an exec.
        self._root_gains = bool(found.get("CapBnd", 0) & ~found.get("CapPrm", 0))

    def lost(self, path: str, directory: str, uid: int) -> str:
        """Say why a program is not to be executed under trace; nothing if it may be."""
        if self._is_trusted:
            return ""
        if uid == 0 and self._root_gains:
            return "root gets capabilities back by its exec, and would not under trace"
        for _ in range(_MOST_INTERPRETERS):
            full = os.path.join(directory, path)
            if what := _given(full):
                return f"{path!r} {what}, which it would lose under trace"
            path = _interpreter(full)
            if not path:
                break
        return ""


def _given(path: str) -> str:
    """Say what a file gives to those who execute it."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""  # its exec will say so
    if mode & stat.S_ISUID:
        return "is a set-user-id program"
    if mode & stat.S_ISGID and mode & stat.S_IXGRP:
        return "is a set-group-id program"
    try:
        os.getxattr(path, "security.capability")
    except OSError:
        return ""
    return "has capabilities"


def _interpreter(path: str) -> str:
    """Return what the first line of a script names, or nothing."""
    try:
        # A pipe in place of a program must not keep the launcher waiting.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            line = file.read(_LINE_BYTES).partition(b"\n")[0]
    except OSError:
        return ""
    words = line[2:].split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def _capabilities() -> dict[str, int]:
    with open("/proc/self/status") as file:
        lines = [line.split() for line in file if line.startswith("Cap")]
    return {words[0].rstrip(":"): int(words[1], 16) for words in lines}
