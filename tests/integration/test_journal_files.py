"""The bytes of fetched files through the journal: beside output, and over the death of the agent."""

import os
from pathlib import Path

import pytest

from agents.journal import Journal, JournalFull, Limits, Moved
from agents.recovery import end_journals
from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.records import (
    FileBegun,
    FileChunk,
    FileEnded,
    Output,
    Record,
    StepFinished,
    StepStarted,
    payload_size,
)

RUN = "20240101-000000-files-abcd"
STEP = "1/collect/db/fetch-1"


def begun(file: int, path: str = "/tmp/a") -> FileBegun:
    return FileBegun(
        t_ns=1, bound_ns=1, step=STEP, attempt=1, file=file, path=path, size=-1, mode=0o644, mtime_ns=0
    )


def ended(file: int, size: int) -> FileEnded:
    return FileEnded(t_ns=1, bound_ns=1, step=STEP, attempt=1, file=file, size=size, sha256="", problem="")


def started() -> StepStarted:
    return StepStarted(t_ns=1, bound_ns=1, step=STEP, attempt=1, pid=0, event="agent", planned_ns=0, go=0)


def shipped(journal: Journal) -> list[tuple[Record, bytes]]:
    """Return all records and the bytes that they bring, as the sink gets them."""
    found = []
    while shipment := journal.next_batch():
        batch = codec.decode_as(shipment.batch, Batch)
        offset = 0
        for record in batch.records:
            found.append((record, shipment.payload[offset : offset + payload_size(record)]))
            offset += payload_size(record)
        journal.acknowledge(journal.sent)
    return found


def bytes_of(found: list[tuple[Record, bytes]], file: int) -> bytes:
    data = b""
    for record, part in found:
        if isinstance(record, FileChunk) and record.file == file:
            assert record.offset == len(data)
            data += part
    return data


def test_files_and_output_keep_their_own_bytes(tmp_path: Path) -> None:
    """A fetch goes on beside a step that prints: their chunks alternate in the batches."""
    journal = Journal.create(tmp_path, RUN, 1, Limits(spool_file_bytes=5000))
    read_fd, write_fd = os.pipe()
    stream = journal.open_stream("1/run/role/step", 1, "stdout")
    content = {file: os.urandom(9000) for file in (1, 2)}
    for file, data in content.items():
        journal.append(begun(file))
        target = journal.open_file(STEP, 1, file)
        for offset in range(0, len(data), 4000):
            os.write(write_fd, b"printed\n")
            journal.capture(stream, read_fd, 1, 1)
            assert isinstance(journal.put(target, memoryview(data)[offset : offset + 4000], 1, 1), Moved)
        journal.append(ended(file, len(data)))
    found = shipped(journal)
    assert {file: bytes_of(found, file) for file in content} == content
    assert b"".join(part for record, part in found if isinstance(record, Output)) == b"printed\n" * 6
    spooled = [path.name for path in (journal.path / "spool").iterdir()]
    assert not [name for name in spooled if "file" in name], "acknowledged files are deleted"
    os.close(read_fd)
    os.close(write_fd)


def test_a_file_of_a_dead_agent_is_shipped_as_far_as_it_came(tmp_path: Path) -> None:
    """What is in the journal was promised; the next life says that the rest is lost."""
    (tmp_path / "state").mkdir()
    journal = Journal.create(tmp_path / "state", RUN, 1)
    journal.append(started())
    journal.append(begun(1, "/whole"))
    journal.put(journal.open_file(STEP, 1, 1), memoryview(b"whole"), 1, 1)
    journal.append(ended(1, 5))
    journal.append(begun(2, "/empty"))
    journal.open_file(STEP, 1, 2)
    journal.append(begun(3, "/cut"))
    cut = journal.open_file(STEP, 1, 3)
    journal.put(cut, memoryview(b"half"), 1, 1)
    cut.put(memoryview(b" unrecorded"))  # it died between the spool and the record
    journal.close()

    (recovered,) = Journal.recover(tmp_path / "state")
    end_journals([recovered])
    found = shipped(recovered)
    assert not recovered.damage
    assert bytes_of(found, 1) == b"whole"
    assert bytes_of(found, 3) == b"half unrecorded"
    ends = [record for record, _ in found if isinstance(record, FileEnded) and record.problem]
    assert [(end.file, end.size) for end in ends] == [(2, 0), (3, 15)]
    assert isinstance(found[-1][0], StepFinished)
    assert found[-1][0].reason == "lost"


def test_a_file_waits_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a chunk must not be left behind: the next life would take it for more of the file."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(begun(1))
    stream = journal.open_file(STEP, 1, 1)
    assert journal.put(stream, memoryview(b"first"), 1, 1) == Moved(0, 5)
    real = os.pwrite

    def short(fd: int, data: bytes, offset: int) -> int:
        return real(fd, bytes(data)[:3], offset)

    monkeypatch.setattr(os, "pwrite", short)
    assert journal.put(stream, memoryview(b"second"), 1, 1) == JournalFull("disk")
    monkeypatch.undo()
    assert [path.stat().st_size for path in (journal.path / "spool").iterdir()] == [5]
    assert journal.put(stream, memoryview(b"second"), 1, 1) == Moved(5, 6)
