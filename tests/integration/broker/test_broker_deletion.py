"""A run is deleted whole or not at all, and old logs are opened beside the loop."""

from pathlib import Path

import pytest

from broker.home import Home
from broker.logs import Logs
from fabric.errors import StoreError
from fabric.protocol.codec import encode
from fabric.protocol.messages import Batch, EntryHead, OpenRun
from fabric.protocol.records import Notice
from fabric.store.record_log import RecordLog
from tests.integration.broker.peers import RUN


def home_with_run(directory: Path) -> Home:
    home = Home.open(directory)
    if home.catalogue.run(RUN) is None:
        request = OpenRun(request=1, run=RUN, name="x", nodes=("lab1",), trial="", plan="", lease_s=20.0)
        home.catalogue.open_run(request, "ann", 1)
        log = RecordLog.open(home.state.records(RUN))
        notice = Notice(t_ns=1, bound_ns=0, level="info", message="kept")
        batch = encode(Batch(run=RUN, incarnation=1, first=1, records=(notice,)))
        log.append(EntryHead(number=1, count=1, node="lab1", incarnation=1, first=1), batch, b"")
        log.sync()
        log.close()
        home.catalogue.close_run(RUN, "pass", "{}", 2, 1)
    return home


def test_a_run_that_is_deleted_is_gone_with_its_files(tmp_path: Path) -> None:
    """Also while its log is open for a reader."""
    home = home_with_run(tmp_path / "state")
    assert len(home.logs.read(RUN, 1, 1000)) == 1
    home.erase(RUN)
    assert home.catalogue.run(RUN) is None
    home.close()
    assert list((tmp_path / "state" / "runs").iterdir()) == []


def test_a_death_before_the_row_is_gone_brings_the_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told that it is deleted."""
    home = home_with_run(tmp_path / "state")

    def die(_: object, run: str) -> bool:
        raise KeyboardInterrupt(run)

    monkeypatch.setattr(type(home.catalogue), "delete_run", die)
    with pytest.raises(KeyboardInterrupt):
        home.erase(RUN)
    home.close()
    home = Home.open(tmp_path / "state")
    assert len(home.logs.read(RUN, 1, 1000)) == 1
    home.close()


def test_a_death_before_the_files_are_gone_is_made_good_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is gone, so the rest is nobody's."""
    home = home_with_run(tmp_path / "state")
    with monkeypatch.context() as patch:
        patch.setattr(Logs, "end_delete", lambda *_: None)
        home.erase(RUN)
    home.close()
    assert [path.name for path in (tmp_path / "state" / "runs").iterdir()] == [f"{RUN}.deleted"]
    Home.open(tmp_path / "state").close()
    assert list((tmp_path / "state" / "runs").iterdir()) == []


def test_a_full_disk_leaves_the_run_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is told, and can try again."""
    home = home_with_run(tmp_path / "state")

    def refuse(_: object, run: str) -> bool:
        raise StoreError(f"{run}: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(home.catalogue), "delete_run", refuse)
        with pytest.raises(StoreError):
            home.erase(RUN)
    assert len(home.logs.read(RUN, 1, 1000)) == 1
    home.close()


def test_a_log_that_is_wanted_is_opened_beside_the_loop(tmp_path: Path) -> None:
    """It takes half a second where it is long; who cannot wait gets it all the same."""
    home = home_with_run(tmp_path / "state")
    assert not home.logs.want(RUN)
    assert len(home.logs.read(RUN, 1, 1000)) == 1
    assert home.logs.want(RUN)
    home.logs.close()
    home.catalogue.close()
    home.state.close()
