"""Output through the journal: what a step wrote is what is shipped."""

import os
import pty
import subprocess
import tty
from pathlib import Path

import pytest

from agents.journal import Journal, JournalFull, Limits, Moved
from fabric.protocol import codec, limits
from fabric.protocol.messages import Batch
from fabric.protocol.records import Notice, Output

RUN = "20240101-000000-output-abcd"
STEP = "1/run/role/step"


def take_all(journal: Journal, fd: int, step: str = STEP) -> int:
    """Capture until the end.  Returns how many records it took."""
    stream = journal.open_stream(step, 1, "stdout")
    os.set_blocking(fd, True)
    records = 0
    while True:
        moved = journal.capture(stream, fd, 1, 1)
        assert isinstance(moved, Moved)
        records += 1
        if not moved.size:
            return records


def shipped(journal: Journal) -> bytes:
    payload = b""
    while shipment := journal.next_batch():
        payload += shipment.payload
        journal.acknowledge(journal.sent)
    return payload


def pipe_with(data: bytes) -> int:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, data)
    os.close(write_fd)
    return read_fd


def test_bytes_that_are_no_text_are_untouched(tmp_path: Path) -> None:
    """Output is bytes; only who shows them decodes them."""
    data = bytes(range(256)) * 200
    journal = Journal.create(tmp_path, RUN, 1)
    fd = pipe_with(data)
    take_all(journal, fd)
    os.close(fd)
    assert shipped(journal) == data


def test_a_stream_ends_once(tmp_path: Path) -> None:
    """The end is a record of its own; a loop that polls the closed pipe again must not repeat it."""
    journal = Journal.create(tmp_path, RUN, 1)
    fd = pipe_with(b"abc")
    stream = journal.open_stream(STEP, 1, "stdout")
    got = [journal.capture(stream, fd, 1, 1) for _ in range(4)]
    os.close(fd)
    assert got == [Moved(0, 3), Moved(3, 0), Moved(3, 0), Moved(3, 0)]
    journal.end_stream(stream, 1, 1)
    assert journal.appended == 2


def test_a_stream_that_somebody_holds_open_can_be_ended(tmp_path: Path) -> None:
    """A daemon may keep the pipe after its step is over."""
    journal = Journal.create(tmp_path, RUN, 1)
    read_fd, write_fd = os.pipe()
    stream = journal.open_stream(STEP, 1, "stdout")
    os.write(write_fd, b"abc")
    assert journal.capture(stream, read_fd, 1, 1) == Moved(0, 3)
    assert journal.capture(stream, read_fd, 1, 1) is None
    journal.end_stream(stream, 1, 1)
    os.write(write_fd, b"late")
    assert journal.capture(stream, read_fd, 1, 1) == Moved(3, 0)
    os.close(read_fd)
    os.close(write_fd)
    shipment = journal.next_batch()
    assert shipment is not None
    last = codec.decode_as(shipment.batch, Batch).records[-1]
    assert isinstance(last, Output)
    assert (last.offset, last.size) == (3, 0)


def test_a_terminal_is_read_where_splice_is_refused(tmp_path: Path) -> None:
    """A step with a terminal has no pipe; its end is an input/output error."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.write(theirs, b"\xffterminal\r\n")
    journal = Journal.create(tmp_path, RUN, 1)
    stream = journal.open_stream(STEP, 1, "stdout")
    assert journal.capture(stream, ours, 1, 1) == Moved(0, 11)
    assert journal.capture(stream, ours, 1, 1) is None
    os.close(theirs)
    assert journal.capture(stream, ours, 1, 1) == Moved(11, 0)
    os.close(ours)
    assert shipped(journal) == b"\xffterminal\r\n"


def test_streams_that_write_in_turn_are_kept_apart(tmp_path: Path) -> None:
    """A batch mixes the bytes of many streams; their records say which is which."""
    journal = Journal.create(tmp_path, RUN, 1)
    pipes = [os.pipe() for _ in range(40)]  # more than the files that are kept open for reading
    streams = [journal.open_stream(f"1/run/role/step{number}", 1, "stdout") for number in range(40)]
    for turn in range(3):
        for number, (stream, (read_fd, write_fd)) in enumerate(zip(streams, pipes, strict=True)):
            os.write(write_fd, b"%d:%d;" % (number, turn))
            journal.capture(stream, read_fd, 1, 1)
    for stream in streams:
        journal.end_stream(stream, 1, 1)
    for fd in (fd for both in pipes for fd in both):
        os.close(fd)

    got: dict[str, bytes] = {}
    while shipment := journal.next_batch():
        payload = shipment.payload
        for record in codec.decode_as(shipment.batch, Batch).records:
            assert isinstance(record, Output)
            got[record.step] = got.get(record.step, b"") + payload[: record.size]
            payload = payload[record.size :]
    assert got == {f"1/run/role/step{number}": b"%d:0;%d:1;%d:2;" % ((number,) * 3) for number in range(40)}


def test_small_records_share_a_batch_and_large_ones_do_not_exceed_it(tmp_path: Path) -> None:
    """Every batch costs a message each way; every frame has a limit at which the peer hangs up."""
    journal = Journal.create(tmp_path, RUN, 1)
    for _ in range(limits.BATCH_RECORDS + 1):
        journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="x"))
    for _ in range(5):
        journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="x" * 200_000))
    counts = []
    while shipment := journal.next_batch():
        assert len(shipment.batch) <= limits.MAX_FRAME_BYTES
        counts.append(len(codec.decode_as(shipment.batch, Batch).records))
    assert counts == [512, 2, 1, 1, 1, 1]


def test_the_window_holds_back_until_it_is_acknowledged(tmp_path: Path) -> None:
    """What is on its way is bounded in bytes, so that a slow broker cannot fill the network's queues."""
    journal = Journal.create(tmp_path, RUN, 1)
    with subprocess.Popen(["head", "-c", "20M", "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        assert zeros.stdout is not None
        reader = zeros.stdout.fileno()
        stream = journal.open_stream(STEP, 1, "stdout")
        while (moved := journal.capture(stream, reader, 1, 1)) is None or (
            isinstance(moved, Moved) and moved.size
        ):
            pass
    sent = 0
    while shipment := journal.next_batch():
        sent += len(shipment.payload)
    assert limits.WINDOW_BYTES - 2 * limits.BATCH_BYTES < sent <= limits.WINDOW_BYTES
    journal.acknowledge(journal.sent)
    assert journal.next_batch() is not None


def test_a_full_journal_leaves_bytes_in_the_pipe_until_it_is_acknowledged(tmp_path: Path) -> None:
    """This is how a broker that is away in the end stops the program: its pipe fills."""
    journal = Journal.create(tmp_path, RUN, 1, Limits(journal_bytes=1000))
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"a" * 2000)
    stream = journal.open_stream(STEP, 1, "stdout")
    assert journal.capture(stream, read_fd, 1, 1, limit_bytes=1500) == Moved(0, 1500)
    assert journal.capture(stream, read_fd, 1, 1) == JournalFull("journal")
    journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="words about steps still go in"))
    assert journal.next_batch() is not None
    journal.acknowledge(2)
    assert journal.capture(stream, read_fd, 1, 1) == Moved(1500, 500)
    os.close(read_fd)
    os.close(write_fd)


def test_a_record_of_bytes_that_are_not_there_is_refused(tmp_path: Path) -> None:
    """It would stop the journal for ever when its turn to be sent comes."""
    journal = Journal.create(tmp_path, RUN, 1)
    with pytest.raises(ValueError, match="does not hold"):
        journal.append(Output(t_ns=1, bound_ns=1, step=STEP, attempt=1, stream="stdout", offset=0, size=1))
    assert journal.appended == 0


def test_a_broker_that_acknowledges_more_than_there_is_does_no_harm(tmp_path: Path) -> None:
    """Numbers come from the wire."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="x"))
    journal.acknowledge(1 << 62)
    assert journal.is_shipped
    assert journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="y")) == 2
    assert journal.next_batch() is not None


def test_after_a_resend_was_asked_for_and_overtaken_the_right_records_follow(tmp_path: Path) -> None:
    """The sink's resend and its acknowledgement cross on the way."""
    journal = Journal.create(tmp_path, RUN, 1, Limits(batch_records=1))
    notices = [Notice(t_ns=number, bound_ns=1, level="info", message="") for number in range(1, 6)]
    for notice in notices:
        journal.append(notice)
    for _ in range(4):
        journal.next_batch()
    journal.rewind(2)
    journal.acknowledge(3)
    shipment = journal.next_batch()
    assert shipment is not None
    batch = codec.decode_as(shipment.batch, Batch)
    assert (batch.first, batch.records) == (4, (notices[3],))


def test_a_stream_that_got_nothing_can_be_opened_again(tmp_path: Path) -> None:
    """A go that is void leaves armed steps with open streams; the next go opens the same ones."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.open_stream(STEP, 1, "stdout")
    stream = journal.open_stream(STEP, 1, "stdout")
    fd = pipe_with(b"second go")
    assert journal.capture(stream, fd, 1, 1) == Moved(0, 9)
    os.close(fd)
    with pytest.raises(ValueError, match="open already"):
        journal.open_stream(STEP, 1, "stdout")
