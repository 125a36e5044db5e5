"""Tells a service manager how a service is: systemd's notifications, without a library.

A state is one datagram to the socket that is named in the environment.  What the loop sends is sent *by* the
loop: a program that is stopped, or stuck in a callback, sends no sign of life, and is started again.

Source: sd_notify(3), systemd.service(5) for ``Type=notify`` and ``WatchdogSec``.
"""

import faulthandler
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, Self

STATUS_NS: Final = 1_000_000_000
"""How often what a service does is looked at, in nanoseconds; it is sent when it has changed."""

_OF_A_SERVICE: Final = (
    *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID", "CREDENTIALS_DIRECTORY"),
    *("STATE_DIRECTORY", "LOGS_DIRECTORY", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY"),
    *("MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"),
)
"""What else a manager tells of one service, and is wrong in a program that the service starts."""


def is_kept(fd: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether what is written to a descriptor goes to the manager's journal, where others read it.

    Source: systemd.exec(5) for ``JOURNAL_STREAM``.
    """
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def tell_where_it_hangs() -> None:
    """Have the signal of a watchdog (ABRT) print where this process stood: files and lines, no values."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)


class Notifier:
    """One service towards its manager.  `turned` belongs into every turn of the loop."""

    def __init__(self, address: str, watchdog_us: int = 0, status: Callable[[], str] = lambda: "") -> None:
        """Say nothing yet.

        Args:
            address: Path of a datagram socket, or ``@`` and the name of an abstract one.
            watchdog_us: Longest silence before the manager ends this service, in microseconds; 0: any.
            status: Returns a line for people; called once a second at most.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._watchdog_ns = watchdog_us * 1000 // 2  # as its manual asks: twice in each interval
        self._status = status
        self._told = ""
        self._is_ready = False
        self._beat_ns = self._look_ns = 0
        self.handed_on: dict[str, str] = {}
        """Variables for a program that this process becomes: it goes on to speak."""

    @classmethod
    def find(
        cls, status: Callable[[], str], environment: MutableMapping[str, str] = os.environ
    ) -> Self | None:
        """Return who speaks to the manager that has started this process; None if there is none.

        The variables are taken away: a step of a trial must not speak for its agent.
        """
        taken = {
            name: environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        }
        address, limit, pid = taken.values()
        if not address.startswith(("/", "@")):
            return None
        for name in _OF_A_SERVICE:
            environment.pop(name, None)
        is_meant = pid in ("", str(os.getpid()))
        made = cls(address, int(limit) if limit.isdecimal() and is_meant else 0, status)
        made.handed_on = {name: value for name, value in taken.items() if value}
        return made

    def turned(self, now_ns: int) -> None:
        """Say what is due, for the loop has turned: first that the service is ready.

        ``now_ns`` is nanoseconds of any clock that does not step.
        """
        if not self._is_ready:
            self._is_ready = self._send("READY=1")
            self._beat_ns = now_ns
        if self._watchdog_ns and now_ns >= self._beat_ns and self._send("WATCHDOG=1"):
            self._beat_ns = now_ns + self._watchdog_ns
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + STATUS_NS
            self._tell(self._status())

    def stopping(self) -> None:
        """Say that the service ends now, which may take a while."""
        self._send("STOPPING=1")

    def _tell(self, status: str) -> None:
        line = " ".join(status.split())
        if line != self._told and self._send(f"STATUS={line}"):
            self._told = line

    def _send(self, state: str) -> bool:
        """Return whether it was taken; what was not is sent again in a later turn."""
        try:
            self._socket.sendto(state.encode(), socket.MSG_NOSIGNAL, self._address)
        except OSError:
            return False
        return True
