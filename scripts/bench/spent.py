"""Processor time of living processes and of all that they have started, in nanoseconds."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process with all of its descendants that live."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def spent_ns(pids: Iterable[int]) -> int:
    """Return the time that all threads of these processes have had a processor."""
    return sum(_of(pid) for pid in pids)


def _of(pid: int) -> int:
    total = 0
    with suppress(OSError):  # it, or a thread of it, has ended: what that had is lost
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total
