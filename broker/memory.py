"""How much memory this process has and may have, and how much has come over a connection."""

import fcntl
import os
import resource
import socket
import struct
import termios
from pathlib import Path
from typing import Final

from broker.limits import LEAST_MEMORY_BYTES, MEMORY_SHARE

_STATM: Final = Path("/proc/self/statm")
_CGROUP: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")

_RECEIVED: Final = struct.Struct("=128xQ")
"""Of the kernel's struct tcp_info up to tcpi_bytes_received (since Linux 4.1)."""


def resident_bytes() -> int:
    """Return how much memory this process has; 0 if nobody says."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def most_bytes() -> int:
    """Return how much it should have at most: a share of what the machine, its cgroup or its limits allow."""
    allowed = [os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()]
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        allowed.append(address_space)
    try:
        (own,) = [line[3:] for line in _CGROUP.read_text(encoding="utf-8").splitlines() if line[:3] == "0::"]
        allowed.append(int((_CGROUPS / own.lstrip("/") / "memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such cgroup, or "max"
        pass
    return max(min(allowed) // MEMORY_SHARE, LEAST_MEMORY_BYTES)


def came_bytes(line: socket.socket) -> int:
    """Return how many bytes the kernel has handed over of a TCP connection.

    Raises:
        OSError: If it is none, or is over.
    """
    info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
    if len(info) < _RECEIVED.size:
        return 0
    (received,) = _RECEIVED.unpack(info)
    unread = struct.unpack("i", fcntl.ioctl(line, termios.FIONREAD, bytes(4)))[0]
    return int(received - unread)
