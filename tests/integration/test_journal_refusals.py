"""A journal whose files cannot be used for a while: nothing ends, and nothing is lost."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.broken_disk import refusal_of, state_of
from agents.journal import Journal, JournalFull, Moved, Shipment
from agents.shipping import RESEND_NS, Shipper
from fabric.protocol.messages import Acknowledged
from fabric.protocol.records import Notice

RUN = "20260101-000000-test-abcd"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.create(tmp_path, RUN, 1)
    yield made
    made.close()


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """Let the calls that change a disk fail, as on one that is read-only or broken."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    names = ("pwrite", "splice", "ftruncate", "posix_fallocate", "unlink", "rename", "mkdir")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, refuse)
        yield


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no files."""
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def notice(text: str) -> Notice:
    return Notice(t_ns=1, bound_ns=0, level="info", message=text)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_waited_for(journal: Journal, number: int) -> None:
    """The bytes stay in the pipe and the words in memory; both are there when it is repaired."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"hello")
    stream = journal.open_stream("1/run/only/print", 1, "stdout")
    sent: list[Shipment] = []
    shipper = Shipper(lambda shipment: not sent.append(shipment))
    shipper.add(journal)
    journal.append(notice("before"))
    shipper.push(0)
    with refusing(number):
        journal.append(notice("meanwhile"))
        assert journal.capture(stream, read_end, 1, 0) == JournalFull("disk")
        shipper.acknowledged(Acknowledged(run=RUN, incarnation=1, number=1), 0)
        shipper.push(0)
        assert len(sent) == 1
    assert journal.capture(stream, read_end, 1, 0) == Moved(0, 5)
    shipper.push(0)
    assert sent[1].payload == b"hello"
    shipper.acknowledged(Acknowledged(run=RUN, incarnation=1, number=3), 0)
    assert journal.is_shipped
    os.close(read_end)
    os.close(write_end)


def test_a_journal_is_read_again_when_files_can_be_opened(journal: Journal) -> None:
    """What could not be read is sent later, from where it was: not twice, and no part is left out."""
    sent: list[Shipment] = []
    shipper = Shipper(lambda shipment: not sent.append(shipment))
    shipper.add(journal)
    stream = journal.open_file("1/run/only/get", 1, 1)
    journal.put(stream, memoryview(b"bytes"), 1, 0)
    journal.append(notice("behind"))
    journal._spool.leave(stream)  # so it has to be opened for reading
    with no_more_files():
        shipper.push(0)
        assert not sent
        assert journal.backlog.is_unread
    shipper.push(0)
    assert [shipment.payload for shipment in sent] == [b"bytes"]
    assert journal.sent == journal.appended == 2
    assert not journal.backlog.is_unread


def test_nothing_is_due_while_nothing_can_be_sent(journal: Journal) -> None:
    """An agent without a broker, or with one whose disk is slow, would turn round and round.

    With the real-time priority of a ready phase it would keep everybody else from the processors.
    """
    takes = True
    shipper = Shipper(lambda _: takes)
    shipper.add(journal)
    journal.append(notice("sent"))
    shipper.push(0)
    assert shipper.deadline_ns == RESEND_NS
    takes = False
    journal.append(notice("does not fit"))
    shipper.push(RESEND_NS)
    assert shipper.deadline_ns is None
    takes = True
    shipper.push(RESEND_NS + 1)
    assert shipper.deadline_ns == 2 * RESEND_NS
    shipper.restart()
    assert shipper.deadline_ns is None


def test_a_journal_that_cannot_be_deleted_is_the_next_lifes(tmp_path: Path) -> None:
    """Its end must not end the agent; the sink drops what it is sent twice."""
    journal = Journal.create(tmp_path, RUN, 1)
    journal.append(notice("said"))
    with refusing(errno.EROFS):
        journal.remove()
    (left,) = Journal.recover(tmp_path)
    assert left.appended == 1
    left.remove()


def test_a_person_is_told_what_is_wrong(tmp_path: Path) -> None:
    """A read-only disk is mended in another way than a full one."""
    assert refusal_of(tmp_path) == ""
    with refusing(errno.EROFS):
        assert refusal_of(tmp_path) == "Read-only file system"
        assert state_of(tmp_path, "lab1") == f"the disk of lab1 is read-only ({tmp_path})"
    with refusing(errno.ENOSPC):
        assert refusal_of(tmp_path) == ""
        assert state_of(tmp_path, "lab1") == f"the disk of lab1 is full ({tmp_path})"
    with no_more_files():
        assert refusal_of(tmp_path) == "Too many open files"
        assert state_of(tmp_path, "lab1") == "the agent of lab1 can open no more files (ulimit -n)"
