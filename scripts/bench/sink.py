#!/usr/bin/env python3
"""How fast the sink stores for good: PUSH, broker, record log, disk, acknowledgement, with an agent's window.

Floor: one process appends the same bytes to a file and calls fdatasync in a thread, as often as the broker
did in the round before.  Batches of large records, as of a program that prints fast, and of small ones.
"""

import argparse
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import zmq
from common import PATIENCE_S, Lab, Operator, cpu_s, end_cleanly, ratio, spread

from fabric.config import parse_url
from fabric.keys import JoinToken, KeyPair
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import BATCH_RECORDS, PROTOCOL_VERSION, WINDOW_BYTES, WINDOW_RECORDS
from fabric.protocol.records import Output
from fabric.transport import connect, make_context, receive_frames, send_now

NODE = "pusher"
STEP = "1/run/bench/step"
BEAT_S = 1.0


@dataclass(frozen=True)
class Shape:
    """Of the batches."""

    name: str
    records: int
    record_bytes: int

    @property
    def payload_bytes(self) -> int:
        """Of one batch."""
        return self.records * self.record_bytes


SHAPES = (Shape("128 KiB", 2, 128 * 1024), Shape("100 B", BATCH_RECORDS, 100))


class Pusher:
    """What an agent is to the sink: a key, a hello, a journal, a window."""

    def __init__(self, lab: Lab, operator: Operator) -> None:
        self._operator = operator
        self._url = parse_url(lab.access.url)
        self._token = JoinToken.parse(lab.join)
        self._keys = KeyPair.new()
        self._context = make_context()
        self._enrol()
        self._control = self._connect(zmq.DEALER, str(self._url))
        welcome = self._ask(self._control, self._hello(), m.Welcome)
        assert isinstance(welcome, m.Welcome)
        self._sink = self._connect(zmq.PUSH, str(self._url.at(welcome.sink_port)))
        self._poller = zmq.Poller()
        self._poller.register(self._control, zmq.POLLIN)
        self._run = operator.reserve(NODE)
        self._last = 0  # number of the last record that was made
        self._beat_s = 0.0

    def close(self) -> None:
        """Leave."""
        self._context.destroy(0)

    def push(self, shape: Shape, size_bytes: int) -> tuple[float, float]:
        """Store so many bytes; return the seconds until all is acknowledged, and the mean of a commit's."""
        payload = os.urandom(shape.payload_bytes)
        frames = [self._batch(shape) for _ in range(size_bytes // len(payload))]
        per_window = min(WINDOW_BYTES // len(payload), WINDOW_RECORDS // shape.records)
        sent, acknowledged, commits = 0, 0, 0
        base = self._last - len(frames) * shape.records
        begin_s = time.perf_counter()
        while acknowledged < len(frames):
            while sent < len(frames) and sent - acknowledged < per_window:
                if not send_now(self._sink, (frames[sent], payload)):
                    break
                sent += 1
            is_open = sent < len(frames) and sent - acknowledged < per_window
            self._poller.register(self._sink, zmq.POLLOUT * is_open)
            self._poller.poll(1000)
            for told in receive_frames(self._control, 100):
                message = decode(told[-1])
                assert not isinstance(message, m.Resend), message
                if isinstance(message, m.Acknowledged):
                    acknowledged = (message.number - base) // shape.records
                    commits += 1
            self._beat()
        spent_s = time.perf_counter() - begin_s
        return spent_s, spent_s / commits

    def _beat(self) -> None:
        if time.monotonic() - self._beat_s > BEAT_S:
            self._beat_s = time.monotonic()
            send_now(self._control, [encode(m.Beat())])
            self._operator.pause(0)

    def _batch(self, shape: Shape) -> bytes:
        records = tuple(
            Output(
                t_ns=time.time_ns(),
                bound_ns=1000,
                step=STEP,
                attempt=1,
                stream="stdout",
                offset=index,
                size=shape.record_bytes,
            )
            for index in range(shape.records)
        )
        first, self._last = self._last + 1, self._last + shape.records
        return encode(m.Batch(run=self._run, incarnation=1, first=first, records=records))

    def _enrol(self) -> None:
        unknown = self._connect(zmq.DEALER, str(self._url))
        enrol = m.Enrol(protocol=PROTOCOL_VERSION, name=NODE, secret=self._token.secret)
        self._ask(unknown, enrol, m.Enrolled)
        unknown.close(0)

    def _hello(self) -> m.AgentHello:
        return m.AgentHello(
            protocol=PROTOCOL_VERSION,
            software="bench",
            name=NODE,
            instance=NODE,
            incarnation=1,
            labels=(),
            addresses={},
            facts={},
            journals=(),
            runs=(),
        )

    def _connect(self, kind: int, url: str) -> "zmq.Socket[bytes]":
        return connect(self._context, kind, url, self._keys, self._token.broker_public)

    def _ask(self, socket: "zmq.Socket[bytes]", message: m.Message, wanted: type[m.Message]) -> m.Message:
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if socket.poll(100, zmq.POLLOUT):
                send_now(socket, [encode(message)])
            if socket.poll(500):
                for frames in receive_frames(socket, 10):
                    answer = decode(frames[-1])
                    assert not isinstance(answer, m.Rejected), answer
                    if isinstance(answer, wanted):
                        return answer
        raise SystemExit("the broker does not answer")


def append(place: Path, shape: Shape, size_bytes: int, interval_s: float) -> float:
    """Return the seconds in which plain writes, with fdatasync at an interval, are durable."""
    payload = os.urandom(shape.payload_bytes)
    fd = os.open(place / "floor", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(interval_s):
            os.fdatasync(fd)

    thread = threading.Thread(target=work)
    begin_s = time.perf_counter()
    thread.start()
    for _ in range(size_bytes // len(payload)):
        os.write(fd, payload)
    os.fdatasync(fd)
    spent_s = time.perf_counter() - begin_s
    ended.set()
    thread.join()
    os.close(fd)
    (place / "floor").unlink()
    return spent_s


def measure(pusher: Pusher, place: Path, shape: Shape, megabytes: int, rounds: int, broker: int) -> None:  # noqa: PLR0917
    """Print the medians of both ways, which take turns; ``broker`` is its process."""
    size_bytes = megabytes * 1_000_000 // shape.payload_bytes * shape.payload_bytes
    rates: dict[str, list[float]] = {"sink": [], "append": []}
    intervals_ms: list[float] = []
    costs: dict[str, list[float]] = {"sink": [], "append": []}
    for number in range(rounds + 1):
        before_s = cpu_s(broker)
        spent_s, interval_s = pusher.push(shape, size_bytes)
        used_s = cpu_s(broker) - before_s
        before_s = time.process_time()
        floor_s = append(place, shape, size_bytes, interval_s)
        if number:  # the first one warms up
            costs["sink"].append(used_s * 1e9 / size_bytes)
            costs["append"].append((time.process_time() - before_s) * 1e9 / size_bytes)
            rates["sink"].append(size_bytes / spent_s / 1e6)
            rates["append"].append(size_bytes / floor_s / 1e6)
            intervals_ms.append(interval_s * 1000)
    per_s = [rate * 1e6 / shape.record_bytes for rate in rates["sink"]]
    print(f"records of {shape.name}, acknowledged every {spread(intervals_ms, 'ms', 1)}:")
    print(f"  sink                {spread(rates['sink'], 'MB/s')}, {spread(per_s, 'records/s')}")
    print(f"  append + fdatasync  {spread(rates['append'], 'MB/s')}")
    print(f"  ratio               {ratio(rates['sink'], rates['append']):.2f}")
    for name, way in (("the broker", "sink"), ("the append", "append")):
        print(f"  processor time of {name}: {spread(costs[way], 's', 2)} for each GB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="on the disk to be measured")
    parser.add_argument("--megabytes", type=int, default=256, help="of 128 KiB records, a 16th of 100 B ones")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    end_cleanly()
    with (
        tempfile.TemporaryDirectory(dir=options.dir) as place,
        Lab((), options.dir) as lab,
        Operator(lab.access) as operator,
    ):
        pusher = Pusher(lab, operator)
        for shape, part in zip(SHAPES, (1, 16), strict=True):
            broker = lab.processes["broker"].pid
            measure(pusher, Path(place), shape, options.megabytes // part, options.rounds, broker)
        pusher.close()


if __name__ == "__main__":
    main()
