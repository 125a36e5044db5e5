"""A broker process and scripted peers: they say what a test wants, by real sockets."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import zmq

from fabric.config import parse_url
from fabric.keys import JoinToken, KeyPair, OperatorAccess
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.records import Output, Record
from fabric.transport import connect, receive_frames, send_now
from fabric.transport.sockets import Context

BOUND_S = 60.0
"""What only a failing test waits for."""

RUN = "20260301-102207-ping-k3f9"
OTHER = "20260301-110000-other-aaaa"
M = TypeVar("M")

Start = Callable[..., "subprocess.Popen[str]"]
"""Starts a broker as a user does: takes arguments and, by name, variables of the environment."""


class BrokerProcess:
    """`python -m broker` on ports of the kernel's choice, which it keeps over restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.listen = "tcp://127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None
        self.before: tuple[str, ...] = ()  # what runs it

    def start(self, *more: str) -> None:
        read, write = os.pipe()
        arguments = ("--state-dir", self.directory / "state", "--operator-file", self.directory / "operator")
        self.process = subprocess.Popen(
            [
                *(*self.before, sys.executable, "-m", "broker", "--listen", self.listen),
                *("--announce-fd", str(write), *arguments, *more),
            ],
            pass_fds=[write],
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(write)
        with os.fdopen(read) as announced:
            line = announced.readline()
        assert line, self.process.communicate(timeout=BOUND_S)[1]
        said = json.loads(line)
        self.listen = said["url"]
        self.token = JoinToken.parse(said["join"])
        access = OperatorAccess.load(Path(said["operator_file"]))
        assert access is not None
        self.operator = access

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.errors = self.process.communicate(timeout=BOUND_S)[1]
        code, self.process = self.process.returncode, None
        return code


class FakePeer:
    """An agent or an operator that says what the test wants."""

    def __init__(self, context: Context, broker: BrokerProcess, name: str, keys: KeyPair) -> None:
        self.context, self.broker, self.name, self.keys = context, broker, name, keys
        self.feed: zmq.Socket[Any] | None = None
        self.sockets: list[zmq.Socket[Any]] = []
        self.waiting: list[m.Message] = []
        self.replayed: list[list[bytes]] = []
        self.control = self.connect(zmq.DEALER)

    def connect(self, kind: int, offset: int = 0) -> zmq.Socket[Any]:
        address = parse_url(self.broker.listen)
        url = str(address.at(address.port + offset))
        socket = connect(self.context, kind, url, self.keys, self.broker.token.broker_public)
        self.sockets.append(socket)
        return socket

    def close(self) -> None:
        for socket in self.sockets:
            socket.close(linger=0)
        self.sockets.clear()

    def say(self, message: m.Message) -> None:
        self.push(self.control, [encode(message)])

    def push(self, socket: zmq.Socket[Any], frames: list[bytes]) -> None:
        until(lambda: send_now(socket, frames), socket, zmq.POLLOUT)

    def take(self) -> None:
        """Take what has come."""
        for frames in receive_frames(self.control, 100):
            if len(frames) > 1:
                self.replayed.append(frames)
            else:
                self.waiting.append(decode(frames[0]))

    def expect(self, kind: type[M]) -> M:
        """Return the next message of a kind; others are kept for later, but for beats."""

        def found() -> bool:
            self.take()
            return any(isinstance(message, kind) for message in self.waiting)

        until(found, self.control, zmq.POLLIN)
        message = next(message for message in self.waiting if isinstance(message, kind))
        self.waiting.remove(message)
        return message

    def ask(self, message: m.Message, kind: type[M]) -> M:
        self.say(message)
        return self.expect(kind)


class FakeAgent(FakePeer):
    """A node's agent: enrols, says hello, has a go and a sink socket."""

    incarnation = 1

    def join(self, *runs: str) -> m.Welcome:
        self.ask(enrol(self.name, self.broker), m.Enrolled)
        self.close()
        return self.meet(*runs)

    def meet(self, *runs: str) -> m.Welcome:
        """Connect anew, as a known key."""
        self.control = self.connect(zmq.DEALER)
        self.go = self.connect(zmq.SUB, 1)
        self.go.subscribe(b"go")
        self.sink = self.connect(zmq.PUSH, 2)
        return self.ask(self.hello(*runs), m.Welcome)

    def hello(self, *runs: str, instance: str = "") -> m.AgentHello:
        return m.AgentHello(
            protocol=PROTOCOL_VERSION,
            software="0.1.0",
            name=self.name,
            instance=instance or self.name,
            incarnation=self.incarnation,
            labels=(),
            addresses={"": "127.0.0.1"},
            facts={},
            journals=tuple(m.JournalHead(run=run, incarnation=self.incarnation) for run in runs),
            runs=runs,
        )

    def ship(self, first: int, *texts: bytes, run: str = RUN) -> None:
        records: list[Record] = [output(text) for text in texts]
        batch = m.Batch(run=run, incarnation=self.incarnation, first=first, records=tuple(records))
        self.push(self.sink, [encode(batch), b"".join(texts)])


def until(done: Callable[[], bool], socket: zmq.Socket[Any], events: int) -> None:
    """Wait for something of a socket."""
    end = time.monotonic() + BOUND_S
    while not done():
        assert time.monotonic() < end, "nothing came"
        socket.poll(100, events)


def output(text: bytes) -> Output:
    return Output(
        t_ns=1, bound_ns=1, step="1/run/client/ping", attempt=1, stream="stdout", offset=0, size=len(text)
    )


def enrol(name: str, broker: BrokerProcess) -> m.Enrol:
    return m.Enrol(protocol=PROTOCOL_VERSION, name=name, secret=broker.token.secret)


class Lab:
    """A broker, and peers that a test makes."""

    def __init__(self, broker: BrokerProcess, context: Context) -> None:
        self.broker, self.context = broker, context
        self.peers: list[FakePeer] = []

    def agent(self, name: str, *, join: bool = True) -> FakeAgent:
        agent = FakeAgent(self.context, self.broker, name, KeyPair.new())
        self.peers.append(agent)
        if join:
            agent.join()
        return agent

    def operator(self) -> FakePeer:
        access = self.broker.operator
        operator = FakePeer(self.context, self.broker, access.name, access.keys)
        self.peers.append(operator)
        operator.feed = operator.connect(zmq.SUB, 3)
        operator.ask(operator_hello(), m.Welcome)
        return operator

    def running(self, *nodes: FakeAgent) -> FakePeer:
        """Return a controller whose run is open on these nodes."""
        operator = self.operator()
        operator.ask(open_run(RUN, *nodes), m.RunOpened)
        for node in nodes:
            operator.say(assign(node))
            node.expect(m.Assign)
            node.say(m.Assigned(run=RUN, node=node.name))
            operator.expect(m.Assigned)
        return operator


def operator_hello() -> m.OperatorHello:
    return m.OperatorHello(
        protocol=PROTOCOL_VERSION, software="0.1.0", program="test", session="one", user="ann", host="desk"
    )


def open_run(run: str, *nodes: FakeAgent) -> m.OpenRun:
    names = tuple(node.name for node in nodes)
    return m.OpenRun(request=1, run=run, name="ping", nodes=names, trial="", plan="{}", lease_s=20.0)


def assign(node: FakeAgent) -> m.Assign:
    return m.Assign(run=RUN, node=node.name, on_lost="stop", lease_s=20.0, reset=())


def replay(
    reader: FakePeer, *, without_bytes: bool = False, run: str = RUN
) -> list[tuple[m.EntryHead, m.Batch, bytes]]:
    """Return all entries of the run as replay brings them."""
    reader.replayed.clear()
    number = 1
    while True:
        wanted = m.Replay(request=7, run=run, number=number, limit_bytes=1 << 20, without_bytes=without_bytes)
        end = reader.ask(wanted, m.ReplayEnd)
        number = end.next
        if end.end:
            return [entry(frames) for frames in reader.replayed]


def entry(frames: list[bytes]) -> tuple[m.EntryHead, m.Batch, bytes]:
    head, batch = decode(frames[0]), decode(frames[1])
    assert isinstance(head, m.EntryHead)
    assert isinstance(batch, m.Batch)
    return head, batch, frames[2]


def text_of(entries: list[tuple[m.EntryHead, m.Batch, bytes]], node: str) -> bytes:
    return b"".join(payload for head, _, payload in entries if head.node == node)


def start(go: int, *nodes: FakeAgent) -> m.StartPhase:
    names = tuple(node.name for node in nodes)
    return m.StartPhase(run=RUN, phase="1/run", go=go, nodes=names, lead_s=2.0, max_rtt_ns=0)
