"""Reading a run: whatever is lost, doubled or reordered on the way, each record comes once, in order."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.controller.entry import Entry, Read, decode_entry
from fabric.controller.reader import (
    ANSWER_NS,
    HELD_BYTES,
    LAST_RECORDS,
    QUIET_NS,
    RETRY_NS,
    Ask,
    Deliver,
    Effect,
    RunReader,
)
from fabric.errors import DecodeError
from fabric.protocol.codec import encode
from fabric.protocol.limits import SKIM_BYTES
from fabric.protocol.messages import Batch, Beacon, EntryHead, Replay, ReplayEnd
from fabric.protocol.records import Notice, Output, Record, RunEnded

RUN = "20260301-102207-ping-k3f9"


def notice(text: str = "n") -> Notice:
    return Notice(t_ns=0, bound_ns=0, level="info", message=text)


def run_ended() -> RunEnded:
    return RunEnded(t_ns=0, bound_ns=0, verdict="pass", why=())


def output(size: int, offset: int = 0) -> Output:
    return Output(t_ns=0, bound_ns=0, step="1/run/a/b", attempt=1, stream="stdout", offset=offset, size=size)


def entry(number: int, *records: Record, payload: bytes = b"") -> Entry:
    return Entry(RUN, number, "lab1", records or (notice(),), payload)


def delivered(effects: list[Effect]) -> list[Read]:
    return [read for effect in effects if isinstance(effect, Deliver) for read in effect.reads]


def numbers(effects: list[Effect]) -> list[int]:
    return [read.number for read in delivered(effects)]


def asked(effects: list[Effect]) -> list[int]:
    return [effect.replay.number for effect in effects if isinstance(effect, Ask)]


def replay_of(effects: list[Effect]) -> Replay:
    (ask,) = [effect for effect in effects if isinstance(effect, Ask)]
    return ask.replay


def end_of(replay: Replay, next_number: int, *, end: bool = True) -> ReplayEnd:
    return ReplayEnd(request=replay.request, run=RUN, next=next_number, end=end)


def caught_up_reader(next_number: int = 1) -> RunReader:
    """Return a reader that has read all that is stored and waits for the feed."""
    reader = RunReader(RUN, number=next_number)
    reader.replay_end(end_of(replay_of(reader.connected(0)), next_number), 0)
    assert reader.caught_up
    return reader


def test_the_feed_alone_is_enough_once_the_reader_has_caught_up() -> None:
    """Live reading costs the broker nothing beyond the feed itself."""
    reader = caught_up_reader()
    assert numbers(reader.entry(entry(1), 1)) == [1]
    effects = reader.entry(entry(2, notice(), notice()), 2)
    assert numbers(effects) == [2, 3]
    assert asked(effects) == []


def test_a_partly_old_entry_yields_only_its_new_records() -> None:
    """A replay from the middle of an entry brings the whole entry; its first records were read before."""
    reader = caught_up_reader(next_number=5)
    late = entry(3, output(2), output(3), output(1), payload=b"aabbbc")
    reads = delivered(reader.entry(late, 1))
    assert [(read.number, bytes(read.data)) for read in reads] == [(5, b"c")]
    assert reader.entry(late, 2) == []


def test_each_output_comes_with_its_own_bytes() -> None:
    """The bytes of a batch are one frame; records without output between them must not shift the cut."""
    reader = caught_up_reader()
    reads = delivered(reader.entry(entry(1, output(2), notice(), output(0), output(1), payload=b"xyz"), 1))
    assert [bytes(read.data) for read in reads] == [b"xy", b"", b"", b"z"]


def test_another_run_changes_nothing() -> None:
    """One connection may serve two readers."""
    reader = caught_up_reader()
    assert reader.entry(Entry("20260301-102207-pong-aaaa", 1, "lab1", (notice(),), b""), 1) == []
    assert reader.beacon(Beacon(run="20260301-102207-pong-aaaa", number=9, open=False), 1) == []
    assert (reader.next, reader.complete) == (1, False)


def test_a_gap_in_the_feed_is_asked_for_once_and_what_came_meanwhile_is_kept() -> None:
    """A burst of live entries behind a gap must not make a burst of replays."""
    reader = caught_up_reader()
    assert asked(reader.entry(entry(3), 1)) == [1]
    assert reader.entry(entry(4), 1) == []
    assert numbers(reader.entry(entry(1, notice(), notice()), 2)) == [1, 2, 3, 4]


def test_what_was_kept_is_trimmed_too() -> None:
    """A replay may end in the middle of what the feed brought in one piece."""
    reader = caught_up_reader()
    reader.entry(entry(3, output(1), output(1), payload=b"cd"), 1)
    reads = delivered(reader.entry(entry(1, notice(), notice(), output(1), payload=b"c"), 2))
    assert [(read.number, bytes(read.data)) for read in reads] == [(1, b""), (2, b""), (3, b"c"), (4, b"d")]


def test_a_beacon_shows_a_gap_at_the_end_of_a_quiet_run() -> None:
    """No later message would show that the last entry was lost."""
    reader = caught_up_reader()
    assert asked(reader.beacon(Beacon(run=RUN, number=0, open=True), 1)) == []
    assert asked(reader.beacon(Beacon(run=RUN, number=1, open=True), 1)) == [1]


def test_a_replay_without_an_answer_is_asked_again() -> None:
    """The request or its answer may be lost on the way; the deadline is the only thing that tells."""
    reader = RunReader(RUN)
    first = replay_of(reader.connected(0))
    assert reader.expire(ANSWER_NS - 1) == []
    second = replay_of(reader.expire(ANSWER_NS))
    assert (second.number, second.request) == (1, first.request + 1)
    reader.replay_end(end_of(first, 1), ANSWER_NS)
    assert not reader.caught_up, "an answer to the older request says nothing about now"


def test_a_long_replay_is_not_asked_again_while_it_brings_something() -> None:
    """Over a slow link one replay may take longer than the patience."""
    reader = RunReader(RUN)
    reader.connected(0)
    reader.entry(entry(1), ANSWER_NS - 1)
    assert reader.expire(ANSWER_NS) == []


def test_a_reader_goes_on_where_it_was_after_a_break() -> None:
    """A broker that starts again knows nothing of the reader's last request."""
    reader = caught_up_reader()
    reader.entry(entry(1), 1)
    reader.disconnected()
    assert reader.deadline_ns is None
    assert asked(reader.connected(10)) == [2]


def test_a_silent_feed_is_checked_by_a_replay() -> None:
    """A firewall may cut the feed's connection and leave the control's."""
    reader = caught_up_reader()
    reader.beacon(Beacon(run=RUN, number=0, open=True), QUIET_NS - 1)
    assert reader.expire(QUIET_NS) == []
    assert asked(reader.expire(2 * QUIET_NS)) == [1]


def test_a_replay_that_brings_nothing_is_not_asked_again_at_once() -> None:
    """A record that is missing because it is not yet stored must not make a busy loop of two processes."""
    reader = caught_up_reader()
    replay = replay_of(reader.entry(entry(2), 0))
    assert reader.replay_end(end_of(replay, 1), 0) == []
    assert reader.expire(RETRY_NS - 1) == []
    assert asked(reader.expire(RETRY_NS)) == [1]


def test_the_reading_is_complete_when_the_verdict_is_read_and_nothing_follows() -> None:
    """The verdict alone does not say that the reader has everything; the store's end does."""
    reader = caught_up_reader()
    replay = replay_of(reader.entry(entry(1, run_ended()), 1))
    assert not reader.complete
    assert reader.replay_end(end_of(replay, 2), 2) == []
    assert reader.complete
    assert reader.deadline_ns is None


def test_the_reading_is_not_complete_while_more_is_stored() -> None:
    """The last words of a node that was away may be stored behind the verdict."""
    reader = caught_up_reader()
    replay = replay_of(reader.entry(entry(1, run_ended()), 1))
    assert asked(reader.replay_end(end_of(replay, 2, end=False), 2)) == []
    assert not reader.complete
    assert asked(reader.expire(2 + RETRY_NS)) == [2]


def test_a_beacon_that_says_closed_completes_the_reading() -> None:
    """A run that the broker closed ends for a reader too, with or without another replay."""
    reader = caught_up_reader()
    reader.entry(entry(1, run_ended()), 1)
    reader.beacon(Beacon(run=RUN, number=1, open=False), 2)
    assert reader.complete


def test_entries_beyond_a_gap_take_bounded_memory() -> None:
    """A reader far behind a fast feed must not store the feed; the replay brings it again."""
    reader = caught_up_reader()
    payload = bytes(1 << 20)
    for number in range(2, 40):
        reader.entry(entry(number, output(len(payload)), payload=payload), 1)
    reads = delivered(reader.entry(entry(1), 2)) + delivered(reader.entry(entry(2, *[notice()] * 37), 3))
    assert sum(len(read.data) for read in reads) <= HELD_BYTES


# --- against a broker that loses, doubles and reorders --------------------------------------------------


@dataclass
class LossyBroker:
    """A stored run, its feed and its replays, over a link that a seed makes bad."""

    entries: list[Entry]
    chance: random.Random
    stored: int = 0  # entries that exist so far
    inbox: list[Entry | ReplayEnd | Beacon] = field(default_factory=list)
    loss: float = 0.3

    def publish(self) -> None:
        if self.stored < len(self.entries):
            self._send(self.entries[self.stored])
            self.stored += 1
        self._send(Beacon(run=RUN, number=self.last, open=self.stored < len(self.entries)))

    @property
    def last(self) -> int:
        return self.entries[self.stored - 1].end - 1 if self.stored else 0

    def answer(self, replay: Replay) -> None:
        wanted = [entry for entry in self.entries[: self.stored] if entry.end > replay.number][:3]
        for found in wanted:
            self._send(found)
        following = wanted[-1].end if wanted else replay.number
        self._send(end_of(replay, following, end=following > self.last))

    def _send(self, message: Entry | ReplayEnd | Beacon) -> None:
        while self.chance.random() > self.loss:
            self.inbox.insert(self.chance.randint(max(0, len(self.inbox) - 4), len(self.inbox)), message)
            if self.chance.random() > self.loss:
                break


def make_run(chance: random.Random, size: int) -> tuple[list[Entry], list[tuple[int, bytes]]]:
    """Return a run's entries and what a reader of all of it should get."""
    entries, wanted, number = [], [], 1
    for index in range(size):
        chunks = [bytes([chance.randrange(256)]) * chance.randrange(4) for _ in range(chance.randint(1, 5))]
        records: list[Record] = [output(len(chunk)) for chunk in chunks]
        if index == size - 1:
            records.append(run_ended())
        entries.append(Entry(RUN, number, "lab1", tuple(records), b"".join(chunks)))
        wanted += [*enumerate(chunks, number)]
        number += len(records)
    return entries, [*wanted, (number - 1, b"")]


def step(reader: RunReader, broker: LossyBroker, now_ns: int) -> list[Effect]:
    """Let one thing happen: a message arrives, the connection breaks, or time passes."""
    if broker.chance.random() < 0.05:
        reader.disconnected()
        return reader.connected(now_ns)
    if not broker.inbox:
        return reader.expire(now_ns)
    message = broker.inbox.pop(0)
    if isinstance(message, Beacon):
        return reader.beacon(message, now_ns)
    if isinstance(message, ReplayEnd):
        return reader.replay_end(message, now_ns)
    return reader.entry(message, now_ns)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 1 << 32), size=st.integers(1, 25))
def test_every_record_is_read_once_and_in_order_over_a_bad_link(seed: int, size: int) -> None:
    """This is what the bundle and the verdict rest on."""
    chance = random.Random(seed)
    entries, wanted = make_run(chance, size)
    broker, reader = LossyBroker(entries, chance), RunReader(RUN)
    got: list[tuple[int, bytes]] = []
    pending = reader.connected(0)
    for turn in range(20_000):
        for effect in pending:
            if isinstance(effect, Ask):
                broker.answer(effect.replay)
            else:
                got += [(read.number, bytes(read.data)) for read in effect.reads]
        if reader.complete:
            break
        if chance.random() < 0.5:
            broker.publish()
        pending = step(reader, broker, turn * RETRY_NS)
    assert reader.complete
    assert got == wanted


def test_a_reader_that_has_no_use_for_output_does_without_its_bytes() -> None:
    """A bundle whose disk is full: the store may hold gigabytes before the end that the run waits for."""
    reader = RunReader(RUN)
    assert not replay_of(reader.connected(0)).without_bytes
    reader.skim()
    reader.entry(entry(1, output(3), payload=b"abc"), 0)
    effects = reader.replay_end(ReplayEnd(request=1, run=RUN, next=2, end=False), 0)
    request = replay_of(effects)
    assert (request.number, request.without_bytes, request.limit_bytes) == (2, True, SKIM_BYTES)
    bare = decode_entry(frames(payload=b""))
    (read,) = bare.reads(bare.number)
    assert (read.record, bytes(read.data), read.is_whole) == (output(3), b"", False)


# --- frames ---------------------------------------------------------------------------------------------


def frames(head_count: int = 1, size: int = 3, payload: bytes = b"abc") -> list[bytes]:
    head = EntryHead(number=7, count=head_count, node="lab1", incarnation=1, first=1)
    return [encode(head), encode(Batch(run=RUN, incarnation=1, first=1, records=(output(size),))), payload]


def test_an_entry_is_read_from_its_three_frames() -> None:
    """Replay and feed bring the same frames, so there is one reader for both."""
    found = decode_entry(frames())
    assert (found.number, found.end, found.node, found.payload) == (7, 8, "lab1", b"abc")


@pytest.mark.parametrize(
    "bad",
    [frames()[:2], frames(head_count=2), frames(payload=b"ab"), frames(size=-3), [*frames(), b""]],
)
def test_an_entry_whose_parts_do_not_fit_is_refused(bad: list[bytes]) -> None:
    """A cut in the wrong place would give one step the output of another."""
    with pytest.raises(DecodeError):
        decode_entry(bad)


def test_a_paused_reader_asks_for_nothing_and_lacks_nothing_afterwards() -> None:
    """Whoever shows slowly reads slowly: memory must not grow with what a node prints meanwhile."""
    reader = RunReader(RUN)
    replay = replay_of(reader.connected(0))
    reader.pause()
    assert numbers(reader.entry(entry(1), 1)) == [1]  # it had been asked for
    assert reader.replay_end(end_of(replay, 2, end=False), 2) == []
    assert reader.deadline_ns is None
    assert reader.entry(entry(2), 3) == reader.entry(entry(3), 3) == []  # of the feed
    assert not reader.is_live
    assert asked(reader.resume(4)) == [2]
    assert numbers(reader.entry(entry(2), 5)) == [2, 3]


def test_who_hurries_reads_on_where_the_run_is_now() -> None:
    """After Ctrl-C nobody waits for a gigabyte that was printed before it."""
    reader = RunReader(RUN)
    reader.connected(0)
    reader.entry(entry(50), 1)  # of the feed
    assert numbers(reader.hurry(2)) == [50]
    assert numbers(reader.entry(entry(1), 3)) == []
    assert numbers(reader.entry(entry(60, run_ended()), 4)) == [60]
    assert (reader.skipped, reader.ended) == (49 + 9, True)


def test_who_hurries_reads_the_end_of_a_quiet_run() -> None:
    """The last records say how it ended, and no feed brings them again."""
    reader = RunReader(RUN)
    reader.connected(0)
    reader.hurry(1)
    assert asked(reader.beacon(Beacon(run=RUN, number=1000, open=True), 2)) == [1000 - LAST_RECORDS]
