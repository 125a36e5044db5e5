"""What a node says of itself: short strings, read once at the start of the agent."""

import os
import platform
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from agents.kernel_clock import in_words, read_kernel_clock
from agents.surroundings import disk_free, surroundings
from fabric import __version__


def facts() -> dict[str, str]:
    """Return the node's facts.  What cannot be found out is left out."""
    found = {
        "testfabric": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": _os_name(),
        "hostname": socket.gethostname(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory_mib": _memory_mib(),
        "user": str(os.geteuid()),
        "clocksource": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "byteorder": sys.byteorder,
    }
    return {name: value for name, value in (found | surroundings()).items() if value}


def kernel_clock() -> dict[str, str]:
    """Return what the kernel says now of its own clock, as a fact; it is another one an hour later."""
    said = in_words(read_kernel_clock())
    return {"kernel_clock": said} if said else {}


def facts_of_now(directory: Path) -> dict[str, str]:
    """Return the facts that change: the kernel's clock, and the room in the agent's state directory."""
    return kernel_clock() | disk_free(directory)


def addresses(announced: Mapping[str, str], broker_host: str, broker_port: int) -> dict[str, str]:
    """Return the node's addresses by network: those announced, and "" for the one that reaches the broker.

    Args:
        announced: From ``--addr NAME=ADDRESS``.
        broker_host: A datagram socket is pointed at it (nothing is sent) to learn the local address.
        broker_port: Any port of it.
    """
    found = dict(announced)
    if "" not in found:
        found[""] = _local_address(broker_host, broker_port)
    return found


def _local_address(host: str, port: int) -> str:
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _memory_mib() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return ""
    return str(pages * size >> 20)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
