"""The record log on real disks, under real deaths and beside a real thread."""

import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fabric.errors import StoreError
from fabric.protocol.messages import EntryHead
from fabric.store.commit import Committed, GroupCommit
from fabric.store.record_log import RecordLog

EVERYTHING = 1 << 40
PATIENCE_S = 20.0

WRITER = """
import sys
from pathlib import Path
from fabric.protocol.messages import EntryHead
from fabric.store.commit import GroupCommit
from fabric.store.record_log import RecordLog

log = RecordLog.open(Path(sys.argv[1]), segment_bytes=20_000)
commit = GroupCommit()
while True:
    number = log.next_number
    head = EntryHead(number=number, count=1, node="lab1", incarnation=1, first=number)
    log.append(head, b"", b"%d " % number * 50)
    commit.submit("run", log)
    for done in commit.collect():
        print(done.number, flush=True)
"""


def append(log: RecordLog, payload: bytes) -> None:
    number = log.next_number
    log.append(EntryHead(number=number, count=1, node="lab1", incarnation=1, first=number), b"batch", payload)


def collected(commit: "GroupCommit[str]", results: int) -> list[Committed[str]]:
    """Wait for so many results."""
    found: list[Committed[str]] = []
    while len(found) < results:
        assert select.select([commit], [], [], PATIENCE_S)[0], "the commit thread says nothing"
        found += commit.collect()
    return found


@pytest.fixture
def commit() -> Iterator["GroupCommit[str]"]:
    """Return a running group commit; its thread must have ended afterwards."""
    before = threading.active_count()
    group: GroupCommit[str] = GroupCommit()
    yield group
    group.close()
    assert threading.active_count() == before


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The broker may die by kill -9 at any moment of a run, again and again."""
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randint(1, 40)):
                acknowledged = int(writer.stdout.readline()) - 1
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                acknowledged = int(line) - 1 if line.endswith("\n") else acknowledged

        log = RecordLog.open(tmp_path / "run", segment_bytes=20_000)
        numbers = [entry.number for entry in log.read(1, EVERYTHING)]
        assert numbers == list(range(1, log.next_number))
        assert all(e.payload == b"%d " % e.number * 50 for e in log.read(1, EVERYTHING))
        assert log.tail_number >= acknowledged
        assert log.cursors == {("lab1", 1): log.next_number}
        log.close()
    assert acknowledged > 0


def test_a_full_disk_is_survived_when_there_is_space_again(tiny_disk: Path) -> None:
    """Somebody fills the disk, somebody makes room: the run goes on, nothing lost, nothing twice."""
    log = RecordLog.open(tiny_disk / "run", segment_bytes=50_000)
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    written = 0
    with suppress(StoreError):
        while True:
            append(log, b"%04d" % written * 1000)
            written += 1
    with pytest.raises(StoreError, match="No space left"):
        append(log, b"%04d" % written * 1000)
    log.sync()

    ballast.unlink()
    append(log, b"%04d" % written * 1000)
    written += 1
    log.sync()
    log.close()

    again = RecordLog.open(tiny_disk / "run", segment_bytes=50_000)
    assert [e.payload for e in again.read(1, EVERYTHING)] == [b"%04d" % n * 1000 for n in range(written)]
    assert again.cut is None
    again.close()


def test_a_disk_that_is_full_from_the_start_says_so(tiny_disk: Path) -> None:
    """Not even a segment's head fits: no half file may stay that the next start stumbles over."""
    (tiny_disk / "run").mkdir()
    with suppress(OSError), (tiny_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    log = RecordLog.open(tiny_disk / "run")
    with pytest.raises(StoreError, match="No space left"):
        append(log, b"payload")
    assert list(log.directory.iterdir()) == []

    (tiny_disk / "ballast").unlink()
    append(log, b"payload")
    assert log.tail_number == 1
    log.close()


def test_appending_goes_on_while_the_disk_is_written(tmp_path: Path, commit: "GroupCommit[str]") -> None:
    """Acknowledgements only grow, and reach the end; segments that are left behind are closed."""
    log = RecordLog.open(tmp_path / "run", segment_bytes=100_000)
    promised = [1]
    for _ in range(500):
        append(log, bytes(2000))
        commit.submit("run", log)
        promised += [done.number for done in commit.collect() if not done.error]
    while promised[-1] < log.next_number:
        promised += [done.number for done in collected(commit, 1)]

    assert promised == sorted(promised)
    assert not log.dirty
    assert [segment.path for segment in log._segments if segment.fd >= 0] == [log._segments[-1].path]
    log.close()


def test_requests_that_wait_are_merged_and_keep_their_turn(
    tmp_path: Path, commit: "GroupCommit[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk must not pile up work, and a run that asks often must not starve the others."""
    logs = {name: RecordLog.open(tmp_path / name) for name in ("run1", "run2", "run3")}
    working, go_on = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        working.set()
        assert go_on.wait(PATIENCE_S)
        real(fd)

    monkeypatch.setattr("os.fdatasync", slow)
    for name in ("run1", "run2", "run3", "run2"):
        append(logs[name], b"payload")
        commit.submit(name, logs[name])
        assert working.wait(PATIENCE_S)
    go_on.set()

    assert [(done.token, done.number) for done in collected(commit, 3)] == [
        ("run1", 2),
        ("run2", 3),
        ("run3", 2),
    ]
    for log in logs.values():
        log.close()


def test_errors_of_the_disk_come_back_as_results_and_the_thread_lives(
    tmp_path: Path, commit: "GroupCommit[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with a broken disk must end with a sentence, and the other runs must not notice."""
    broken, sound = RecordLog.open(tmp_path / "broken"), RecordLog.open(tmp_path / "sound")
    append(broken, b"payload")
    append(sound, b"payload")

    def explode(_: int) -> None:
        raise ValueError("nobody expected this")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", explode)
        commit.submit("broken", broken)
        (first,) = collected(commit, 1)
    commit.submit("sound", sound)
    (second,) = collected(commit, 1)

    assert first.error is not None
    assert "nobody expected this" in str(first.error)
    assert broken.durable_number == 1
    assert (second.number, second.error) == (2, None)
    broken.close()
    sound.close()


def test_a_log_may_be_closed_while_it_is_being_synced(tmp_path: Path, commit: "GroupCommit[str]") -> None:
    """A run ends when it likes: the thread must not sync a descriptor that is somebody else's by then."""
    log = RecordLog.open(tmp_path / "run")
    append(log, b"payload")
    commit.submit("run", log)
    log.close()

    (done,) = collected(commit, 1)
    assert (done.number, done.error) == (2, None)


def test_closing_finishes_what_was_submitted(tmp_path: Path) -> None:
    """A broker that is told to end still acknowledges what it has."""
    group: GroupCommit[str] = GroupCommit()
    log = RecordLog.open(tmp_path / "run")
    append(log, b"payload")
    group.submit("run", log)

    assert [done.number for done in group.close()] == [2]
    assert group.close() == []
    log.close()


def test_any_of_a_hundred_thousand_entries_is_found_from_a_small_index(tmp_path: Path) -> None:
    """A step that prints single bytes makes tiny entries; reading from any number must stay quick."""
    log = RecordLog.open(tmp_path / "run", segment_bytes=4 << 20)
    for _ in range(100_000):
        append(log, b"x")
    log.sync()
    log.close()

    again = RecordLog.open(tmp_path / "run", segment_bytes=4 << 20)
    assert again.next_number == 100_001
    chance = random.Random(7)
    for number in [1, 100_000, *(chance.randint(1, 100_000) for _ in range(200))]:
        assert again.read(number, 0)[0].number == number
    assert sum(segment.index.size_bytes for segment in again._segments if segment.index) < 16_384
    again.close()
