#!/usr/bin/env python3
"""A start without an instant: one word by PUB to all, and each starts the program when it hears it.

As a program this is a subscriber (internal).  Without encryption, so it does less than the fabric does.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import zmq

PATIENCE_MS = 60_000


class Subscribers:
    """A process for each node that listens to a publisher of this one.

    Args:
        count: Of nodes.
        links: Called with the publisher's port; returns the address by which each node is to reach it.
    """

    def __init__(self, count: int, links: Callable[[int], Sequence[tuple[str, int]]]) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._context = zmq.Context()
        self._publisher = self._context.socket(zmq.XPUB)  # a PUB that sees who listens
        self._publisher.setsockopt(zmq.LINGER, 0)
        self._publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
        port = self._publisher.bind_to_random_port("tcp://127.0.0.1")
        try:
            for host, relay_port in links(port)[:count]:
                self._start(f"tcp://{host}:{relay_port}")
            for _ in range(count):
                if not self._publisher.poll(PATIENCE_MS):
                    raise SystemExit("the subscribers did not come")  # noqa: TRY301
                self._publisher.recv()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.communicate()
        self._publisher.close()
        self._context.term()

    def start(self, command: str) -> list[int]:
        """Publish the command; return the number that each one's program printed."""
        self._publisher.send(command.encode())
        return [int(process.stdout.readline()) for process in self._processes if process.stdout]

    def _start(self, address: str) -> None:
        words = [sys.executable, str(Path(__file__).resolve()), address]
        self._processes.append(
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        )


def listen(address: str) -> None:
    """Be a subscriber until a signal ends it."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.subscribe(b"")
    socket.connect(address)
    while True:
        subprocess.run([socket.recv().decode()], check=False)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("this is a part of spread_lab.py")
    listen(sys.argv[1])
