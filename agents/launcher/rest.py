"""How long a launcher sleeps after a release, so that who was released runs first."""

from __future__ import annotations

import os

LEAST_NS, MOST_NS = 2_000_000, 32_000_000
"""Who looks for ends and reports takes a processor from who was released, here and by other launchers of this
machine: so it sleeps for the least, and for more the more processes want to run, in all for the most."""

PER_PROCESS_NS = 500_000
"""What a released program and its launcher need of a processor until the next one's turn, generously."""


def first_ns(running: int, cpus: int) -> int:
    """Return how long to sleep at first if so many processes want to run on so many processors."""
    return min(max(LEAST_NS, PER_PROCESS_NS * running // cpus), MOST_NS // 2)


class Crowd:
    """Tells how many processes want to run on this machine."""

    def __init__(self) -> None:
        self.cpus = os.cpu_count() or 1
        try:
            self._fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1  # there is no /proc, or nobody may read it

    def running(self) -> int:
        """Return how many run or want to, this process counted; 1 if nobody says."""
        try:
            return int(os.pread(self._fd, 64, 0).split()[3].partition(b"/")[0])
        except (OSError, IndexError, ValueError):
            return 1
