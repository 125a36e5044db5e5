"""The broker as a process, with real sockets and scripted peers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq

from fabric.config import parse_url
from fabric.keys import JoinToken, KeyPair, OperatorAccess
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.records import Notice, Output, Record
from fabric.transport import connect, receive_frames, send_now
from fabric.transport.sockets import Context

BOUND_S = 20.0
"""What only a failing test waits for."""

RUN = "20260301-102207-ping-k3f9"
OTHER = "20260301-110000-other-aaaa"
M = TypeVar("M")


class BrokerProcess:
    """`python -m broker` on ports of the kernel's choice, which it keeps over restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.listen = "tcp://127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *more: str) -> None:
        read, write = os.pipe()
        arguments = ("--state-dir", self.directory / "state", "--operator-file", self.directory / "operator")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "broker", "--listen", self.listen),
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

    def expect(self, kind: type[M]) -> M:
        """Return the next message of a kind; others are kept for later, but for beats."""

        def found() -> bool:
            for frames in receive_frames(self.control, 100):
                if len(frames) > 1:
                    self.replayed.append(frames)
                else:
                    self.waiting.append(decode(frames[0]))
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
            protocol=1,
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
    return m.Enrol(protocol=1, name=name, secret=broker.token.secret)


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
        protocol=1, software="0.1.0", program="test", session="one", user="ann", host="desk"
    )


def open_run(run: str, *nodes: FakeAgent) -> m.OpenRun:
    names = tuple(node.name for node in nodes)
    return m.OpenRun(request=1, run=run, name="ping", nodes=names, trial="", plan="{}", lease_s=20.0)


def assign(node: FakeAgent) -> m.Assign:
    return m.Assign(run=RUN, node=node.name, on_lost="stop", lease_s=20.0, reset=())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    broker = BrokerProcess(tmp_path)
    broker.start()
    context: Context = zmq.Context()
    made = Lab(broker, context)
    yield made
    for peer in made.peers:
        peer.close()
    context.term()
    if broker.process is not None:
        assert broker.end(signal.SIGTERM) == 0


def replay(reader: FakePeer) -> list[tuple[m.EntryHead, m.Batch, bytes]]:
    """Return all entries of the run as replay brings them."""
    reader.replayed.clear()
    number = 1
    while True:
        end = reader.ask(m.Replay(request=7, run=RUN, number=number, limit_bytes=1 << 20), m.ReplayEnd)
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


# --- joining ----------------------------------------------------------------------------------------


def test_an_agent_enrols_and_is_welcomed_with_the_other_ports(lab: Lab) -> None:
    """One address is configured; the rest comes from the broker."""
    welcome = lab.agent("lab1", join=False).join()
    port = parse_url(lab.broker.listen).port
    assert (welcome.name, welcome.go_port, welcome.sink_port) == ("lab1", port + 1, port + 2)


def test_a_wrong_token_and_a_name_in_use_are_refused_with_a_sentence(lab: Lab) -> None:
    """Both end in front of a person."""
    lab.agent("lab1")
    stranger = lab.agent("lab1", join=False)
    rejected = stranger.ask(m.Enrol(protocol=1, name="lab2", secret=b"0" * 16), m.Rejected)
    assert (rejected.code, rejected.sentence) == ("bad_token", "the join token is not this broker's")
    rejected = stranger.ask(enrol("lab1", lab.broker), m.Rejected)
    assert rejected.code == "name_in_use"
    assert rejected.sentence.startswith("the name lab1 belongs to another key")


def test_a_second_agent_with_a_copied_key_is_refused_while_the_first_lives(lab: Lab) -> None:
    """A copied state directory is one name twice."""
    first = lab.agent("lab1")
    second = FakeAgent(lab.context, lab.broker, "lab1", first.keys)
    lab.peers.append(second)
    rejected = second.ask(second.hello(instance="copy"), m.Rejected)
    assert rejected.code == "name_in_use"
    first.say(m.Probe(t1_ns=5))
    assert first.expect(m.ProbeReply).t1_ns == 5, "the first one is not disturbed"


def test_another_version_of_the_protocol_is_told_what_to_do(lab: Lab) -> None:
    """An old agent must not be left wondering."""
    agent = lab.agent("lab1", join=False)
    old = encode(enrol("lab1", lab.broker)).replace(b"\xa8protocol\x01", b"\xa8protocol\x63")
    agent.push(agent.control, [old])
    rejected = agent.expect(m.Rejected)
    assert rejected.code == "version"
    assert "install the same version" in rejected.sentence


# --- a run ------------------------------------------------------------------------------------------


def test_a_phase_is_prepared_started_and_committed(lab: Lab) -> None:
    """Orders and answers are relayed, the go is broadcast and confirmed."""
    one, two = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(one, two)
    for node in (one, two):
        prepare = m.Prepare(
            run=RUN, node=node.name, phase="1/run", end=(), failed=False, stopped=False, steps=()
        )
        controller.say(prepare)
        assert node.expect(m.Prepare) == prepare
        node.say(m.Ready(run=RUN, node=node.name, phase="1/run", clock_bound_ns=1, rtt_ns=1))
        assert controller.expect(m.Ready).node == node.name
    begun = time.time_ns()
    controller.say(start(1, one, two))
    for node in (one, two):
        go = node.expect(m.Go)  # by control, since not everybody is known to listen
        node.say(m.Confirm(run=RUN, phase="1/run", go=1))
    committed = controller.expect(m.GoCommitted)
    assert (committed.t0_ns, committed.lead_ns) == (go.t0_ns, 2_000_000_000)
    assert begun < committed.t0_ns < time.time_ns() + 2_000_000_000


def test_a_go_reaches_those_who_listen_by_broadcast(lab: Lab) -> None:
    """One message for all: that is what keeps the lead short for many nodes."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    heard: list[list[bytes]] = []
    number = 0

    def go_came() -> bool:
        """Say whether it came by either way: by control while the subscription is under way."""
        heard.extend(receive_frames(node.go, 10))
        node.waiting += [decode(frames[0]) for frames in receive_frames(node.control, 10)]
        return m.Go in map(type, node.waiting) or bool(heard)

    while not heard:
        number += 1
        node.waiting.clear()
        controller.say(start(number, node))
        until(go_came, node.go, zmq.POLLIN)
        node.say(m.Confirm(run=RUN, phase="1/run", go=number))
        controller.expect(m.GoCommitted)
    topic, frame = heard[-1]
    assert topic == b"go"
    go = decode(frame)
    assert isinstance(go, m.Go)
    assert (go.run, go.phase, go.go, go.epoch) == (RUN, "1/run", number, 1)


def start(go: int, *nodes: FakeAgent) -> m.StartPhase:
    names = tuple(node.name for node in nodes)
    return m.StartPhase(run=RUN, phase="1/run", go=go, nodes=names, lead_s=2.0, max_rtt_ns=0)


def test_a_go_that_nobody_confirms_is_taken_back(lab: Lab) -> None:
    """The broker's own clock drives it."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    controller.say(m.StartPhase(run=RUN, phase="1/run", go=1, nodes=("lab1",), lead_s=0.05, max_rtt_ns=0))
    node.expect(m.Abort)
    node.say(m.Aborted(run=RUN, phase="1/run", go=1, started=False))
    aborted = controller.expect(m.GoAborted)
    assert aborted.reasons == {"lab1": "lab1 did not confirm the go in time"}


def test_two_runs_that_want_one_node(lab: Lab) -> None:
    """The second is told by whom and since when."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    denied = controller.ask(open_run(OTHER, node), m.Denied)
    assert denied.code == "busy"
    assert re.fullmatch(rf"lab1 is in use by run {RUN} of \S+ since 20\S+ \S+ UTC", denied.sentence)
    assert controller.ask(
        m.CloseRun(request=2, run=RUN, verdict="pass", result="{}"), m.RunClosed
    ) == m.RunClosed(request=2, run=RUN)
    assert controller.ask(open_run(OTHER, node), m.RunOpened).run == OTHER
    runs = controller.ask(m.RunsRequest(request=3, run="", limit=10), m.Runs).runs
    assert [(run.run, run.state, run.verdict) for run in runs] == [
        (OTHER, "open", ""),
        (RUN, "closed", "pass"),
    ]


# --- records ----------------------------------------------------------------------------------------


def test_records_come_by_the_feed_as_they_were_sent_and_again_by_replay(lab: Lab) -> None:
    """Readers have one interface: live, and what they missed."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    assert controller.feed is not None
    controller.feed.subscribe(f"{RUN}/")
    seen: list[list[bytes]] = []

    def beacon_came() -> bool:
        seen.extend(receive_frames(controller.feed, 10))
        return bool(seen)

    until(beacon_came, controller.feed, zmq.POLLIN)  # so the subscription has arrived
    assert decode(seen[0][1]) == m.Beacon(run=RUN, number=0, open=True)
    notice = Notice(t_ns=1, bound_ns=0, level="info", message="begin")
    controller.say(m.Append(run=RUN, incarnation=1 << 40, first=1, records=(notice,)))
    assert controller.expect(m.Acknowledged).number == 1
    node.ship(1, b"hello ", b"\xff\x00world")
    assert node.expect(m.Acknowledged).number == 2
    stored = replay(controller)
    assert [head.number for head, _, _ in stored] == [1, 2]
    assert text_of(stored, "lab1") == b"hello \xff\x00world"

    def all_came() -> bool:
        seen.extend(receive_frames(controller.feed, 10))
        return sum(len(frames) == 4 for frames in seen) == 2

    until(all_came, controller.feed, zmq.POLLIN)
    assert [entry(frames[1:]) for frames in seen if len(frames) == 4] == stored


def test_a_gap_is_asked_for_and_a_repetition_is_dropped(lab: Lab) -> None:
    """What a cut did to the window is made up for."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    node.ship(1, b"a")
    assert node.expect(m.Acknowledged).number == 1
    node.ship(3, b"c")
    assert node.expect(m.Resend).number == 2
    node.ship(1, b"a", b"b", b"c")
    assert node.expect(m.Acknowledged).number == 3
    assert text_of(replay(controller), "lab1") == b"abc"


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(lab: Lab) -> None:
    """A kill -9 in the middle of a stream; the agent resends what was not acknowledged, and a little more."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    lines = [b"%06d\n" % number for number in range(400)]
    for number, line in enumerate(lines[:200], 1):
        node.ship(number, line)
    durable = node.expect(m.Acknowledged).number
    lab.broker.end(signal.SIGKILL)
    lab.broker.start()
    for peer in (node, controller):
        peer.close()
        peer.waiting.clear()
    welcome = node.meet(RUN)
    assert welcome.epoch == 2
    reached = node.expect(m.Acknowledged).number
    assert reached >= durable, "what was acknowledged is there"
    for number in range(max(1, durable - 5), 401):
        node.ship(number, lines[number - 1])
    while reached < 400:
        reached = node.expect(m.Acknowledged).number
    controller.control = controller.connect(zmq.DEALER)
    controller.ask(operator_hello(), m.Welcome)
    assert text_of(replay(controller), "lab1") == b"".join(lines)
    numbers = [(head.number, head.count) for head, _, _ in replay(controller)]
    assert [number for number, _ in numbers] == list(range(1, 401))


def test_a_restarted_broker_asks_whom_it_has_not_met_and_keeps_the_reservation(lab: Lab) -> None:
    """Peers find out at their next beat, and the run goes on under the same controller."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    lab.broker.end(signal.SIGKILL)
    lab.broker.start()
    for peer in (node, controller):
        peer.waiting.clear()
        peer.say(m.Beat())
        peer.expect(m.HelloWanted)
    node.ask(node.hello(RUN), m.Welcome)
    controller.ask(operator_hello(), m.Welcome)
    (info,) = controller.ask(m.NodesRequest(request=1), m.Nodes).nodes
    assert (info.state, info.run) == ("busy", RUN)
    ready = m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1)
    node.say(ready)
    assert controller.expect(m.Ready) == ready


def test_records_after_the_end_of_their_run_are_stored(lab: Lab) -> None:
    """A node that was cut off ships what it has when it is back."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    controller.ask(m.CloseRun(request=2, run=RUN, verdict="error", result="{}"), m.RunClosed)
    node.ship(1, b"late")
    assert node.expect(m.Acknowledged).number == 1
    assert text_of(replay(controller), "lab1") == b"late"


# --- harm -------------------------------------------------------------------------------------------


def test_a_node_cannot_speak_for_another_nor_write_into_a_run_that_is_not_its_own(lab: Lab) -> None:
    """A broken or stolen node harms itself only."""
    one, two = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(one)
    two.say(m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1))
    two.ship(1, b"forged")
    assert two.ask(replace(two.hello(), name="lab1"), m.Rejected).code == "not_allowed"
    assert two.ask(m.NodesRequest(request=1), m.Rejected).code == "not_allowed"
    one.ship(1, b"true")
    assert one.expect(m.Acknowledged).number == 1
    assert [head.node for head, _, _ in replay(controller)] == ["lab1"]
    assert not any(isinstance(message, m.Ready) for message in controller.waiting)


def test_garbage_of_every_kind_harms_nobody(lab: Lab) -> None:
    """It is counted and logged; everybody else is served as before."""
    node, bad = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(node)
    nested = b"\x91" * 100_000
    for frames in (
        [b""],
        [b"\xc1garbage"],
        [nested],
        [os.urandom(500)],
        [encode(m.Beat())] * 3,
        [b"x"] * 600,
        [b"\xdf\xff\xff\xff\xff"],
        [b"\x00" * (1 << 20)],
        [encode(m.Beat())[:-1]],
    ):
        bad.push(bad.control, frames)
        bad.push(bad.sink, frames)
    broken = m.Batch(run=RUN, incarnation=1, first=1, records=(output(b"12345"),))
    bad.push(bad.sink, [encode(broken), b"123"])
    bad.push(bad.control, [b"\x00" * (2 << 20)])  # over MAXMSGSIZE: the connection is closed
    node.ship(1, b"fine")
    assert node.expect(m.Acknowledged).number == 1
    assert controller.ask(m.NodesRequest(request=9), m.Nodes).request == 9
    bad.close()
    bad.meet()
    assert lab.broker.end(signal.SIGTERM) == 0
    assert "message_refused" in lab.broker.errors
    assert "Traceback" not in lab.broker.errors


def test_an_unknown_key_gets_nowhere_but_to_enrolment(lab: Lab) -> None:
    """Nodes' and operators' words are refused; go and feed do not even let it connect."""
    stranger = lab.agent("lab9", join=False)
    assert stranger.ask(stranger.hello(), m.Rejected).code == "not_allowed"
    assert stranger.ask(m.NodesRequest(request=1), m.Rejected).code == "not_allowed"


# --- the process ------------------------------------------------------------------------------------


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_broker() -> Iterator[Start]:
    """Start brokers as a user does; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, fds: tuple[int, ...] = (), **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "broker", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
            env={**os.environ, **variables},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_first_line_starts_an_agent_and_the_user_gets_a_key(start_broker: Start, tmp_path: Path) -> None:
    """The line is for copying: nothing else is on stdout."""
    process = start_broker(
        "--listen", "tcp://127.0.0.1:0", "--state-dir", tmp_path / "s", XDG_CONFIG_HOME=str(tmp_path / "c")
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"fabric-agent (tcp://127\.0\.0\.1:\d+) --join (fj1\S+)\n", line)
    assert match
    process.terminate()
    rest, _ = process.communicate(timeout=BOUND_S)
    assert (rest, process.returncode) == ("", 0)
    (path,) = (tmp_path / "c" / "testfabric").iterdir()
    access = OperatorAccess.load(path)
    assert access is not None
    assert access.url == match[1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_broker_on_the_same_directory_or_port_is_refused_in_a_sentence(
    lab: Lab, start_broker: Start, tmp_path: Path
) -> None:
    """Two brokers on one log would ruin it."""
    state = tmp_path / "state"
    second = start_broker("--listen", "tcp://127.0.0.1:0", "--state-dir", state)
    _, errors = second.communicate(timeout=BOUND_S)
    assert second.returncode == 3
    assert f"{state}: in use by another broker" in errors
    third = start_broker("--listen", lab.broker.listen, "--state-dir", tmp_path / "other")
    _, errors = third.communicate(timeout=BOUND_S)
    assert third.returncode == 3
    assert re.search(r"error: port \d+ \(for control\) is in use on this machine", errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_second_with_peers_connected(lab: Lab, number: int) -> None:
    """A restart for an upgrade is short, and what was taken is on the disk."""
    node = lab.agent("lab1")
    lab.running(node)
    node.ship(1, b"last")
    node.expect(m.Acknowledged)
    begun = time.monotonic()
    assert lab.broker.end(number) == 0
    assert time.monotonic() - begun < 1.0


def test_a_private_broker_ends_with_its_lifeline_and_leaves_nothing(
    start_broker: Start, tmp_path: Path
) -> None:
    """However `fabric-run --local` dies, its broker goes with it."""
    read, write = os.pipe()
    process = start_broker(
        *("--listen", "tcp://127.0.0.1:0", "--ephemeral", "--state-dir", tmp_path / "state"),
        *("--operator-file", tmp_path / "operator", "--lifeline-fd", str(read)),
        fds=(read,),
    )
    os.close(read)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fabric-agent ")
    os.close(write)
    process.communicate(timeout=BOUND_S)
    assert process.returncode == 0
    assert not (tmp_path / "state").exists()


def test_a_directory_that_was_not_named_is_not_removed(start_broker: Start) -> None:
    """The option is for private brokers; the user's own state must not go with it."""
    process = start_broker("--ephemeral")
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 2
    assert "has to be named: --state-dir" in errors


def test_keys_and_token_stay_over_a_restart_and_the_epoch_grows(lab: Lab) -> None:
    """Agents go on with what they have; only the clock has a new life."""
    node = lab.agent("lab1")
    token, operator = lab.broker.token, lab.broker.operator
    assert lab.broker.end(signal.SIGTERM) == 0
    lab.broker.start()
    assert (lab.broker.token, lab.broker.operator) == (token, operator)
    node.close()
    assert node.meet().epoch == 2
