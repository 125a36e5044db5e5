#!/usr/bin/env python3
"""What a lab notices of strangers who connect to its broker by the thousand.

Two agents run phases and print, and a peer asks for the time again and again; meanwhile strangers come, as
fast as one process can make them come:
silent: connections that say nothing; half: ZeroMQ's greeting and no more; hello: the greeting and the first
command of a handshake; slow: a byte a second; key: the whole handshake, with a key that nobody knows.
Floor: calm, nobody comes; busy, a process that only takes as much of a processor as a flood does.
The strangers come from the address of the agents and operators, the worst case, or from one of their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import zmq
from common import Lab, end_cleanly, program
from figures import load
from strangers import WAYS, flooding

from fabric.keys import OperatorAccess
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.transport import connect, receive_frames, send_now

PROBE_S: Final = 0.005
PATIENCE_S: Final = 90.0
KEPT: Final = 64
"""Open files of a broker that may be its record logs."""


TRIAL: Final = """
[trial]
name = "flooded"
repeat = {repeats}
[nodes]
all = [{nodes}]
[run]
all = "head -c {bytes} /dev/zero | tr '\\\\0' x"
"""


class Good:
    """An operator who asks for the time again and again, and notes how long each answer takes."""

    def __init__(self, access: OperatorAccess) -> None:
        self._access = access
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.took_s: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        with zmq.Context() as context:
            line = joined(context, self._access)
            while not self._over.wait(PROBE_S):
                begun_s = time.perf_counter()
                send_now(line, [encode(m.Probe(t1_ns=1))])
                wait_for(line, m.ProbeReply)
                self.took_s.append(time.perf_counter() - begun_s)
            line.close(linger=0)


def joined(context: "zmq.Context[Any]", access: OperatorAccess) -> "zmq.Socket[Any]":
    """Return a connection that the broker has welcomed."""
    line = connect(context, zmq.DEALER, access.url, access.keys, access.broker_public)
    hello = m.OperatorHello(
        protocol=PROTOCOL_VERSION, software="0", program="bench", session="s", user="u", host="h"
    )
    while True:
        if line.poll(100, zmq.POLLOUT):
            send_now(line, [encode(hello)])
            with suppress(TimeoutError):
                wait_for(line, m.Welcome, 1.0)
                return line


def wait_for(line: "zmq.Socket[Any]", kind: type, within_s: float = PATIENCE_S) -> None:
    """Wait for a message of a kind."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        line.poll(100)
        if any(isinstance(decode(frames[0]), kind) for frames in receive_frames(line, 100)):
            return
    raise TimeoutError(kind.__name__)


def newcomer_s(access: OperatorAccess) -> float:
    """Return what it takes to connect and to be welcomed."""
    since_s = time.perf_counter()
    with zmq.Context() as context:
        joined(context, access).close(linger=0)
    return time.perf_counter() - since_s


class Run:
    """A run of phases that print, as a user starts it."""

    def __init__(self, lab: Lab, repeats: int, size: int) -> None:
        self.phases: list[float] = []  # ms from the end of a phase to t0 of the next
        self.outputs: list[float] = []  # ms from t0 of a phase to its end
        with tempfile.TemporaryDirectory() as place:
            trial = Path(place) / "flooded.toml"
            nodes = ", ".join(f'"{node}"' for node in lab.nodes)
            trial.write_text(TRIAL.format(nodes=nodes, repeats=repeats, bytes=size))
            command = [program("fabric-run"), "-q", "-o", f"{place}/runs", str(trial)]
            done = subprocess.run(
                command, env=lab.environment, check=False, capture_output=True, text=True, timeout=PATIENCE_S
            )
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            self._read(Path(place) / "runs" / "latest" / "events.jsonl")

    def _read(self, path: Path) -> None:
        t0, end = 0.0, 0.0
        for event in map(json.loads, path.read_text().splitlines()):
            if event["type"] == "phase_started":
                t0 = event["t0"]
                if end:
                    self.phases.append((t0 - end) * 1e3)
            elif event["type"] == "phase_finished":
                end = max(end, event["t"])
            elif event["type"] == "phase_ended":
                self.outputs.append((end - t0) * 1e3)


class Broker:
    """What the broker takes: open files, memory and processor time."""

    def __init__(self, lab: Lab) -> None:
        self._proc = Path(f"/proc/{lab.processes['broker'].pid}")

    def files(self) -> int:
        """Return how many files it has open."""
        return sum(1 for _ in (self._proc / "fd").iterdir())

    def mebibytes(self) -> float:
        """Return its resident memory."""
        lines = (self._proc / "status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def processor_s(self) -> float:
        """Return the processor time that it has used."""
        words = (self._proc / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at the broker again and again until it is left."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.files = 0
        self.mebibytes = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self.files = max(self.files, self._broker.files())
            self.mebibytes = max(self.mebibytes, self._broker.mebibytes())
            if self._over.wait(0.2):
                return


class Found:
    """What one way has shown in all its rounds."""

    def __init__(self) -> None:
        self.came: list[float] = []  # strangers per second
        self.busy: list[float] = []  # of a processor, that the broker took
        self.files: list[float] = []
        self.mebibytes: list[float] = []
        self.answers: list[float] = []  # ms
        self.phases: list[float] = []
        self.outputs: list[float] = []
        self.joins: list[float] = []  # ms

    def add(self, lab: Lab, way: str, address: str, repeats: int, size: int) -> None:
        """Do it once more."""
        broker = Broker(lab)
        with flooding(way, lab.access, address) as count, Watch(broker) as watch, Good(lab.access) as good:
            used_s, begun_s, came = broker.processor_s(), time.monotonic(), count()
            run = Run(lab, repeats, size)
            self.joins += [newcomer_s(lab.access) * 1e3 for _ in range(3)]
            took_s = time.monotonic() - begun_s
            self.came.append((count() - came) / took_s)
            self.busy.append((broker.processor_s() - used_s) / took_s)
        self.phases += run.phases
        self.outputs += run.outputs
        self.answers += [answer * 1e3 for answer in good.took_s]
        self.files.append(watch.files)
        self.mebibytes.append(watch.mebibytes)

    def line(self) -> str:
        """Return it as columns."""
        answers = sorted(self.answers)
        p99 = answers[len(answers) * 99 // 100]
        middle = statistics.median
        columns = (
            f"{middle(self.came):7.0f}/s {middle(self.busy):5.2f}",
            f"{max(self.files):6.0f} {max(self.mebibytes):5.0f}",
            f"{middle(answers):7.1f} {p99:7.1f} {answers[-1]:7.0f}",
            f"{middle(self.phases):7.1f} {max(self.phases):6.0f}",
            f"{middle(self.outputs):7.0f}",
            f"{middle(self.joins):6.0f} {max(self.joins):6.0f}",
        )
        return " ".join(columns)


HEAD: Final = (
    f"{'':7} {'came':>9} {'cpu':>5} {'files':>6} {'MiB':>5} {'answer':>7} {'p99':>7} {'max ms':>7} "
    f"{'phase':>7} {'max ms':>6} {'output':>7} {'join':>6} {'max ms':>6}"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10, help="phases of one run")
    parser.add_argument("--megabytes", type=int, default=4, help="that each node prints in a phase")
    parser.add_argument("--ways", nargs="*", default=WAYS, choices=WAYS)
    parser.add_argument("--address", default="127.0.0.1", help="of the strangers")
    options = parser.parse_args()
    end_cleanly()
    found = {way: Found() for way in options.ways}
    with Lab(("lab1", "lab2")) as lab:
        broker = Broker(lab)
        before = broker.files(), broker.mebibytes()
        for _ in range(options.rounds):
            for way, one in found.items():
                one.add(lab, way, options.address, options.repeats, options.megabytes << 20)
                print(f"{way:7} {one.line()}", file=sys.stderr, flush=True)
        until_s = time.monotonic() + PATIENCE_S
        while broker.files() > before[0] + KEPT and time.monotonic() < until_s:
            time.sleep(0.5)
        after = broker.files(), broker.mebibytes()
    print(f"strangers from {options.address}; load {load()}")
    print(f"broker before {before[0]} files, {before[1]:.0f} MiB; after {after[0]} files, {after[1]:.0f} MiB")
    print(HEAD)
    for way, one in found.items():
        print(f"{way:7} {one.line()}")


if __name__ == "__main__":
    main()
