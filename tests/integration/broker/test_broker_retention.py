"""A broker that is told what to keep deletes the rest by itself."""

import signal
import time
from pathlib import Path

import pytest

from broker.home import Home
from broker.limits import S
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from fabric.protocol.messages import Batch, EntryHead, OpenRun
from fabric.protocol.records import Notice
from fabric.store.record_log import RecordLog
from tests.integration.broker.peers import FakePeer, Lab, until


def put_run(home: Home, run: str, closed_ns: int | None) -> None:
    """Store a run of one record; None: it is open."""
    request = OpenRun(request=1, run=run, name="x", nodes=(f"of-{run}",), trial="", plan="", lease_s=3600.0)
    home.catalogue.open_run(request, "ann", 1)
    log = RecordLog.open(home.state.records(run))
    notice = Notice(t_ns=1, bound_ns=0, level="info", message="kept")
    batch = encode(Batch(run=run, incarnation=1, first=1, records=(notice,)))
    log.append(EntryHead(number=1, count=1, node="lab1", incarnation=1, first=1), batch, b"")
    log.sync()
    log.close()
    if closed_ns is not None:
        home.catalogue.close_run(run, "pass", "{}", closed_ns, 1)


@pytest.fixture
def stored(tmp_path: Path) -> list[str]:
    """Runs in the state directory of `lab`: three old ones, one of an hour ago, one that is open."""
    home = Home.open(tmp_path / "state")
    now_ns = time.time_ns()
    old = [f"20260101-00000{n}-old-aaaa" for n in range(3)]
    for index, run in enumerate(old):
        put_run(home, run, now_ns - (20 + index) * 86_400 * S)
    put_run(home, "20260102-000000-new-aaaa", now_ns - 3600 * S)
    put_run(home, "20260103-000000-open-aaaa", None)
    home.close()
    return old


def test_old_runs_go_while_the_broker_serves(stored: list[str], lab: Lab, tmp_path: Path) -> None:
    """All of each, and nothing of the others; each is told in the log."""
    operator = lab.operator()
    assert len(runs(operator)) == 5
    lab.broker.end(signal.SIGKILL)
    lab.broker.start("--keep", "14d")
    operator.close()
    operator = lab.operator()

    until(lambda: len(runs(operator)) == 2, operator.control, 0)
    left = runs(operator)
    assert [info.run[16:19] for info in left] == ["ope", "new"]
    assert all(info.size_bytes > 100 for info in left)
    until(lambda: len([*(tmp_path / "state" / "runs").iterdir()]) == 2, operator.control, 0)

    wanted = m.Replay(request=7, run=stored[0], number=1, limit_bytes=1 << 20)
    assert operator.ask(wanted, m.Denied).sentence == f"there is no run {stored[0]}"
    lab.broker.end(signal.SIGTERM)
    assert lab.broker.errors.count("run_retired") == len(stored)
    lab.broker.start()


def runs(operator: FakePeer) -> tuple[m.RunInfo, ...]:
    """Return all runs, newest first."""
    found = operator.ask(m.RunsRequest(request=3, run="", limit=50), m.Runs)
    return tuple(sorted(found.runs, key=lambda info: info.run, reverse=True))
