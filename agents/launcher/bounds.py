"""Limits of a step's resources: what they are to the kernel, and whether they can be had."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH123

from __future__ import annotations

import os
import resource

from agents.launcher.bare import signal
from agents.launcher.program import CannotStartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS = {
    "files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "cpu": resource.RLIMIT_CPU,
    "file_size": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
    "memory": resource.RLIMIT_AS,  # the last one to be set: what follows has to get by with it
}

CPU_GRACE_S = 1
"""Between SIGXCPU at the limit, which says what has happened, and SIGKILL."""

_CAP_SYS_RESOURCE = 24

Bound = tuple[int, int, int]
"""A limit as setrlimit takes it: which, soft, hard."""


def bounds(limits: dict[str, int], files: tuple[int, int]) -> list[Bound]:
    """Return what to set in the step's process.

    Args:
        limits: By name, in bytes, seconds or numbers.
        files: The limits on open files that a step inherits; this process has raised its own.

    Raises:
        CannotStartError: If a limit is none, or above what this process may give.
    """
    unknown = sorted(set(limits) - set(NUMBERS))
    if unknown:
        raise CannotStartError(f"this agent knows no limit {unknown[0]!r:.40}")
    return [_bound(name, limits[name], files) for name in NUMBERS if name in limits]


def _bound(name: str, value: int, files: tuple[int, int]) -> Bound:
    number = NUMBERS[name]
    most = files[1] if name == "files" else resource.getrlimit(number)[1]
    if name == "files" and value > _most_files():
        raise CannotStartError(f"limits.files = {value} is over the {_most_files()} of this node's kernel")
    if most != resource.RLIM_INFINITY and value > most and not _may_raise():
        raise CannotStartError(
            f"limits.{name} = {value} is over the hard limit of {most} under which this agent runs"
        )
    hard = value
    if name == "cpu" and (most == resource.RLIM_INFINITY or value + CPU_GRACE_S <= most or _may_raise()):
        hard = value + CPU_GRACE_S
    return number, value, hard


def _may_raise() -> bool:
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return os.geteuid() == 0
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _most_files() -> int:
    try:
        with open("/proc/sys/fs/nr_open") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1 << 20


def exceeded(limits: dict[str, int], number: int | None, usage: Any, oom_kills: int) -> str:
    """Return the limit that has ended a program, or nothing if that is not certain.

    Args:
        limits: That it had.
        number: The signal that has ended it; None: it has ended by itself.
        usage: What it has used.
        oom_kills: How many of its cgroup were killed for memory.
    """
    if number == signal.SIGXCPU and "cpu" in limits:
        return "cpu"
    if number == signal.SIGXFSZ and "file_size" in limits:
        return "file_size"
    if number != signal.SIGKILL:
        return ""
    if oom_kills:
        return "memory"
    if "cpu" in limits and usage and usage.ru_utime + usage.ru_stime >= limits["cpu"]:
        return "cpu"  # it had caught SIGXCPU
    return ""
