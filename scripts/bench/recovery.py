#!/usr/bin/env python3
"""From kill -9 of the broker to the first record that its next life has stored, while agents print.

Floor: an interpreter that imports zmq, binds, and gets one message from a peer that pushes all the time.
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import zmq
from common import Lab, end_cleanly, program, ratio, spread

PATIENCE_S = 300.0

TRIAL = """
[trial]
name = "recovery"
lead = "1s"
[nodes]
all = [{nodes}]
[[run.all]]
name = "numbers"
cmd = ["{python}", "-uc", '''
import os, time
number = 0
while not os.path.exists("{stop}"):
    for _ in range({lines}):
        print(number)
        number += 1
    time.sleep(0.01)
print("end", number)
''']
"""

FLOOR = """
import sys, zmq
pull = zmq.Context().socket(zmq.PULL)
pull.bind(sys.argv[1])
pull.recv()
"""


def floor_s() -> float:
    """Return what a restart takes that keeps nothing: process, import, bind, first message."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.setsockopt(zmq.RECONNECT_IVL, 10)
    push.setsockopt(zmq.IMMEDIATE, 1)
    push.connect(f"tcp://127.0.0.1:{port}")
    begin_s = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", FLOOR, f"tcp://127.0.0.1:{port}"]) as process:
        while process.poll() is None:
            with suppress(zmq.Again):
                push.send(b"x", zmq.DONTWAIT)
            time.sleep(0.001)
    took_s = time.monotonic() - begin_s
    context.destroy(0)
    return took_s


class Running:
    """A run on all nodes of a lab that prints until it is told to end."""

    def __init__(self, lab: Lab, lines: int) -> None:
        self._lab = lab
        self._stop = lab.directory / "stop"
        path = lab.directory / "recovery.toml"
        nodes = ", ".join(f'"{node}"' for node in lab.nodes)
        path.write_text(TRIAL.format(nodes=nodes, python=sys.executable, stop=self._stop, lines=lines))
        with (lab.directory / "run.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("fabric-run"),
                    str(path),
                    "-o",
                    str(lab.directory / "bundles"),
                    "--quiet",
                    *("--patience", "300", "--lease", "300"),
                ],
                env=lab.environment,
                stdout=log,
                stderr=log,
            )
        self.await_growth(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def stored_bytes(self) -> int:
        """Return the size of the run's record log."""
        return sum(path.stat().st_size for path in (self._lab.directory / "broker" / "runs").glob("*/*"))

    def await_growth(self, size: int) -> None:
        """Wait until the log is longer."""
        until_s = time.monotonic() + PATIENCE_S
        while self.stored_bytes() <= size:
            assert time.monotonic() < until_s, "nothing is stored"
            assert self._process.poll() is None, (self._lab.directory / "run.log").read_text()
            time.sleep(0.001)

    def recovery_s(self) -> float:
        """Kill the broker, start it again, and wait for the first record that it stores."""
        self.await_growth(self.stored_bytes() + 50_000)
        begin_s = time.monotonic()
        self._lab.kill_broker()
        size = self.stored_bytes()
        self._lab.start_broker_again()
        self.await_growth(size)
        return time.monotonic() - begin_s

    def end(self) -> None:
        """Let the programs end; see that every line is there once and in order."""
        self._stop.touch()
        code = self._process.wait(PATIENCE_S)
        assert code == 0, (self._lab.directory / "run.log").read_text()
        outputs = list((self._lab.directory / "bundles").glob("*/out/1/run/*/numbers.stdout"))
        assert len({path.resolve() for path in outputs}) == len(self._lab.nodes), outputs
        for path in outputs:
            for number, line in enumerate(_lines(path)):
                assert line in (str(number), f"end {number}"), f"{path}: line {number} is {line!r}"


def _lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        for line in file:
            yield line.rstrip("\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--lines", type=int, default=20, help="that each node prints in 10 ms")
    options = parser.parse_args()
    end_cleanly()
    found: dict[str, list[float]] = {"broker": [], "floor": []}
    nodes = tuple(f"lab{number}" for number in range(1, options.nodes + 1))
    with Lab(nodes) as lab, Running(lab, options.lines) as running:
        for _ in range(options.kills):
            found["broker"].append(running.recovery_s() * 1000)
            found["floor"].append(floor_s() * 1000)
        running.end()
    for name, values in found.items():
        print(f"{name:8} {spread(values, 'ms')}")
    print(f"ratio    {ratio(found['broker'], found['floor']):.1f}; lost or doubled: 0")


if __name__ == "__main__":
    main()
