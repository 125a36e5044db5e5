"""Which descriptors carry whose connections, so that a key's connections can be cut.

ZeroMQ asks for a key at the handshake only, and has no call that ends one connection of a listening socket.
But it tells of every message by which descriptor it came, and a TCP connection that is shut down is over
for ZeroMQ, too: the peer connects again, and its key is asked for again.
"""

import socket
from collections import Counter
from collections.abc import Callable, Iterable

from broker.borrowing import borrowed
from fabric.transport import Received


class Callers:
    """The connections that have said something: as many as the process has descriptors, at most."""

    def __init__(self, ports: Iterable[int]) -> None:
        """Take the ports at which this process listens: nothing else is ever cut."""
        self._ports = frozenset(ports)
        self._key_of: dict[int, str] = {}
        self._fds_of: dict[str, set[int]] = {}
        self._asked: Counter[int] = Counter()

    def note(self, key: str, received: Received, most: int) -> bool:
        """Take note of whose connection a message came by; return False if its key has ``most`` others."""
        fd = received.descriptor
        known = self._key_of.get(fd)
        if known == key or fd < 0:
            return True
        if known is not None:  # that connection is over, and the kernel has given its number to another
            self._drop(known, fd)
        if len(self._fds_of.get(key, ())) >= most:
            return False
        self._key_of[fd] = key
        self._fds_of.setdefault(key, set()).add(fd)
        return True

    def gone(self, fd: int) -> None:
        """A connection is over, unless its number has come to another one since: that one tells by itself."""
        known = self._key_of.get(fd)
        if known is not None and not self._is_ours(fd):
            self._drop(known, fd)

    def asked(self, fd: int) -> int:
        """Count a subscription of a connection; return how many it has sent."""
        self._asked[fd] += 1
        return self._asked[fd]

    def cut(self, key: str) -> int:
        """Shut down the connections of a key that have said something; return how many those were."""
        fds = self._fds_of.pop(key, set())
        for fd in fds:
            del self._key_of[fd]
        return sum(self.hang_up(fd) for fd in fds)

    def hang_up(self, fd: int) -> bool:
        """Shut one connection down, if it still is one of a port of ours.

        Between a message and this moment the number may have come to another peer of ours: that one then
        connects again, as after any break.
        """
        self._asked.pop(fd, None)
        return self._is_ours(fd, lambda line: line.shutdown(socket.SHUT_RDWR))

    def _is_ours(self, fd: int, then: Callable[[socket.socket], object] = lambda _: None) -> bool:
        """Whether a number is a connection to one of our ports; do something with it if it is."""
        try:
            with borrowed(fd) as line:
                if line.getsockname()[1] not in self._ports or not line.getpeername():
                    return False
                then(line)
        except OSError:  # nothing, no socket, or nobody at the other end
            return False
        return True

    def _drop(self, key: str, fd: int) -> None:
        self._asked.pop(fd, None)
        del self._key_of[fd]
        fds = self._fds_of[key]
        fds.discard(fd)
        if not fds:
            del self._fds_of[key]
