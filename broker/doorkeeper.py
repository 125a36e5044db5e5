"""Watches connections come and go at the four sockets, and hangs up on those of whom there are too many."""

import resource
from contextlib import suppress
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.borrowing import borrowed
from broker.callers import Callers
from broker.crowd import Crowd
from broker.effects import Role
from broker.holdings import Holdings
from broker.limits import (
    FILES,
    MEMORY_AGAIN_NS,
    MEMORY_EVERY_NS,
    NODE_LINES,
    READER_LINES,
    STRANGERS,
    STRANGERS_OF_ADDRESS,
)
from broker.memory import came_bytes, most_bytes, resident_bytes
from broker.sockets import Sockets
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.transport import Received
from fabric.transport.sockets import Socket

log = get_logger()

_ARRIVED: Final = zmq.Event.ACCEPTED
_GONE: Final = zmq.Event.DISCONNECTED | zmq.Event.CLOSED
_PER_TURN: Final = 128
"""Most events that one turn takes of one socket, so that goes and answers come in between: 20 us each."""


class Doorkeeper:
    """Counts the connections.  ``now_ns`` is fabric time."""

    def __init__(self, sockets: Sockets, callers: Callers) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(STRANGERS, descriptors // 4)
        # Whoever accepts without a descriptor left is told of that connection for ever: it burns a core.
        self._most_lines = descriptors - min(FILES, descriptors // 4)
        self._crowd = Crowd(most, min(STRANGERS_OF_ADDRESS, most // 2), self._most_lines)
        self._most_of_reader = min(READER_LINES, descriptors // 8)
        self._callers = callers
        self._listening: list[Socket] = []
        self._monitors: list[tuple[Socket, bool]] = []
        self._hung_up = 0
        self._holdings = Holdings()
        self._most_bytes = most_bytes()
        self._memory_ns = 0  # when it is looked at again
        self._subscribed = frozenset((sockets.ports["go"], sockets.ports["feed"]))
        for domain in ("control", "go", "sink", "feed"):
            listening: Socket = getattr(sockets, domain)
            self._listening.append(listening)
            self._monitors.append((_monitor(sockets, listening, domain), domain == "control"))

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        times = [self._crowd.deadline_ns, self._memory_ns if self._crowd.lines else None]
        return min((time for time in times if time is not None), default=None)

    def attend(self, loop: Loop) -> None:
        """Be told by a loop."""
        for monitor, must_speak in self._monitors:
            loop.add(monitor, _Bell(self, monitor, must_speak=must_speak))

    def most_of_key(self, role: Role) -> int:
        """Return how many connections one key of a role may have; an unknown one may enrol by each."""
        return NODE_LINES if role in ("node", "unknown") else self._most_of_reader

    def spoke(self, received: Received) -> None:
        """A known key has spoken."""
        self._crowd.known(received.descriptor)

    def took(self, received: Received) -> None:
        """A message was taken, whoever has sent it."""
        self._holdings.took(received.descriptor, received.frames)

    def expire(self, now_ns: int) -> None:
        """Hang up on those that say nothing, and on those that make the broker hold too much."""
        self._hang_up(self._crowd.expire(now_ns), "said nothing")
        if now_ns >= self._memory_ns:
            self._memory_ns = now_ns + MEMORY_EVERY_NS
            if (resident := resident_bytes()) > self._most_bytes:
                self._make_room(resident, now_ns)

    def _make_room(self, resident: int, now_ns: int) -> None:
        came: dict[int, tuple[int, bool]] = {}
        for fd in self._crowd.fds:
            with suppress(OSError), borrowed(fd) as line:
                came[fd] = came_bytes(line), line.getsockname()[1] in self._subscribed
        found = self._holdings.excessive(came)
        if not found:
            self._memory_ns = now_ns + MEMORY_AGAIN_NS
            return
        has, most = (f"{count >> 20} MiB" for count in (resident, self._most_bytes))
        who = f"{_address(found[0])} has the most of {len(found)}"
        log.warning("memory_short", has=has, most=most, hung_up_on=who)
        for fd in found:
            self._callers.hang_up(fd)

    def take(self, monitor: Socket, now_ns: int, *, must_speak: bool) -> None:
        """Take what one socket tells."""
        for _ in range(_PER_TURN):
            try:
                told = recv_monitor_message(monitor, zmq.DONTWAIT)
            except zmq.Again:
                return
            fd = int(told["value"])
            if told["event"] & _GONE:
                self._crowd.gone(fd)
                self._callers.gone(fd)
                self._holdings.gone(fd)
            elif (address := _address(fd)) is not None:
                self._holdings.begun(fd)
                was_full = self._crowd.is_full
                refused = self._crowd.arrived(fd, address, now_ns, must_speak=must_speak)
                self._hang_up(
                    refused, self._full() if was_full else f"too many strangers, lately from {address}"
                )

    def close(self) -> None:
        """Watch no more."""
        for listening in self._listening:
            listening.monitor(None, 0)
        for monitor, _ in self._monitors:
            monitor.close(linger=0)

    def _full(self) -> str:
        return f"the limit of open files (ulimit -n) has room for {self._most_lines} connections"

    def _hang_up(self, fds: list[int], why: str) -> None:
        for fd in fds:
            self._callers.hang_up(fd)
            self._hung_up += 1
            if not self._hung_up & (self._hung_up - 1):  # the 1st, 2nd, 4th, 8th ...
                log.warning("stranger_hung_up_on", why=why, count=self._hung_up)


class _Bell:
    def __init__(self, keeper: Doorkeeper, monitor: Socket, *, must_speak: bool) -> None:
        self._keeper, self._monitor, self._must_speak = keeper, monitor, must_speak

    def __call__(self, now_ns: int) -> None:
        self._keeper.take(self._monitor, now_ns, must_speak=self._must_speak)


def _monitor(sockets: Sockets, listening: Socket, domain: str) -> Socket:
    # Not by get_monitor_socket: ZeroMQ's own thread waits if the queue to us is full, and with it everybody.
    endpoint = f"inproc://doors-{domain}"
    listening.monitor(endpoint, _ARRIVED | _GONE)
    monitor: Socket = sockets.context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.RCVHWM, 0)
    monitor.connect(endpoint)
    return monitor


def _address(fd: int) -> str | None:
    """Return whence a connection comes; None if it has gone already."""
    try:
        with borrowed(fd) as line:
            return str(line.getpeername()[0])
    except OSError:
        return None
