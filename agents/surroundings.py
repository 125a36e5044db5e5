"""What a node's system lets its agent do, as facts: limits, tracing, cgroups, room on its disk."""

import os
import resource
from pathlib import Path
from typing import Final

from agents.launcher import cgroup

_LIMITS: Final = {
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "memlock": resource.RLIMIT_MEMLOCK,
    "rtprio": resource.RLIMIT_RTPRIO,
}
_YAMA: Final = Path("/proc/sys/kernel/yama/ptrace_scope")


def surroundings(pid: int = 0) -> dict[str, str]:
    """Return what does not change while the agent lives.  Limits are ``soft/hard``, sizes bytes.

    Args:
        pid: Whose limits are wanted; 0: those of this process.
    """
    limits = {name: "/".join(map(_shown, resource.prlimit(pid, number))) for name, number in _LIMITS.items()}
    return limits | {"ptrace_scope": _ptrace_scope(), "cgroup": _cgroup()}


def disk_free(directory: Path) -> dict[str, str]:
    """Return the room for the agent's user, in MiB."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return {}
    return {"disk_free_mib": str(disk.f_bavail * disk.f_frsize >> 20)}


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def _ptrace_scope() -> str:
    """Return the scope of Yama; "-" where there is none, so that everybody may trace what is his."""
    try:
        return _YAMA.read_text().strip()
    except OSError:
        return "-"


def _cgroup() -> str:
    own = cgroup.own_directory()
    if not own:
        return "no cgroup v2"
    if os.access(own, os.W_OK) and os.access(f"{own}/cgroup.procs", os.W_OK):
        return "delegated"
    return "v2, but not delegated to this user"
