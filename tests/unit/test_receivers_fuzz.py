"""Controller, reader, bundle, tail and agent among messages and records that say nonsense: none fails."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.executor import Executor
from agents.session import Session
from broker.records import check
from fabric.controller.connection import _decode
from fabric.controller.entry import Entry, Read
from fabric.controller.reader import RunReader
from fabric.errors import DecodeError, ProtocolError, StoreError
from fabric.protocol import messages as m
from fabric.protocol.codec import decode, encode
from fabric.protocol.records import payload_size
from fabric.report.bundle import BundleWriter
from fabric.report.tailview import Clock, ClockName, TimelineView
from fabric.timing.offset import Estimate
from tests import hostile
from tests.hostile import RUN
from tests.unit.run_lab import running
from tests.unit.scripted_node import assign

SEEDS: Final = st.integers(0, 1 << 32)
S: Final = 1_000_000_000

OF_THE_BROKER: Final = (
    *(m.Assigned, m.Ready, m.Refused, m.Freed, m.GoCommitted, m.GoAborted, m.NodeLost, m.NodeBack),
    *(m.Denied, m.RunOpened, m.RunClosed, m.Rejected, m.Beacon, m.ReplayEnd, m.FileRequest, m.Welcome),
)
TO_A_NODE: Final = (
    *(m.Assign, m.Prepare, m.Go, m.Abort, m.Cancel, m.Free, m.Abandon, m.FilePart),
    *(m.Acknowledged, m.Resend, m.Forget, m.Welcome, m.ProbeReply, m.Enrolled, m.HelloWanted),
)


def reads(source: Random, count: int) -> list[Read]:
    """Return records of nodes that lie, as the broker lets them through."""
    made = []
    for number in range(1, count + 1):
        record = hostile.record(source)
        data = b"x" * max(0, min(payload_size(record), 100))
        batch = m.Batch(run=RUN, incarnation=1, first=1, records=(record,))
        with suppress(DecodeError):
            check("n1", batch, payload_size(record))
            made.append(Read(number, source.choice(("n1", "n2", "lab1")), record, data, 1))
    return made


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 60))
def test_a_run_stands_what_nodes_and_broker_say(seed: int, count: int) -> None:
    """It may end as an error, in a sentence, but never with a traceback and never without an end."""
    source, lab = Random(seed), running()
    for read in reads(source, count):
        if source.random() < 0.5:
            lab.do(lab.run.read(read, lab.now_ns))
        else:
            lab.hear(hostile.message(source, OF_THE_BROKER))
        lab.wait(source.choice((0, 0, 0.1, 3.0)))
    for message in lab.told:
        assert decode(encode(message)) == message, "who gets it can read it"
    for note in lab.notes:
        append = m.Append(run=RUN, incarnation=1, first=1, records=(note,))
        assert decode(encode(append)) == append


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 60))
def test_a_reader_stands_what_comes_by_the_feed(seed: int, count: int) -> None:
    """Numbers that do not follow each other, ends that are none, replays that bring nothing."""
    source, reader, now_ns = Random(seed), RunReader(RUN), S
    reader.connected(now_ns)
    given_out: list[int] = []
    for _ in range(count):
        number = source.choice((1, 2, 3, 5, source.choice(hostile.INTS)))
        match source.randrange(4):
            case 0:
                effects = reader.beacon(m.Beacon(run=RUN, number=number, open=source.random() < 0.5), now_ns)
            case 1:
                end = m.ReplayEnd(
                    request=source.randrange(4), run=RUN, next=number, end=source.random() < 0.5
                )
                effects = reader.replay_end(end, now_ns)
            case 2:
                effects = reader.expire(now_ns)
            case _:
                records = tuple(read.record for read in reads(source, 2))
                payload = b"x" * sum(max(0, min(payload_size(one), 100)) for one in records)
                effects = reader.entry(Entry(RUN, max(1, number), "n1", records, payload, 1), now_ns)
        given_out += [read.number for effect in effects for read in getattr(effect, "reads", ())]
        now_ns += source.choice((0, S // 10, 4 * S))
    assert given_out == sorted(set(given_out))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_what_a_run_leaves_can_be_made_of_nonsense(seed: int, count: int) -> None:
    """Bundle and tail get what a node has reported, also if no program ever did that."""
    made = [read for read in reads(Random(seed), count) if read.is_whole]
    with TemporaryDirectory() as directory:
        place = Path(directory) / "runs" / RUN
        writer = BundleWriter(place)
        for read in made:
            try:
                writer.write(read)
            except StoreError:
                continue
        writer.flush()
        found = [path for path in Path(directory).rglob("*") if path.is_file()]
        assert all(place in path.parents for path in found), "nothing is written beside the bundle"
    names: tuple[ClockName, ...] = ("run", "phase", "wall")
    for name in names:
        view = TimelineView(clock=Clock(name, None))
        shown = [*view.lines(made, 0), *view.finish()]
        assert all(isinstance(line, str) for line in shown)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 60))
def test_an_agent_stands_what_a_broker_says(seed: int, count: int) -> None:
    """Orders that contradict each other, of phases that are over, with steps that are none."""
    source, now_ns = Random(seed), S
    executor = Executor(assign())
    executor.clock_changed(1, Estimate(10**18, 50_000, 100_000))
    session = Session("lab1", None, lambda: 0.5, now_ns)
    for _ in range(count):
        message = hostile.message(source, TO_A_NODE)
        session.receive(message, now_ns)
        session.expire(now_ns)
        executor.receive(message, now_ns)
        executor.expire(now_ns)
        now_ns += source.choice((0, S // 10, 4 * S))
    assert session.deadline_ns is not None


def test_a_corrupted_frame_is_refused_by_the_controller() -> None:
    """In a sentence: the connection logs it and goes on."""
    source = Random(1)
    refused = 0
    for _ in range(300):
        frames: Sequence[bytes] = hostile.frames(source)[: source.randrange(6)]
        try:
            _decode(frames)
        except ProtocolError as error:
            refused += bool(str(error))
    assert refused
