"""A TCP relay between agents and their broker, with a delay of its own for each direction, and jitter."""

import random
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

CHUNK: Final = 65536
TICK_S: Final = 0.0005
"""How exactly a delay is kept: it may be longer by so much."""


@dataclass
class Way:
    """One direction of a connection; what it holds is due at an instant each."""

    source: socket.socket
    target: socket.socket
    delay_s: float
    jitter_s: float
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    last_s: float = 0.0  # when the newest one is due: nothing overtakes

    def take(self, chance: random.Random) -> bool:
        """Take what has come; False at the end."""
        try:
            data = self.source.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        due_s = time.monotonic() + self.delay_s + self.jitter_s * chance.random()
        self.last_s = max(self.last_s, due_s)
        self.waiting.append((self.last_s, data))
        return bool(data)

    def give(self, now_s: float) -> bool:
        """Send what is due; False when the connection cannot be used any more."""
        while self.waiting and self.waiting[0][0] <= now_s:
            due_s, data = self.waiting.popleft()
            try:
                sent = self.target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent < len(data):
                self.waiting.appendleft((due_s, data[sent:]))
                return True
        return True


class Relay:
    """Listens on the ports of a broker at another address of this machine, until it is closed.

    Args:
        host: Where it listens.
        ports: Of the broker, which is on 127.0.0.1.
        there_s: Delay towards the broker.
        back_s: Delay from it.
        jitter_s: Most that is added, in either direction.
    """

    def __init__(
        self, host: str, ports: tuple[int, ...], *, there_s: float, back_s: float, jitter_s: float
    ) -> None:
        self._delays = (there_s, back_s)
        self._jitter_s = jitter_s
        self._chance = random.Random(7)
        self._ways: list[Way] = []
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        for port in ports:
            listener = socket.create_server((host, port))
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, port)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._over.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            is_waiting = any(way.waiting for way in self._ways)
            for key, _ in self._selector.select(TICK_S if is_waiting else 0.05):
                if isinstance(key.data, int):
                    self._accept(key.fileobj, key.data)  # type: ignore[arg-type]
                elif not key.data.take(self._chance):
                    self._selector.unregister(key.fileobj)
            now_s = time.monotonic()
            self._ways = [way for way in self._ways if way.give(now_s)]

    def _accept(self, listener: socket.socket, port: int) -> None:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for source, target, delay_s in ((near, far, self._delays[0]), (far, near, self._delays[1])):
            source.setblocking(False)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            way = Way(source, target, delay_s, self._jitter_s)
            self._ways.append(way)
            self._selector.register(source, selectors.EVENT_READ, way)
