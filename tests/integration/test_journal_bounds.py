"""What a journal may cost: disk, memory, and what happens when the disk has no more."""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from agents.journal import Journal, JournalFull, Limits, Moved, SpoolStream
from fabric.protocol.records import Notice

RUN = "20240101-000000-bounds-abcd"
STEP = "1/run/role/step"
MIB = 1 << 20


def disk_bytes(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


def test_much_output_passes_through_some_tens_of_megabytes(tmp_path: Path) -> None:
    """A node's disk holds what is not acknowledged and a file or two, however long a step prints."""
    journal = Journal.create(tmp_path, RUN, 1, Limits(window_bytes=16 * MIB))
    source = "import sys\nfor n in range(256): sys.stdout.buffer.write(n.to_bytes(4, 'big') * (1 << 18))"
    most = 0
    digest = sha256()
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        for shipment in _through(journal, program.stdout.fileno()):
            digest.update(shipment)
            if journal.sent % 64 == 0:
                most = max(most, disk_bytes(tmp_path))
    wanted = sha256()
    for number in range(256):
        wanted.update(number.to_bytes(4, "big") * (1 << 18))
    assert digest.digest() == wanted.digest()
    assert most < 48 * MIB
    assert disk_bytes(tmp_path) < 8 * MIB, "after the end one segment of records is left"


def _through(journal: Journal, pipe: int) -> Iterator[bytes]:
    """Capture and ship; acknowledge only when the window is full."""
    stream = journal.open_stream(STEP, 1, "stdout")
    ended = False
    while not journal.is_shipped or not ended:
        if not ended:
            moved = journal.capture(stream, pipe, 1, 1)
            ended = moved == Moved(stream.end, 0)
            if moved is None:
                select.select([pipe], [], [])
        shipment = journal.next_batch()
        if shipment is not None:
            yield shipment.payload
        elif journal.unacknowledged_bytes > 16 * MIB or ended:
            journal.acknowledge(journal.sent)


def test_quiet_streams_give_their_disk_back(tmp_path: Path) -> None:
    """A hundred daemons that print little would each hold a file of 16 MiB for ever, which nobody counts."""
    journal = Journal.create(tmp_path, RUN, 1)
    read_fd, write_fd = os.pipe()
    stream = journal.open_stream(STEP, 1, "stdout")
    for _ in range(40):
        os.write(write_fd, bytes(32 * 1024))
        journal.capture(stream, read_fd, 1, 1)
    assert disk_bytes(tmp_path) > MIB
    while journal.next_batch():
        pass
    journal.acknowledge(journal.sent)
    assert disk_bytes(tmp_path) < 64 * 1024

    os.write(write_fd, b"goes on")
    assert journal.capture(stream, read_fd, 1, 1) == Moved(40 * 32 * 1024, 7)
    shipment = journal.next_batch()
    assert shipment is not None
    assert shipment.payload == b"goes on"
    os.close(read_fd)
    os.close(write_fd)


MANY = """
import sys
from pathlib import Path
from agents.journal import Journal
from fabric.protocol.records import Notice

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

root, run, count = Path(sys.argv[1]), sys.argv[2], 120_000
journal = Journal.create(root, run, 1)
record = Notice(t_ns=1, bound_ns=1, level="info", message="x")
sizes = []
for number in range(count + 1):
    if number % 24_000 == 10_000:
        sizes.append(resident())
    journal.append(record)
journal.close()
(journal,) = Journal.recover(root)
sizes.append(resident())
while journal.next_batch():  # a window ahead, so that the window is full all the time
    if journal.sent - journal.acknowledged > 8000:
        journal.acknowledge(journal.sent - 4000)
    if journal.sent % 24_000 < 512:
        sizes.append(resident())
assert journal.sent == count + 1, journal.sent
print(*sizes)
"""


def test_memory_is_flat_over_many_records(tmp_path: Path) -> None:
    """The agent shares its machine with the system under test; a sink that is away must not cost memory."""
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), RUN], check=True, capture_output=True, text=True
    )
    sizes = list(map(int, done.stdout.split()))
    assert len(sizes) > 8
    assert max(sizes) - sizes[0] < 16 * MIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


SMALL_FILES = Limits(segment_bytes=64 * 1024, spool_file_bytes=MIB)


def fill(journal: Journal, stream: SpoolStream, pipe: int) -> None:
    """Capture until the disk is full."""
    while (moved := journal.capture(stream, pipe, 1, 1)) != JournalFull("disk"):
        if moved is None:
            select.select([pipe], [], [])


def test_a_full_disk_stops_the_program_and_loses_nothing(small_disk: Path) -> None:
    """The bytes stay in the pipe until acknowledgements make room; then it goes on where it was."""
    journal = Journal.create(small_disk, RUN, 1, SMALL_FILES)
    stream = journal.open_stream(STEP, 1, "stdout")
    got = bytearray()
    times_full = 0
    with subprocess.Popen(["seq", "1", "4000000"], stdout=subprocess.PIPE) as numbers:
        assert numbers.stdout is not None
        pipe = numbers.stdout.fileno()
        moved: object = None
        while moved != Moved(stream.end, 0):
            moved = journal.capture(stream, pipe, 1, 1)
            if moved is None:
                select.select([pipe], [], [])
            if moved == JournalFull("disk"):
                times_full += 1
                while shipment := journal.next_batch():
                    got += shipment.payload
                journal.acknowledge(journal.sent)
    while shipment := journal.next_batch():
        got += shipment.payload
        journal.acknowledge(journal.sent)
    journal.close()
    assert times_full > 2
    assert bytes(got) == b"".join(b"%d\n" % number for number in range(1, 4_000_001))


def test_words_about_steps_wait_in_memory_for_a_full_disk(small_disk: Path) -> None:
    """That a step has finished must be appended now; it is sent when it is in a file."""
    journal = Journal.create(small_disk, RUN, 1, SMALL_FILES)
    stream = journal.open_stream(STEP, 1, "stdout")
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        assert zeros.stdout is not None
        fill(journal, stream, zeros.stdout.fileno())
        before = journal.appended
        texts = [f"{number}" * 200 for number in range(1000)]
        for text in texts:
            journal.append(Notice(t_ns=1, bound_ns=1, level="info", message=text))
        assert journal.appended == before + len(texts)
        while journal.next_batch():
            pass
        assert journal.sent < journal.appended, "what is not in a file is not sent"
        journal.acknowledge(journal.sent)
        while journal.next_batch():
            pass
        assert journal.sent == journal.appended
        zeros.kill()
    journal.close()
    (again,) = Journal.recover(small_disk)
    assert again.appended == before + len(texts)
    again.close()


def test_words_that_wait_are_sent_when_there_is_room_though_nothing_is_acknowledged(small_disk: Path) -> None:
    """That a step was lost is all that a life after a crash has to say: no acknowledgement would come."""
    Journal.create(small_disk, RUN, 1).close()
    with (small_disk / "other").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    (journal,) = Journal.recover(small_disk)
    journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="lost"))
    assert journal.next_batch() is None
    (small_disk / "other").unlink()
    assert journal.next_batch() is not None
    assert journal.sent == journal.appended
    journal.close()


def test_a_disk_full_to_the_last_page_is_left_again(small_disk: Path) -> None:
    """Bytes of which no record could be written would hold that page for ever: nothing could be shipped.

    The one file of a stream is larger than the disk here, so no other one can be freed instead of it.  Where
    a page of records ends when the disk is full is up to what was written before, so many places are tried.
    """
    (small_disk / "other").write_bytes(bytes(8 * MIB - 256 * 1024))
    for incarnation in range(1, 33):
        journal = Journal.create(small_disk, RUN, incarnation)
        journal.append(Notice(t_ns=1, bound_ns=1, level="info", message="x" * 128 * incarnation))
        assert _read_in_vain(journal) == 0, f"it hangs with {incarnation}"
        journal.remove()


def _read_in_vain(journal: Journal) -> int:
    """Take a MiB over the full disk, acknowledging all when it is full.  Returns what could not be taken."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    stream = journal.open_stream(STEP, 1, "stdout")
    left = MIB
    times_full = 0
    while stream.end < MIB and times_full < 100:
        with contextlib.suppress(BlockingIOError):
            left -= os.write(write_fd, bytes(min(left, 32 * 1024)))
        if journal.capture(stream, read_fd, 1, 1) == JournalFull("disk"):
            times_full += 1
            while journal.next_batch():
                pass
            journal.acknowledge(journal.sent)
    os.close(read_fd)
    os.close(write_fd)
    return MIB - stream.end


def test_small_acknowledged_files_give_way_on_a_full_disk(small_disk: Path) -> None:
    """Many quiet streams may hold all of it; nothing that is not acknowledged is in the way then."""
    journal = Journal.create(small_disk, RUN, 1)
    read_fd, write_fd = os.pipe()
    streams = [journal.open_stream(f"1/run/role/s{number}", 1, "stdout") for number in range(16)]
    taken = 0
    for _ in range(24):
        for stream in streams:
            os.write(write_fd, bytes(32 * 1024))
            assert isinstance(journal.capture(stream, read_fd, 1, 1), Moved)
            taken += 32 * 1024
            while journal.next_batch():
                pass
            journal.acknowledge(journal.sent)
    assert taken > 8 * MIB
    journal.close()
    os.close(read_fd)
    os.close(write_fd)


def test_the_end_of_a_step_is_told_on_a_full_disk(small_disk: Path) -> None:
    """Output is stopped before: what is said about steps has room that was taken for it."""
    journal = Journal.create(small_disk, RUN, 1)
    stream = journal.open_stream(STEP, 1, "stdout")
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        assert zeros.stdout is not None
        fill(journal, stream, zeros.stdout.fileno())
        zeros.kill()
    for number in range(50):
        journal.append(Notice(t_ns=1, bound_ns=1, level="info", message=f"{number}" * 100))
    while journal.next_batch():
        pass
    assert journal.sent == journal.appended
    journal.close()


def test_no_journal_begins_on_a_full_disk(small_disk: Path) -> None:
    """The node says so when it is to take part in a run, and is as it was before."""
    (small_disk / "other").write_bytes(bytes(7 * MIB))
    with (small_disk / "more").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            Journal.create(small_disk, RUN, 1)
    (small_disk / "more").unlink()
    journal = Journal.create(small_disk, RUN, 1)
    journal.save_state(b"\0" + bytes(5000))
    (small_disk / "other").unlink()
    with (small_disk / "more").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    journal.save_state(b"\1" + bytes(9000))
    assert journal.load_state() == b"\1" + bytes(5000), "that a reset is due is kept all the same"
    journal.close()
