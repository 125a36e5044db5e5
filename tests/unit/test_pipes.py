"""From the pipes into the journal: what is kept, what waits, and what a step lets go of."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agents.journal import Journal, Limits
from agents.journal.masking import Mask
from agents.pipes import HEARD_BYTES, Pipes
from fabric.protocol.codec import decode
from fabric.protocol.messages import Batch, Step
from fabric.protocol.records import Notice, Output, OutputDropped, Record, Stream

RUN = "20240101-000000-pipes-abcd"
STEP = Step(
    step="1/run/role/step",
    verb="cmd",
    argv=("true",),
    env={},
    dir=None,
    timeout_s=None,
    at_s=None,
    ok=(0,),
    on_fail="stop",
    when="passed",
    signal=15,
    grace_s=5.0,
)
KIB = 1024


def shipped(journal: Journal) -> list[Record]:
    """Return the records that are still to be sent."""
    found: list[Record] = []
    while shipment := journal.next_batch():
        batch = decode(shipment.batch)
        assert isinstance(batch, Batch)
        found += batch.records
    return found


@dataclass
class Bench:
    """One step's stdout into a small journal."""

    journal: Journal
    pipes: Pipes = field(init=False)
    watched: set[int] = field(default_factory=set)
    ended: list[tuple[str, Stream, int]] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    write_fd: int = -1
    fd: int = -1

    def __post_init__(self) -> None:
        self.pipes = Pipes(
            self._watch,
            lambda: (7, 1),
            lambda *words: self.ended.append(words),
            is_heard=lambda _: True,
            heard=lambda _key, _stream, data: self.heard.extend(data),
        )

    def _watch(self, fd: int, wanted: bool) -> None:
        (self.watched.add if wanted else self.watched.discard)(fd)

    def open(self, step: Step, *, mask: Mask | None = None, inherited: bool = False) -> None:
        self.fd, self.write_fd = os.pipe()
        fds: dict[Stream, int] = {"stdout": self.fd}
        self.pipes.open("key", step, 1, self.journal, fds, mask=mask, inherited=inherited)

    def print(self, size: int) -> None:
        os.write(self.write_fd, b"x" * size)
        self.pipes.readable(self.fd)

    def end(self) -> None:
        os.close(self.write_fd)
        self.pipes.readable(self.fd)

    def ship(self) -> list[Record]:
        """Send and acknowledge all; return what was sent."""
        found = shipped(self.journal)
        self.journal.acknowledge(self.journal.sent)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(Journal.create(tmp_path, RUN, 1, Limits(journal_bytes=64 * KIB, room_bytes=1)))
    yield made
    made.journal.close()


def spans(records: list[Record]) -> list[tuple[str, int, int]]:
    """Return kind, offset and size of what speaks of output."""
    return [
        (record.kind, record.offset, record.size)
        for record in records
        if isinstance(record, Output | OutputDropped)
    ]


def test_output_waits_for_room(bench: Bench) -> None:
    """The default: nothing is lost, the program waits in write."""
    bench.open(STEP)
    bench.print(60 * KIB)
    bench.print(60 * KIB)
    bench.print(1)
    assert bench.watched == set()
    assert bench.pipes.has_paused
    sent = bench.ship()
    bench.pipes.resume()
    assert bench.watched == {bench.fd}
    bench.end()
    sent += bench.ship()
    assert spans(sent) == [
        ("output", 0, 60 * KIB),
        ("output", 60 * KIB, 60 * KIB),
        ("output", 120 * KIB, 1),
        ("output", 120 * KIB + 1, 0),
    ]
    assert bench.ended == [("key", "stdout", 120 * KIB + 1)]


def test_a_step_may_rather_lose_output_than_wait(bench: Bench) -> None:
    """One record for each gap; what comes after it stands at its own offset and in a file of its own."""
    bench.open(replace(STEP, output="drop"))
    bench.print(64 * KIB)
    bench.print(10 * KIB)
    bench.print(5 * KIB)
    assert bench.watched == {bench.fd}, "it is read all the time"
    assert bench.pipes.has_paused, "and tried again"
    bench.pipes.resume()
    bench.print(1 * KIB)
    sent = bench.ship()
    assert spans(sent) == [("output", 0, 64 * KIB)]
    bench.pipes.resume()
    bench.print(3 * KIB)
    bench.end()
    last = bench.ship()
    assert spans(last) == [
        ("output_dropped", 64 * KIB, 16 * KIB),
        ("output", 80 * KIB, 3 * KIB),
        ("output", 83 * KIB, 0),
    ]
    assert isinstance(last[0], OutputDropped)
    assert last[0].why == "the journal of the node was full"
    assert bench.ended == [("key", "stdout", 83 * KIB)]


def test_a_gap_at_the_end_is_told_too(bench: Bench) -> None:
    """Else the step's size would not be what was stored."""
    bench.open(replace(STEP, output="drop"))
    bench.print(64 * KIB)
    bench.print(10 * KIB)
    bench.end()
    assert spans(bench.ship())[1:] == [("output_dropped", 64 * KIB, 10 * KIB), ("output", 74 * KIB, 0)]


def test_room_has_to_be_worth_it(bench: Bench) -> None:
    """At the limit each acknowledgement would make a gap of its own."""
    bench.open(replace(STEP, output="drop"))
    for _ in range(8):
        bench.print(8 * KIB)
    bench.print(1)
    assert bench.journal.next_batch() is not None
    bench.journal.acknowledge(1)
    bench.pipes.resume()
    bench.print(1)
    bench.ship()
    bench.pipes.resume()
    bench.print(1)
    assert spans(bench.ship()) == [("output_dropped", 64 * KIB, 2), ("output", 64 * KIB + 2, 1)]


def test_what_is_over_the_limit_is_dropped_in_one_piece(bench: Bench) -> None:
    """The first bytes are kept to the last one; a person hears of it at once, the record comes at the end."""
    bench.open(replace(STEP, output_limit_bytes=10_000))
    bench.print(6000)
    bench.print(6000)
    sent = bench.ship()
    assert spans(sent) == [("output", 0, 6000), ("output", 6000, 4000)]
    assert [record.message for record in sent if isinstance(record, Notice)] == [
        "1/run/role/step: stdout is over the output limit of 10000 bytes: what follows is dropped"
    ]
    for _ in range(20):
        bench.print(50_000)
    assert not bench.pipes.has_paused, "no room will change that"
    bench.end()
    last = bench.ship()
    assert spans(last) == [("output_dropped", 10_000, 1_002_000), ("output", 1_012_000, 0)]
    assert bench.ended == [("key", "stdout", 1_012_000)]
    assert len(bench.heard) == 1_012_000, "the line that shows it ready may be anywhere"


def test_of_a_step_whose_lines_are_looked_at_less_is_taken_at_a_time(tmp_path: Path) -> None:
    """To look at a million short lines takes the agent a second, in which it hears nobody."""
    bench = Bench(Journal.create(tmp_path, RUN, 1))
    bench.open(replace(STEP, output_limit_bytes=3 * HEARD_BYTES))
    fcntl.fcntl(bench.write_fd, fcntl.F_SETPIPE_SZ, 8 * HEARD_BYTES)
    os.write(bench.write_fd, b"x" * 8 * HEARD_BYTES)
    sizes = []
    for _ in range(3):
        bench.pipes.readable(bench.fd)
        sizes.append(len(bench.heard))
    assert sizes == [HEARD_BYTES, 2 * HEARD_BYTES, 3 * HEARD_BYTES]
    os.close(bench.write_fd)
    os.close(bench.fd)
    bench.journal.close()


def test_output_that_is_just_at_the_limit_is_whole(bench: Bench) -> None:
    """A gap of nothing would make the verdict invalid."""
    bench.open(replace(STEP, output_limit_bytes=10_000))
    bench.print(10_000)
    bench.end()
    assert spans(bench.ship()) == [("output", 0, 10_000), ("output", 10_000, 0)]


def test_a_step_that_is_let_go_waits_no_longer(bench: Bench) -> None:
    """It is ended because there is no room: it must be able to end."""
    bench.open(STEP)
    bench.print(64 * KIB)
    bench.print(1)
    assert bench.pipes.waiting(bench.journal) == ["key"]
    bench.pipes.let_go("key")
    assert bench.pipes.waiting(bench.journal) == []
    bench.pipes.readable(bench.fd)
    bench.end()
    assert spans(bench.ship())[1:] == [("output_dropped", 64 * KIB, 1), ("output", 64 * KIB + 1, 0)]


@pytest.mark.parametrize(("inherited", "stored"), [(True, b"*** it"), (False, b"hunter2 it")])
def test_an_earlier_life_may_have_read_the_begin_of_a_secret(
    bench: Bench, inherited: bool, stored: bytes
) -> None:
    """It kept that back, and died: then nothing is stored of the stream that would show it."""
    bench.open(STEP, mask=Mask(["long-hunter2"]), inherited=inherited)
    os.write(bench.write_fd, b"hunter2 it")
    bench.end()
    assert bench.heard == stored


def test_an_earlier_life_knows_of_its_gaps(tmp_path: Path) -> None:
    """What was kept behind a gap is shipped with its own offset, and the tail of the launcher after it."""
    bench = Bench(Journal.create(tmp_path, RUN, 1, Limits(journal_bytes=64 * KIB, room_bytes=1)))
    bench.open(replace(STEP, output="drop"))
    bench.print(64 * KIB)
    bench.print(100)
    bench.ship()
    bench.pipes.resume()
    bench.print(50)
    tail = Path(bench.journal.tail_prefixes(STEP.step, 1)[0] + ".tail")
    bench.journal.close()  # as a death leaves it
    tail.write_bytes(b"t" * 7)
    (again,) = Journal.recover(tmp_path)
    assert again.damage == ""
    assert again.recover_tails(9, -1) == 7
    found = shipped(again)
    end = 64 * KIB + 150
    assert spans(found)[-2:] == [("output", 64 * KIB + 100, 50), ("output", end, 7)]
    again.close()
