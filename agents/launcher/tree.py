"""Who belongs to a step, read from /proc: children, sessions, marks in the environment, pipes.

The launcher is a subreaper, so whoever loses his parent becomes its child.  Its own list of children is
exact (only it reaps them); the list of another process may miss one that forks at that moment, and is
therefore read again until nothing is left.
"""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH110, PTH115, PTH123, PTH208

from __future__ import annotations

import os

from agents.launcher.bare import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STEP_MARK = "FABRIC_STEP"
LAUNCHER_MARK = "FABRIC_LAUNCHER"

_PPID, _SESSION, _BEGAN = 1, 3, 19  # fields of /proc/pid/stat, counted behind the name


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    if not _LISTS:
        return [other for other in everybody() if parent(other) == pid]
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except OSError:
            continue  # the thread has ended: its children are another's now
    return found


def descendants(roots: Iterable[int], most: int = 1 << 30) -> list[int]:
    """Return the roots and all below them, parents before children; asks the first ``most`` for theirs."""
    found = list(roots)
    seen = set(found)
    for place, pid in enumerate(found):  # grows while it is walked
        if place >= most:
            break
        for child in children(pid):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found


def parent(pid: int) -> int:
    """Return the parent's pid, or 0 if the process is gone."""
    fields = _stat(pid)
    return int(fields[_PPID]) if fields else 0


def session(pid: int) -> int:
    """Return the session's id (the pid of its leader), or 0 if the process is gone."""
    fields = _stat(pid)
    return int(fields[_SESSION]) if fields else 0


def began(pid: int) -> int:
    """Return when a process began, in clock ticks since the boot, or 0 if it is gone."""
    fields = _stat(pid)
    return int(fields[_BEGAN]) if fields else 0


def is_dead(pid: int) -> bool:
    """Say whether it is gone or only waits to be reaped."""
    fields = _stat(pid)
    return not fields or fields[0] in (b"Z", b"X")


def mark(pid: int, name: str) -> str:
    """Return the value of a name in the environment that the process was started with, or nothing."""
    wanted = name.encode() + b"="
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return ""
    return next((os.fsdecode(entry[len(wanted) :]) for entry in entries if entry.startswith(wanted)), "")


def outputs(pid: int) -> set[str]:
    """Return what the pipes and terminals that a process holds are called in /proc."""
    found = set()
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            target = os.readlink(entry.path)
            if target.startswith(("pipe:[", "/dev/pts/")):
                found.add(target)
    except OSError:
        return found
    return found


def everybody() -> list[int]:
    """Return all pids that this process can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def send(pid: int, numbers: tuple[int, ...], parents: set[int]) -> None:
    """Send signals to a process if it is still a child of one of ``parents``.

    Between the listing and the signal the number may have become another process.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if parent(pid) in parents:
            for number in numbers:
                signal.pidfd_send_signal(handle, number)
    except OSError:
        return
    finally:
        os.close(handle)


def send_child(pid: int, numbers: tuple[int, ...]) -> None:
    """Send signals to a child of this process that was not reaped: its number cannot be another's."""
    for number in numbers:
        try:
            os.kill(pid, number)
        except OSError:
            return


def _stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


_LISTS = os.path.exists("/proc/thread-self/children")
"""Whether the kernel was built with lists of children (CONFIG_PROC_CHILDREN; nearly all are)."""
