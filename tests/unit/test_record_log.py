"""The record log alone: what was appended is read back, and what a death leaves is judged rightly."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.errors import StoreError
from fabric.protocol.codec import encode
from fabric.protocol.limits import MAX_FRAME_BYTES
from fabric.protocol.messages import EntryHead
from fabric.store.entry import Entry
from fabric.store.record_log import RecordLog
from fabric.store.segment import INDEX_STRIDE_BYTES
from fabric.store.spare import Spare

EVERYTHING = 1 << 40


def head(log: RecordLog, count: int = 1, node: str = "lab1", incarnation: int = 1) -> EntryHead:
    """Return the head of the next entry of a source."""
    first = log.cursors.get((node, incarnation), 1)
    return EntryHead(number=log.next_number, count=count, node=node, incarnation=incarnation, first=first)


def filled(directory: Path, entries: int, segment_bytes: int = 1 << 20) -> RecordLog:
    """Return a log with entries of one record, each told by its payload."""
    log = RecordLog.open(directory, segment_bytes=segment_bytes)
    for number in range(1, entries + 1):
        log.append(head(log), b"batch", b"payload %d" % number)
    return log


def payloads(log: RecordLog) -> list[bytes]:
    return [bytes(entry.payload) for entry in log.read(1, EVERYTHING)]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def flip(path: Path, offset: int) -> None:
    """Turn one bit of a file over."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


frames = st.binary(max_size=300)
sources = st.tuples(st.sampled_from(["", "lab1", "lab2"]), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    written=st.lists(st.tuples(sources, st.integers(1, 5), frames, frames), max_size=30),
    segment_bytes=st.integers(100, 3000),
    reopen_after=st.integers(0, 30),
)
def test_what_is_appended_is_read_back_whole_and_in_order(
    written: list[tuple[tuple[str, int], int, bytes, bytes]], segment_bytes: int, reopen_after: int
) -> None:
    """Whatever the sizes, the segments and a restart in between: frames, numbers and cursors are the same."""
    with TemporaryDirectory() as place:
        directory = Path(place) / "run"
        log = RecordLog.open(directory, segment_bytes=segment_bytes)
        expected: list[Entry] = []
        cursors: dict[tuple[str, int], int] = {}
        for position, (source, count, batch, payload) in enumerate(written):
            if position == reopen_after:
                log.close()
                log = RecordLog.open(directory, segment_bytes=segment_bytes)
            message = head(log, count, *source)
            log.append(message, memoryview(batch), memoryview(payload))
            expected.append(Entry(message.number, count, encode(message), batch, payload))
            cursors[source] = message.first + count
        log.close()

        again = RecordLog.open(directory, segment_bytes=segment_bytes)
        for reader in (log, again):
            assert reader.read(1, EVERYTHING) == expected
            assert reader.cursors == cursors
            assert reader.tail_number == sum(entry.count for entry in expected)
        again.close()


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(1, 7), min_size=1, max_size=40), limit_bytes=st.integers(0, 400))
def test_a_reader_that_asks_on_and_on_sees_every_record_once(counts: list[int], limit_bytes: int) -> None:
    """Replay asks from the number behind the last one; a limit below one entry must not stop it."""
    with TemporaryDirectory() as place:
        log = RecordLog.open(Path(place) / "run", segment_bytes=500)
        for count in counts:
            log.append(head(log, count), b"batch", bytes(50))
        number, seen = 1, []
        while entries := log.read(number, limit_bytes):
            assert len(entries) == 1 or sum(entry.size_bytes for entry in entries) <= limit_bytes
            seen += [entry.count for entry in entries]
            number = entries[-1].next_number
        assert seen == counts
        assert number == log.next_number
        log.close()


def test_reading_begins_with_the_entry_that_contains_the_number(tmp_path: Path) -> None:
    """A reader's gap may begin in the middle of a batch."""
    log = RecordLog.open(tmp_path / "run")
    log.append(head(log, 10), b"", b"first")
    log.append(head(log, 10), b"", b"second")

    assert [entry.number for entry in log.read(10, EVERYTHING)] == [1, 11]
    assert [entry.number for entry in log.read(11, EVERYTHING)] == [11]
    assert [entry.number for entry in log.read(20, 0)] == [11]
    assert log.read(21, EVERYTHING) == []
    log.close()


def test_a_log_torn_at_any_byte_opens_with_the_whole_entries_before(tmp_path: Path) -> None:
    """The machine may die at any moment of a write; the log must open, and go on, whatever is left."""
    log = filled(tmp_path / "run", 6, segment_bytes=250)
    log.close()
    files = segments(log.directory)
    assert len(files) > 1, "the tear must also fall on a segment's head"
    whole = [path.read_bytes() for path in files]

    for size in range(sum(map(len, whole)) + 1):
        torn = tmp_path / f"torn{size}"
        torn.mkdir()
        left = size
        for path, data in zip(files, whole, strict=True):
            if left > 0 or path == files[0]:
                (torn / path.name).write_bytes(data[:left])
            left = max(0, left - len(data))
        opened = RecordLog.open(torn, segment_bytes=250)
        kept = opened.tail_number
        assert payloads(opened) == [b"payload %d" % number for number in range(1, kept + 1)]
        assert opened.cursors.get(("lab1", 1), 1) == kept + 1
        opened.append(head(opened), b"batch", b"payload %d" % (kept + 1))
        opened.close()
        again = RecordLog.open(torn, segment_bytes=250)
        assert len(payloads(again)) == kept + 1
        assert again.cut is None
        again.close()
    assert kept == 6


def test_a_last_entry_that_is_full_of_holes_is_cut_away_and_reported(tmp_path: Path) -> None:
    """After a loss of power a file may have its full length and zeros in it."""
    log = filled(tmp_path / "run", 3)
    log.close()
    (path,) = segments(log.directory)
    flip(path, path.stat().st_size - 1)

    opened = RecordLog.open(log.directory)

    assert opened.tail_number == 2
    assert opened.cut is not None
    assert opened.cut.path == path
    assert path.stat().st_size == opened.cut.offset == opened.size_bytes
    opened.close()


def test_holes_behind_the_last_sync_are_a_torn_end_even_if_later_pages_were_written(tmp_path: Path) -> None:
    """The file system writes pages in any order; nobody was promised those records, so the run goes on."""
    log = filled(tmp_path / "run", 2)
    log.sync()
    offset = log.size_bytes
    for _ in range(3):
        log.append(head(log), b"batch", b"not synced")
    log.close()
    (path,) = segments(log.directory)
    flip(path, offset + 50)

    opened = RecordLog.open(log.directory)

    assert payloads(opened) == [b"payload 1", b"payload 2"]
    opened.close()


@pytest.mark.parametrize("part", ["header", "frames"])
def test_damage_to_acknowledged_records_is_an_error_that_says_where(tmp_path: Path, part: str) -> None:
    """Their sources have forgotten them: to cut them away would lose them without a word."""
    log = filled(tmp_path / "run", 2)
    offset = log.size_bytes
    log.append(head(log), b"batch", b"damaged soon")
    log.sync()
    log.append(head(log), b"batch", b"after the sync")
    log.close()
    (path,) = segments(log.directory)
    flip(path, offset + (1 if part == "header" else 60))

    with pytest.raises(StoreError, match=rf"{path}.*offset {offset}\b"):
        RecordLog.open(log.directory)
    assert b"after the sync" in path.read_bytes(), "an error must not change the file"


@pytest.mark.parametrize("whole", [True, False])
def test_a_lost_segment_in_the_middle_is_found(tmp_path: Path, whole: bool) -> None:
    """A gap must be told, not skipped: a reader would believe it has everything."""
    log = RecordLog.open(tmp_path / "run", segment_bytes=300)
    for number in range(20):
        log.append(head(log), b"batch", b"payload %d" % number)
        log.sync()
    log.close()
    files = segments(log.directory)
    if whole:
        files[2].unlink()
    else:
        os.truncate(files[2], 200)

    opened = RecordLog.open(log.directory)
    with pytest.raises(StoreError, match="offset"):
        opened.verify()
    opened.close()


def test_damage_ahead_of_the_last_segments_is_found_when_it_is_read(tmp_path: Path) -> None:
    """A restart does not read 100 GB; so a reader must never be given what is not intact."""
    log = RecordLog.open(tmp_path / "run", segment_bytes=300)
    for number in range(20):
        log.append(head(log), b"batch", b"payload %d" % number)
        log.sync()
    log.close()
    first = segments(log.directory)[0]
    flip(first, first.stat().st_size - 1)

    opened = RecordLog.open(log.directory)
    with pytest.raises(StoreError, match=rf"{first}.*offset \d+"):
        opened.read(1, EVERYTHING)
    assert opened.read(15, EVERYTHING)[-1].number == 20
    opened.close()


def test_a_missing_first_segment_is_an_error(tmp_path: Path) -> None:
    """The run's beginning cannot be replayed: better said at once."""
    log = filled(tmp_path / "run", 20, segment_bytes=300)
    log.close()
    segments(log.directory)[0].unlink()

    with pytest.raises(StoreError, match="first segment is missing"):
        RecordLog.open(log.directory)


def test_output_that_looks_like_entries_is_never_taken_for_entries(tmp_path: Path) -> None:
    """A step may print the log file of another run: torn, it must be cut like any other output."""
    other = filled(tmp_path / "other", 5)
    other.sync()
    for _ in range(3):
        other.append(head(other), b"batch", b"says that much was durable")
    (file,) = segments(other.directory)
    log = RecordLog.open(tmp_path / "run")
    log.append(head(log), b"batch", file.read_bytes())
    log.close()
    other.close()
    (path,) = segments(log.directory)
    os.truncate(path, path.stat().st_size - 1)

    opened = RecordLog.open(log.directory)

    assert opened.tail_number == 0
    opened.close()


def write_a_part(fd: int, parts: list[bytes], offset: int) -> int:
    """Do what `os.pwritev` does where only 20 bytes are left."""
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, b"".join(parts)[:20])


def test_a_full_disk_leaves_the_log_whole_and_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an entry may already be on the disk when it is full: it is taken back, and can follow later."""
    log = filled(tmp_path / "run", 2)

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.pwritev", write_a_part)
        patch.setattr("os.pwrite", refuse)
        with pytest.raises(StoreError, match="No space left") as caught:
            log.append(head(log), b"batch", b"payload 3")
    assert "free some space" in caught.value.hint
    assert log.size_bytes == segments(log.directory)[0].stat().st_size

    log.append(head(log), b"batch", b"payload 3")
    assert payloads(log) == [b"payload 1", b"payload 2", b"payload 3"]
    log.close()


def test_an_entry_out_of_order_is_refused(tmp_path: Path) -> None:
    """A hole in the numbers would make every reader ask for a replay for ever."""
    log = filled(tmp_path / "run", 2)
    wrong = EntryHead(number=9, count=1, node="lab1", incarnation=1, first=3)

    with pytest.raises(StoreError, match="expected the entry of record 3, got 9"):
        log.append(wrong, b"", b"")
    assert log.tail_number == 2
    log.close()


def test_a_frame_that_no_socket_would_take_is_refused(tmp_path: Path) -> None:
    """Recovery takes sizes above the limit for damage, so none may get in."""
    log = RecordLog.open(tmp_path / "run")
    with pytest.raises(StoreError, match="over"):
        log.append(head(log), b"", bytes(MAX_FRAME_BYTES + 1))
    log.close()


def test_memory_of_the_index_depends_on_bytes_not_on_entries(tmp_path: Path) -> None:
    """Millions of tiny entries must not fill the broker's memory."""
    log = filled(tmp_path / "run", 5000)
    index_bytes = sum(segment.index.size_bytes for segment in log._segments if segment.index)

    assert index_bytes <= 16 * (log.size_bytes / INDEX_STRIDE_BYTES + len(log._segments))
    log.close()


def test_few_indices_are_kept_however_many_segments_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tail that reads 100 GB from the start must leave no trace in memory, and still find everything."""
    monkeypatch.setattr("fabric.store.record_log.MAX_INDEXED", 3)
    filled(tmp_path / "run", 60, segment_bytes=300).close()
    log = RecordLog.open(tmp_path / "run", segment_bytes=300)
    log.sync()

    assert len(payloads(log)) == 60
    assert [entry.number for entry in log.read(2, 0)] == [2]
    log.append(head(log), b"", b"")
    opened = RecordLog.open(tmp_path / "run", segment_bytes=300)
    assert len(payloads(opened)) == 61
    assert sum(1 for segment in opened._segments if segment.index) <= 3 + 3  # and those that recovery read
    log.close()
    opened.close()


def test_few_indices_are_kept_of_a_run_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of 100 GB has 1,600 segments; each of them is begun with an index."""
    monkeypatch.setattr("fabric.store.record_log.MAX_INDEXED", 3)
    log = filled(tmp_path / "run", 60, segment_bytes=300)
    assert len(log._segments) > 10
    assert sum(1 for segment in log._segments if segment.index) <= 3 + 1  # and that of the last one
    log.close()


def test_a_deleted_log_is_gone_and_deleting_it_again_is_no_error(tmp_path: Path) -> None:
    """Clean-up is repeated after a death in the middle of it."""
    filled(tmp_path / "run", 30, segment_bytes=300).close()
    RecordLog.delete(tmp_path / "run")
    RecordLog.delete(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_the_owner_can_read_the_records(tmp_path: Path) -> None:
    """Output holds what programs print, secrets too.  Whatever the umask: the next start looks at it."""
    before = os.umask(0)
    try:
        log = filled(tmp_path / "runs" / "run", 1)
    finally:
        os.umask(before)
    assert log.directory.parent.stat().st_mode & 0o777 == 0o700
    assert log.directory.stat().st_mode & 0o777 == 0o700
    assert segments(log.directory)[0].stat().st_mode & 0o777 == 0o600
    log.close()


def test_a_mark_covers_what_was_appended_before_it(tmp_path: Path) -> None:
    """Records appended while the disk works are not promised by that sync."""
    log = filled(tmp_path / "run", 2, segment_bytes=200)
    mark = log.mark()
    log.append(head(log), b"batch", b"later")

    assert mark.sync() == 3
    log.settle(mark)

    assert log.durable_number == 3
    assert log.dirty
    assert log.sync() == 4
    assert not log.dirty
    log.close()


def test_without_a_free_descriptor_logs_are_synced_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers may take all that there are, and nodes wait for their acknowledgements."""
    logs = [filled(tmp_path / name, 1) for name in ("one", "other")]
    for log in logs:
        log.sync()
        log.append(head(log), b"batch", b"more")
    one, other = logs
    spare = Spare()

    def full(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("os.dup", full)
    with pytest.raises(StoreError, match="Too many open files"):
        one.mark()
    first = one.mark(spare)
    with pytest.raises(StoreError, match="Too many open files"):
        other.mark(spare)
    first.sync()
    one.settle(first)
    second = other.mark(spare)
    shown = Path(f"/proc/self/fd/{second.parts[0].fd}")
    assert shown.readlink() == segments(other.directory)[0]
    second.sync()
    other.settle(second)
    assert (one.durable_number, other.durable_number) == (3, 3)
    assert shown.readlink() == Path(os.devnull), "a log that is deleted would keep its room"
    spare.close()
    for log in logs:
        log.close()


def test_after_a_failed_sync_nothing_counts_as_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel drops the pages and reports success the next time: that success must not be believed."""
    log = filled(tmp_path / "run", 2)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            log.sync()

    later = log.mark()
    later.sync()
    log.settle(later)
    assert log.durable_number == 1
    with pytest.raises(StoreError, match="Input/output error"):
        log.append(head(log), b"", b"")
    log.close()

    opened = RecordLog.open(log.directory)
    assert opened.durable_number == 3
    opened.close()
