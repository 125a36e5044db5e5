#!/usr/bin/env python3
"""A start as Conductor makes it: go is sent to one player after the other, each runs `sh -c COMMAND`.

As a program this is a player (`sequential.py --player`, internal): it says its port, takes a connection, and
for each line answers with the command's output.  Written for the benchmarks from what is known of Conductor's
way; here the connections are there before, so that nothing but the go itself is compared.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0


class Players:
    """A process for each node, and a connection to each.

    Args:
        count: Of nodes.
        cpus: None, or a processor for each.
        links: None, or called with the players' ports; returns by which address each one is to be reached.
    """

    def __init__(
        self,
        count: int,
        cpus: Sequence[int] | None = None,
        links: Callable[[Sequence[int]], Sequence[tuple[str, int]]] | None = None,
    ) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._connections: list[socket.socket] = []
        try:
            ports = [self._start(cpus[index] if cpus else None) for index in range(count)]
            for address in links(ports) if links else [("127.0.0.1", port) for port in ports]:
                connection = socket.create_connection(address, timeout=PATIENCE_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.terminate()
            process.communicate()

    def start(self, command: str) -> list[int]:
        """Send go to each; return the number that each one's command printed."""
        go = command.encode() + b"\n"
        for connection in self._connections:
            connection.sendall(go)
        return [int(connection.recv(64)) for connection in self._connections]

    def _start(self, cpu: int | None) -> int:
        bound = [] if cpu is None else ["taskset", "-c", str(cpu)]
        process = subprocess.Popen(
            [*bound, sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--player"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())


def play() -> None:
    """Be a player until the connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.write(1, b"%d\n" % server.getsockname()[1])
        connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("r") as lines:
        for line in lines:
            done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, check=False)
            connection.sendall(done.stdout)


if __name__ == "__main__":
    if sys.argv[1:] != ["--player"]:
        raise SystemExit("this is a part of start_skew.py and spread_lab.py")
    play()
