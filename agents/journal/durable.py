"""What outlives a power cut, and how it is known that there may have been one."""

import os
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what names the time since this machine was booted; "" if that is not known."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
