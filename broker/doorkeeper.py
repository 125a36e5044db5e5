"""Watches connections come and go at the four sockets, and hangs up on those of whom there are too many."""

import resource
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.borrowing import borrowed
from broker.callers import Callers
from broker.crowd import Crowd
from broker.effects import Role
from broker.limits import FILES, NODE_LINES, READER_LINES, STRANGERS, STRANGERS_OF_ADDRESS
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
        for domain in ("control", "go", "sink", "feed"):
            listening: Socket = getattr(sockets, domain)
            self._listening.append(listening)
            self._monitors.append((_monitor(sockets, listening, domain), domain == "control"))

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        return self._crowd.deadline_ns

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

    def expire(self, now_ns: int) -> None:
        """Hang up on those that say nothing."""
        self._hang_up(self._crowd.expire(now_ns), "said nothing")

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
            elif (address := _address(fd)) is not None:
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
