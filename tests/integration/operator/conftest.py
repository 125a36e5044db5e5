"""A broker that answers operators only: real sockets with CURVE, a run kept in memory, faults on demand."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import zmq

from fabric.clock import MonotonicClock
from fabric.config import parse_url
from fabric.keys import KeyPair, OperatorAccess, operator_access_path
from fabric.loop import Loop
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import (
    Batch,
    Beacon,
    Beat,
    Denied,
    EntryHead,
    HelloWanted,
    Message,
    NodeInfo,
    Nodes,
    NodesRequest,
    OperatorHello,
    Rejected,
    Replay,
    ReplayEnd,
    RunInfo,
    Runs,
    RunsRequest,
    Welcome,
)
from fabric.protocol.records import Output, Record, RunEnded
from fabric.transport import bound_port, listen, make_context, receive_now, send_now

RUN = "20260301-102207-ping-k3f9"
BEACON_NS = 50_000_000
PAGE = 500  # nodes in one answer


class FakeBroker:
    """Lives in a thread; `stop` and `start` are what a crash and a restart are for its peers."""

    def __init__(self) -> None:
        self.keys, self.operator = KeyPair.new(), KeyPair.new()
        self.entries: list[tuple[int, int, list[bytes]]] = []  # first number, number after, frames
        self.nodes: tuple[NodeInfo, ...] = ()
        self.older_runs: tuple[RunInfo, ...] = ()
        self.is_open = True
        self.deaf = False
        self.refusal = ""
        self.hellos = 0
        self.epoch = 0
        self._ports = (0, 0)
        self._work: Queue[Callable[[], None]] = Queue()

    # --- for the test ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._context = make_context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self._control = self._listen(zmq.ROUTER, "control", self._ports[0])
        self._feed = self._listen(zmq.XPUB, "feed", self._ports[1])
        self._ports = (bound_port(self._control), bound_port(self._feed))
        self._known: set[bytes] = set()
        self._topics: list[bytes] = []
        self.epoch += 1
        self._stopping = False
        self._loop = Loop(MonotonicClock())
        self._thread = threading.Thread(target=self._serve, name="fake-broker")
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._loop.wake()
        self._thread.join(5)
        assert not self._thread.is_alive()
        self._loop.close()  # not by the thread: it may see the end before it is woken

    @property
    def access(self) -> OperatorAccess:
        return OperatorAccess(
            url=f"tcp://127.0.0.1:{self._ports[0]}",
            name="ops",
            keys=self.operator,
            broker_public=self.keys.public,
        )

    @property
    def last(self) -> int:
        return self.entries[-1][1] - 1 if self.entries else 0

    def append(self, *records: Record, node: str = "lab1", payload: bytes = b"", lost: bool = False) -> None:
        """Store records and publish them; ``lost`` is what a full queue does to a slow reader."""
        number = self.last + 1
        head = EntryHead(number=number, count=len(records), node=node, incarnation=1, first=number)
        batch = Batch(run=RUN, incarnation=1, first=number, records=records)
        frames = [encode(head), encode(batch), payload]
        self.entries.append((number, number + len(records), frames))
        if not lost:
            self._do(lambda: send_now(self._feed, [f"{RUN}/".encode(), *frames]))

    def say(self, *texts: str, node: str = "lab1", lost: bool = False) -> None:
        """Append output of one step, one record for each text."""
        records, size = [], sum(len(entry[2][2]) for entry in self.entries)
        for text in texts:
            records.append(make_output(len(text), size))
            size += len(text)
        self.append(*records, node=node, payload="".join(texts).encode(), lost=lost)

    def end(self, verdict: str = "pass") -> None:
        self.append(RunEnded(t_ns=2_000_000_000, bound_ns=0, verdict=verdict, why=()), node="")
        self.is_open = False

    @property
    def subscribed(self) -> bool:
        return f"{RUN}/".encode() in self._topics

    # --- its thread -----------------------------------------------------------------------------------

    def _do(self, work: Callable[[], Any]) -> None:
        self._work.put(work)
        self._loop.wake()

    def _listen(self, socket_type: int, domain: Any, port: int) -> Any:
        return listen(self._context, socket_type, f"tcp://127.0.0.1:{port}", self.keys, domain)

    def _serve(self) -> None:
        self._loop.add(self._zap, self._asked_zap)
        self._loop.add(self._control, self._control_came)
        self._loop.add(self._feed, self._feed_came)
        beacon_ns = 0
        while not self._stopping:
            now_ns = self._loop.turn(beacon_ns)
            if now_ns >= beacon_ns:
                beacon_ns = now_ns + BEACON_NS
                beacon = Beacon(run=RUN, number=self.last, open=self.is_open)
                send_now(self._feed, [f"{RUN}/".encode(), encode(beacon)])
            for _ in range(self._work.qsize()):
                self._work.get()()
        for socket in (self._control, self._feed, self._zap):
            socket.close(linger=0)
        self._context.term()

    def _asked_zap(self, _now_ns: int) -> None:
        version, request, *_ = self._zap.recv_multipart()
        self._zap.send_multipart([version, request, b"200", b"OK", b"operator:ops", b""])

    def _feed_came(self, _now_ns: int) -> None:
        for received in receive_now(self._feed, 100):
            frame = bytes(received.frames[0])
            if frame[:1] == b"\x01":
                self._topics.append(frame[1:])

    def _control_came(self, _now_ns: int) -> None:
        for received in receive_now(self._control, 100):
            if self.deaf:
                continue
            for answer in self._answers(received.route, decode(received.frames[0])):
                send_now(self._control, [received.route, *answer])

    def _answers(self, route: bytes, message: Message) -> Iterator[Sequence[bytes]]:
        if isinstance(message, OperatorHello):
            self.hellos += 1
            self._known.add(route)
            yield [encode(self._greeting())]
        elif route not in self._known:
            yield [encode(HelloWanted())]
        elif isinstance(message, Replay):
            yield from self._replay(message)
        elif isinstance(message, Beat):
            yield [encode(Beat())]
        elif isinstance(message, NodesRequest):
            rest = [info for info in self.nodes if info.name > message.after]
            page, more = tuple(rest[:PAGE]), len(rest) > PAGE
            yield [encode(Nodes(request=message.request, nodes=page, more=more))]
        elif isinstance(message, RunsRequest):
            found = [info for info in (self.info, *self.older_runs) if info.run.startswith(message.run)]
            yield [encode(Runs(request=message.request, runs=tuple(found[: message.limit])))]

    def _greeting(self) -> Message:
        if self.refusal:
            return Rejected(code="not_allowed", sentence=self.refusal)
        return Welcome(
            protocol=PROTOCOL_VERSION,
            software="0",
            epoch=self.epoch,
            name="ops",
            go_port=1,
            sink_port=2,
            feed_port=self._ports[1],
        )

    @property
    def info(self) -> RunInfo:
        return RunInfo(
            run=RUN,
            name="ping",
            state="open" if self.is_open else "closed",
            verdict="" if self.is_open else "pass",
            operator="ops",
            opened_ns=1_000_000_000,
            closed_ns=0 if self.is_open else 3_000_000_000,
            nodes=("lab1", "lab2"),
            last=self.last,
        )

    def _replay(self, message: Replay) -> Iterator[Sequence[bytes]]:
        if message.run != RUN:
            yield [encode(Denied(request=message.request, code="unknown_run", sentence="no such run"))]
            return
        size, following = 0, message.number
        for _, end, frames in self.entries:
            if end <= message.number:
                continue
            if size >= message.limit_bytes:
                break
            yield frames
            size += sum(map(len, frames))
            following = end
        at_end = following > self.last
        yield [encode(ReplayEnd(request=message.request, run=RUN, next=following, end=at_end))]


def make_output(size: int, offset: int, t_ns: int = 1_000_000_000) -> Output:
    return Output(
        t_ns=t_ns, bound_ns=0, step="1/run/left/ping", attempt=1, stream="stdout", offset=offset, size=size
    )


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    fake = FakeBroker()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def operator(broker: FakeBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """Give this user the key for the broker, as `fabric-broker` does for the one who starts it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    broker.access.save(operator_access_path(parse_url(broker.access.url)))
    return broker


@pytest.fixture
def older_run(broker: FakeBroker) -> RunInfo:
    return replace(broker.info, run="20260228-102207-ping-aaaa", state="closed", verdict="fail", closed_ns=2)
