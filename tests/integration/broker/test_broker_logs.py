"""Record logs and their commits, with a disk that fails when a test wants it."""

import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import logs as logs_module
from broker.effects import LogState, Store
from broker.logs import Logs
from fabric.errors import StoreError
from fabric.protocol.codec import encode
from fabric.protocol.messages import Batch, EntryHead
from fabric.protocol.records import Notice
from fabric.store.catalogue import Catalogue
from fabric.store.state import StateDirectory

RUN = "20260301-102207-ping-k3f9"
OTHER = "20260301-110000-other-aaaa"


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    with StateDirectory(tmp_path / "state") as state, Catalogue(state.catalogue) as catalogue:
        made = Logs(state, catalogue)
        yield made
        made.close()


def store(number: int, run: str = RUN) -> Store:
    record = Notice(t_ns=1, bound_ns=1, level="info", message="hello")
    batch = Batch(run=run, incarnation=1, first=number, records=(record,))
    head = EntryHead(number=number, count=1, node="lab1", incarnation=1, first=number)
    return Store(run, head, encode(batch), b"")


def wait(logs: Logs) -> list[tuple[str, int, StoreError | None]]:
    """Return the commits that end next."""
    assert select.select([logs.fileno()], [], [], 60)[0], "no commit ended"
    return logs.committed()


def test_what_was_written_is_committed_up_to_its_last_number(logs: Logs) -> None:
    """What is acknowledged rests on this number."""
    logs.open(RUN)
    logs.write(store(1))
    logs.write(store(2))
    logs.commit()
    assert wait(logs) == [(RUN, 2, None)]
    assert logs.open(RUN) == LogState(2, {("lab1", 1): 2})


def test_nothing_is_read_before_it_is_durable(logs: Logs) -> None:
    """A reader keeps what it has read; after a loss of power its number might be another record's."""
    logs.write(store(1))
    assert logs.read(RUN, 1, 100) == []
    assert logs.durable(RUN) == 0
    logs.commit()
    wait(logs)
    logs.write(store(2))
    assert [entry.number for entry in logs.read(RUN, 1, 10_000)] == [1]
    assert logs.durable(RUN) == 1


def test_what_comes_while_a_commit_is_under_way_is_in_the_next_one(logs: Logs) -> None:
    """One commit for all that came in seven milliseconds: that is what makes it cheap."""
    logs.write(store(1))
    logs.commit()
    logs.write(store(2))
    logs.write(store(3))
    logs.commit()
    reached = [number for _, number, _ in wait(logs)]
    while reached[-1] < 3:
        reached += [number for _, number, _ in wait(logs)]
    assert reached in ([1, 3], [3])


def test_a_failed_commit_is_told_and_the_log_goes_on_when_it_was_opened_anew(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it nobody knows what the disk holds, so nothing is acknowledged before it was read."""
    logs.write(store(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _fail)
        logs.commit()
        ((run, _, error),) = wait(logs)
    assert run == RUN
    assert error is not None
    with pytest.raises(StoreError):
        logs.write(store(2))
    state = logs.reopen(RUN)
    logs.write(store(state.last + 1))
    logs.commit()
    assert wait(logs) == [(RUN, state.last + 1, None)]


def test_logs_that_are_not_used_are_closed(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that has seen a thousand runs must not hold a thousand files."""
    monkeypatch.setattr(logs_module, "MAX_LOGS", 2)
    for run in (RUN, OTHER, RUN.replace("ping", "pong")):
        logs.write(store(1, run))
        logs.commit()
        wait(logs)
    assert RUN not in logs._logs
    assert [entry.number for entry in logs.read(RUN, 1, 100)] == [1]


def _fail(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")
