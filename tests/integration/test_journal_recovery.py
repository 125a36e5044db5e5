"""What the next life of an agent finds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.journal import Journal, Limits, Moved, StreamState
from agents.journal.directory import trim_undelivered
from agents.journal.frames import bodies, frame
from fabric.errors import StoreError
from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.records import Notice, Output, OutputDropped, Record, StepStarted, Stream

RUN = "20240101-000000-recovery-abcd"
STEP = "1/run/role/step"


def notice(text: str) -> Notice:
    return Notice(t_ns=1, bound_ns=1, level="info", message=text)


def ship(journal: Journal) -> tuple[list[Record], bytes]:
    """Send all, acknowledge all."""
    records: list[Record] = []
    payload = b""
    while shipment := journal.next_batch():
        batch = codec.decode_as(shipment.batch, Batch)
        records += batch.records
        payload += shipment.payload
        journal.acknowledge(journal.sent)
    assert journal.is_shipped
    return records, payload


def spool(journal: Journal, data: bytes, *, record: bool = True, attempt: int = 1) -> None:
    """Let a step write; without a record it is as if the agent died right after the splice."""
    read_fd, write_fd = os.pipe()
    os.write(write_fd, data)
    stream = journal.open_stream(STEP, attempt, "stdout")
    moved = journal.capture(stream, read_fd, 1, 1) if record else stream.move(read_fd, len(data))
    assert moved == Moved(0, len(data))
    os.close(read_fd)
    os.close(write_fd)


def recovered(root: Path, limits: Limits | None = None) -> Journal:
    (journal,) = Journal.recover(root, limits)
    return journal


def tail(journal: Journal, stream: Stream) -> Path:
    """Return where the launcher drains a stream to."""
    return Path(journal.tail_prefixes(STEP, 1)[stream == "stderr"] + ".tail")


def test_a_journal_that_is_torn_at_any_byte_keeps_every_whole_record(tmp_path: Path) -> None:
    """A process can die inside a write: what was whole is shipped, and new records follow it."""
    journal = Journal.create(tmp_path / "whole", RUN, 1)
    texts = ["first", "second" * 9, "third"]
    for text in texts:
        journal.append(notice(text))
    journal.close()
    (segment,) = journal.path.glob("records/*")
    data = segment.read_bytes()
    ends = [end for end, _ in bodies(data)][1:]  # the first frame is the checkpoint

    for cut in range(len(data) + 1):
        root = tmp_path / str(cut)
        shutil.copytree(tmp_path / "whole", root)
        (copy,) = root.rglob("*.records")
        os.truncate(copy, cut)
        again = recovered(root)
        whole = texts[: sum(end <= cut for end in ends)]
        assert again.append(notice("new")) == len(whole) + 1
        assert ship(again) == ([*map(notice, [*whole, "new"])], b"")
        assert again.damage == ""
        again.remove()


def foreign(root: Path, old: bytes, new: bytes) -> None:
    """Let another version have written a journal's records: a word in them is another one."""
    (segment,) = root.glob("journals/*/*/records/*")
    found = [body.replace(old, new) for _, body in bodies(segment.read_bytes())]
    segment.write_bytes(b"".join(map(frame, found)))


def test_a_record_of_another_version_keeps_its_number_and_what_follows_is_shipped(tmp_path: Path) -> None:
    """The broker would refuse it each time that it is sent, and with it all that stands behind it."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(notice("first"))
    journal.append(Notice(t_ns=77, bound_ns=1, level="warning", message="second"))
    spool(journal, b"third")
    journal.close()
    foreign(tmp_path, b"warning", b"anxious")
    again = recovered(tmp_path)
    assert "record 2 of the journal is of another version" in again.damage
    again.append(notice("anxious, but of this life"))
    (first, second, third, fourth), payload = ship(again)
    assert (first, fourth, payload) == (notice("first"), notice("anxious, but of this life"), b"third")
    assert isinstance(second, Notice)
    assert isinstance(third, Output)
    assert (second.t_ns, second.level) == (77, "error")
    assert second.message.startswith("record 2 was written by another version of the agent")
    assert again.unacknowledged_bytes == 0


def test_a_segment_whose_begin_is_of_another_version_keeps_its_records(tmp_path: Path) -> None:
    """It was taken for one that has never had any, and deleted."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(notice("first"))
    spool(journal, b"second")
    journal.close()
    foreign(tmp_path, b'"streams":', b'"flowing":')
    again = recovered(tmp_path)
    assert "another form" in again.damage
    records, payload = ship(again)
    assert (len(records), payload) == (2, b"second")


def test_spooled_bytes_without_a_record_get_one(tmp_path: Path) -> None:
    """The agent died between splice and append: the bytes are in no pipe any more."""
    journal = Journal.create(tmp_path, RUN, 1)
    spool(journal, b"known", attempt=1)
    spool(journal, b"\xff\x00unknown", record=False, attempt=2)
    journal.close()

    again = recovered(tmp_path)
    assert again.recover_tails(77, -1) == 9
    assert again.recover_tails(78, -1) == 0, "a second time nothing is left to find"
    records, payload = ship(again)
    assert payload == b"known\xff\x00unknown"
    assert records[1] == Output(t_ns=77, bound_ns=-1, step=STEP, attempt=2, stream="stdout", offset=0, size=9)


def test_bytes_behind_acknowledged_ones_are_found_though_their_records_are_deleted(tmp_path: Path) -> None:
    """The checkpoint of the newest segment says where the stream stood."""
    limits = Limits(segment_bytes=100)
    journal = Journal.create(tmp_path, RUN, 1, limits)
    read_fd, write_fd = os.pipe()
    stream = journal.open_stream(STEP, 1, "stdout")
    os.write(write_fd, b"seen")
    journal.capture(stream, read_fd, 1, 1)
    for _ in range(20):
        journal.append(notice("x" * 20))
    ship(journal)
    os.write(write_fd, b"unseen")
    stream.move(read_fd, 100)
    journal.close()
    assert len(list(journal.path.glob("records/*"))) == 1

    again = recovered(tmp_path, limits)
    assert again.recover_tails(9, -1) == 6
    (record,), payload = ship(again)
    assert payload == b"unseen"
    assert isinstance(record, Output)
    assert record.offset == 4
    os.close(read_fd)
    os.close(write_fd)


def test_what_the_launcher_drained_follows_what_the_agent_spooled(tmp_path: Path) -> None:
    """The launcher outlives the agent for a while and empties the pipes into files beside the spool."""
    journal = Journal.create(tmp_path, RUN, 1)
    spool(journal, b"agent ", record=False)
    journal.close()
    tail(journal, "stdout").write_bytes(b"launcher")
    tail(journal, "stderr").write_bytes(b"only launcher")

    again = recovered(tmp_path)
    assert again.recover_tails(9, -1) == len(b"agent launcheronly launcher")
    assert again.stream_state(STEP, 1, "stdout") == StreamState(14), "where the next life goes on"
    again.close()
    third = recovered(tmp_path)
    assert third.recover_tails(9, -1) == 0, "a death after the recovery doubles nothing"
    records, payload = ship(third)
    assert sorted([b"agent launcher", b"only launcher"]) == sorted(_streams(records, payload).values())


def test_what_the_launcher_could_not_put_anywhere_is_told(tmp_path: Path) -> None:
    """The disk was full while the agent was gone: a gap that nobody speaks of would look like silence."""
    journal = Journal.create(tmp_path, RUN, 1)
    spool(journal, b"agent ")
    journal.close()
    tail(journal, "stdout").write_bytes(b"launcher")
    tail(journal, "stdout").with_suffix(".lost77").touch()

    again = recovered(tmp_path)
    again.recover_tails(9, -1)
    records, _ = ship(again)
    (gap,) = [record for record in records if isinstance(record, OutputDropped)]
    assert (gap.step, gap.stream, gap.offset, gap.size) == (STEP, "stdout", 14, 77)
    again.close()
    assert recovered(tmp_path).recover_tails(9, -1) == 0
    assert not list(journal.path.glob("spool/*.lost*")), "it is told once"


def _streams(records: list[Record], payload: bytes) -> dict[str, bytes]:
    """Put the streams together; offsets have to be without gaps."""
    streams: dict[str, bytes] = {}
    for record in records:
        if isinstance(record, Output):
            before = streams.get(record.stream, b"")
            assert record.offset == len(before)
            streams[record.stream] = before + payload[: record.size]
            payload = payload[record.size :]
    assert payload == b""
    return streams


def test_the_steps_that_were_running_are_known_after_everything_was_acknowledged(tmp_path: Path) -> None:
    """The next life has to report them as lost, long after their start was stored and deleted here."""
    limits = Limits(segment_bytes=100)
    journal = Journal.create(tmp_path, RUN, 1, limits)
    journal.append(
        StepStarted(t_ns=7, bound_ns=1, step=STEP, attempt=1, pid=1, event="exec", planned_ns=0, go=1)
    )
    spool(journal, b"12345")
    for _ in range(20):
        journal.append(notice("x" * 20))
    ship(journal)
    journal.close()

    (step,) = recovered(tmp_path, limits).open_steps()
    assert (step.step, step.attempt, step.started_ns) == (STEP, 1, 7)
    assert (step.stdout, step.stderr) == (StreamState(5), StreamState(0))


def test_a_stream_goes_on_in_the_journal_of_the_next_life(tmp_path: Path) -> None:
    """The launcher hands the pipes over: offsets go on, even if it dies before its first byte or record."""
    journal = Journal.create(tmp_path, RUN, 2)
    read_fd, write_fd = os.pipe()
    stdout = journal.open_stream(STEP, 1, "stdout", offset=1000)
    journal.open_stream(STEP, 1, "stderr", offset=500)
    os.write(write_fd, b"out")
    stdout.move(read_fd, 100)
    journal.close()
    os.close(read_fd)
    os.close(write_fd)
    tail(journal, "stderr").write_bytes(b"drained")

    again = recovered(tmp_path)
    again.recover_tails(9, -1)
    records, payload = ship(again)
    assert sorted((record.offset, record.size) for record in records if isinstance(record, Output)) == [
        (500, 7),
        (1000, 3),
    ]
    assert sorted(payload) == sorted(b"outdrained")


def test_acknowledged_records_are_not_sent_by_the_next_life(tmp_path: Path) -> None:
    """The broker would drop them, but a node may have shipped gigabytes."""
    journal = Journal.create(tmp_path, RUN, 1)
    for text in "abc":
        journal.append(notice(text))
    journal.next_batch()
    journal.acknowledge(2)
    journal.close()

    again = recovered(tmp_path)
    assert ship(again)[0] == [notice("c")]


def _cut_spool(journal: Journal) -> None:
    (spooled,) = journal.path.glob("spool/*")
    os.truncate(spooled, 3)


def _flip_record(journal: Journal) -> None:
    segments = sorted(journal.path.glob("records/*"))
    data = bytearray(segments[1].read_bytes())
    data[-1] ^= 1
    segments[1].write_bytes(data)


@pytest.mark.parametrize("harm", [_cut_spool, _flip_record])
def test_a_damaged_journal_is_shipped_up_to_the_damage_and_says_so(
    tmp_path: Path, harm: Callable[[Journal], None]
) -> None:
    """A power cut may take what had not reached the disk; what is sent must never be wrong bytes."""
    limits = Limits(segment_bytes=60)
    journal = Journal.create(tmp_path, RUN, 1, limits)
    journal.append(notice("sound" * 20))
    spool(journal, b"12345")
    for _ in range(9):
        journal.append(notice("behind" * 20))
    journal.close()
    harm(journal)

    again = recovered(tmp_path, limits)
    assert again.damage
    again.recover_tails(9, -1)
    again.append(notice("new"))
    records, payload = ship(again)
    assert records[0] == notice("sound" * 20)
    assert records[-1] == notice("new")
    assert b"12345".startswith(payload)


def test_a_removed_journal_leaves_nothing(tmp_path: Path) -> None:
    """A node must not fill up with runs that are over."""
    first = Journal.create(tmp_path, RUN, 1)
    second = Journal.create(tmp_path, RUN, 2)
    first.remove()
    assert second.path.exists()
    second.remove()
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """Half a journal must not be taken for a damaged one."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(notice("x"))
    journal.close()
    journal.path.rename(journal.path.with_name("1.gone"))
    assert Journal.recover(tmp_path) == []
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_journal_that_nobody_wants_is_set_aside(tmp_path: Path) -> None:
    """The broker does not know the run: a person may still want the bytes, no agent does."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(notice("x"))
    aside = journal.set_aside()
    assert Journal.recover(tmp_path) == []
    assert aside.is_relative_to(tmp_path / "undelivered")
    assert list(aside.glob("records/*"))


def test_journals_that_nobody_wants_do_not_fill_the_disk(tmp_path: Path) -> None:
    """A broker whose catalogue was lost would have every node keep all that it ever reports."""
    kept = []
    for incarnation in (1, 2, 3):
        journal = Journal.create(tmp_path, RUN, incarnation)
        journal.append(notice("x" * 100_000))
        kept.append(journal.set_aside())
    assert trim_undelivered(tmp_path, 1 << 20) == []
    assert trim_undelivered(tmp_path, 250_000) == kept[:1], "the oldest goes first"
    assert trim_undelivered(tmp_path, 1) == kept[1:2]
    assert trim_undelivered(tmp_path, 1) == [], "the last one stays"
    assert [path.exists() for path in kept] == [False, False, True]


def test_an_incarnation_has_one_journal_for_a_run(tmp_path: Path) -> None:
    """Two writers under one number would send two records under one number."""
    Journal.create(tmp_path, RUN, 1).close()
    with pytest.raises(StoreError, match="is there already"):
        Journal.create(tmp_path, RUN, 1)


def test_the_state_is_the_last_one_that_was_saved(tmp_path: Path) -> None:
    """The next life takes the clock and the reset steps from it."""
    journal = Journal.create(tmp_path, RUN, 1)
    assert journal.load_state() is None
    journal.save_state(b"old" * 100)
    journal.save_state(b"\x00new")
    journal.close()
    assert recovered(tmp_path).load_state() == b"\x00new"


def test_journals_come_back_oldest_first(tmp_path: Path) -> None:
    """Records of a run are stored in the order in which things happened."""
    for incarnation in (10, 9):
        Journal.create(tmp_path, RUN, incarnation).close()
    (tmp_path / "journals" / "lost+found").mkdir()
    assert [(journal.run, journal.incarnation) for journal in Journal.recover(tmp_path)] == [
        (RUN, 9),
        (RUN, 10),
    ]


# --- kill -9 --------------------------------------------------------------------------------------------

WRITER = """
import os, select, sys
from pathlib import Path
from agents.journal import Journal, Limits, Moved
from agents.journal.frames import frame

root, run, incarnation, pipe, offset = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
journal = Journal.create(root, run, incarnation, Limits(segment_bytes=4096, spool_file_bytes=100_000))
stream = journal.open_stream("1/run/role/step", 1, "stdout", offset)
sink = os.open(root / "sink", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
moved = None
while moved is None or moved.size:
    select.select([pipe], [], [])
    moved = journal.capture(stream, pipe, 1, 1)
    if moved is not None and moved.offset % 3:  # falls behind, and catches up
        while shipment := journal.next_batch():
            os.write(sink, frame(b"".join((len(shipment.batch).to_bytes(4, "little"), *shipment))))
            os.write(1, b".")
            if journal.sent % 2:
                journal.acknowledge(journal.sent)
"""


class Sink:
    """Reads what the writers sent, drops what it has, and refuses gaps, as the broker does."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.data = b""

    def take(self, batch_frame: bytes, payload: bytes) -> None:
        batch = codec.decode_as(batch_frame, Batch)
        for number, record in enumerate(batch.records, batch.first):
            assert isinstance(record, Output)
            chunk, payload = payload[: record.size], payload[record.size :]
            last = self.last.get(batch.incarnation, 0)
            assert number <= last + 1, "a gap"
            if number == last + 1:
                self.last[batch.incarnation] = number
                assert record.offset == len(self.data)
                self.data += chunk
        assert payload == b""

    def take_file(self, path: Path) -> None:
        for _, body in bodies(path.read_bytes()):
            size = int.from_bytes(body[:4], "little")
            self.take(body[4 : 4 + size], body[4 + size :])
        path.unlink()


def test_killed_writers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """SIGKILL at any moment; the pipe outlives the agent in its launcher: each byte arrives exactly once."""
    numbers = subprocess.Popen(["seq", "1", "400000"], stdout=subprocess.PIPE)
    assert numbers.stdout is not None
    pipe = numbers.stdout.fileno()
    sink = Sink()
    for incarnation, patience in enumerate([1, 30, 7, 100, 3, 10_000], 1):
        _live_and_die(tmp_path, incarnation, pipe, len(sink.data), patience)
        if (tmp_path / "sink").exists():
            sink.take_file(tmp_path / "sink")
        for journal in Journal.recover(tmp_path):
            assert journal.damage == ""
            journal.recover_tails(1, -1)
            while shipment := journal.next_batch():
                sink.take(*shipment)
                journal.acknowledge(journal.sent)
            assert journal.is_shipped
            journal.remove()
    assert numbers.wait() == 0
    numbers.stdout.close()
    assert sink.data == b"".join(b"%d\n" % number for number in range(1, 400_001))


def _live_and_die(root: Path, incarnation: int, pipe: int, offset: int, patience: int) -> None:
    """Run a writer and kill it after so many batches, or let it come to the end."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), RUN, *map(str, (incarnation, pipe, offset))],
        stdout=subprocess.PIPE,
        pass_fds=[pipe],
        bufsize=0,
    )
    assert writer.stdout is not None
    for _ in range(patience):
        if not writer.stdout.read(1):
            break
    writer.kill()
    writer.wait()
    writer.stdout.close()


def test_a_torn_write_to_the_sink_is_told_from_a_whole_one() -> None:
    """The test above relies on it: its writers die inside that write, too."""
    data = frame(b"one") + frame(b"two")
    assert [body for _, body in bodies(data[:-1])] == [b"one"]
