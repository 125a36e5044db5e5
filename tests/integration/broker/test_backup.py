"""A backup is whole or none, and what is restored from it is what was there."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.home import Home
from fabric.errors import StoreError, UsageError
from fabric.store import backup, making
from fabric.store.backup import EPOCHS, make_backup, restore_backup, verify_backup
from fabric.store.making import made
from fabric.store.record_log import RecordLog
from tests.integration.broker.test_broker_retention import put_run

OLD, OPEN = "20260101-000000-old-aaaa", "20260103-000000-open-aaaa"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A broker that runs, as far as its files go, with a run that is over and one that is open."""
    home = Home.open(tmp_path / "state")
    put_run(home, OLD, time.time_ns())
    put_run(home, OPEN, None)
    return home


def test_what_is_restored_is_what_was_there(home: Home, tmp_path: Path) -> None:
    """Records byte for byte, keys that only their owner reads; a run that was open is over."""
    make_backup(tmp_path / "state", tmp_path / "copy")
    before = log_of(tmp_path / "state", OLD)
    token = home.identity.keys.public
    home.close()
    restore_backup(tmp_path / "copy", tmp_path / "new")
    assert log_of(tmp_path / "new", OLD) == before
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "new").rglob("*")} == {0}
    again = Home.open(tmp_path / "new")
    assert (again.epoch, again.identity.keys.public) == (home.epoch + EPOCHS + 1, token)
    stored = again.catalogue.run(OPEN)
    assert stored is not None
    assert (stored.info.state, stored.info.verdict, stored.info.last) == ("closed", "error", 1)
    assert again.catalogue.reservations() == ()
    again.close()


def test_what_was_half_written_is_no_part_of_it(home: Home, tmp_path: Path) -> None:
    """The broker writes while its log is copied; the copy ends before what was torn."""
    (segment,) = (tmp_path / "state" / "runs" / OPEN).iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[-60:-20])
    assert make_backup(tmp_path / "state", tmp_path / "copy").records == {OLD: 1, OPEN: 1}
    assert (tmp_path / "copy" / "runs" / OPEN / segment.name).read_bytes() == whole
    home.close()


def test_a_run_that_is_deleted_meanwhile_is_no_part_of_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was copied before: without its records it is taken out again."""
    copy_secrets = backup._copy_secrets

    def delete(state: Path, place: Path) -> None:
        home.erase(OLD)
        copy_secrets(state, place)

    monkeypatch.setattr(backup, "_copy_secrets", delete)
    assert make_backup(tmp_path / "state", tmp_path / "copy").records.keys() == {OPEN}
    verify_backup(tmp_path / "copy")
    home.close()


def test_an_interrupted_backup_is_none(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has its name, what is left of a kill is refused, and the next one clears it away."""
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_last_record", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make_backup(tmp_path / "state", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    home.close()


def test_what_a_kill_has_left_is_known_wherever_it_is(home: Home, tmp_path: Path) -> None:
    """All its files may be there, and not yet on the disk; somebody may have moved it."""
    home.close()
    leave(make_backup, tmp_path / "state", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    moved = (tmp_path / "copy.partial").rename(tmp_path / "moved")
    with pytest.raises(StoreError, match="was interrupted"):
        restore_backup(moved, tmp_path / "new")
    with pytest.raises(StoreError, match="interrupted"):
        Home.open(moved)
    moved.rename(tmp_path / "copy.partial")
    make_backup(tmp_path / "state", tmp_path / "copy")
    assert not (tmp_path / "copy.partial").exists()


def test_no_lab_begins_where_one_is_to_be_restored(home: Home, tmp_path: Path) -> None:
    """A service manager starts the broker again and again: new keys would keep everybody out."""
    home.close()
    make_backup(tmp_path / "state", tmp_path / "copy")
    with pytest.raises(StoreError, match="is a backup"):
        Home.open(tmp_path / "copy")
    leave(restore_backup, tmp_path / "copy", tmp_path / "new")
    with pytest.raises(StoreError, match="restore has not ended"):
        Home.open(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    restore_backup(tmp_path / "copy", tmp_path / "new")
    Home.open(tmp_path / "new").close()


def test_only_what_a_kill_has_left_is_cleared_away(home: Home, tmp_path: Path) -> None:
    """Not somebody's files of that name, nor what another backup is filling now."""
    home.close()
    theirs = tmp_path / "copy.partial" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    with pytest.raises(UsageError, match="is in the way"):
        make_backup(tmp_path / "state", tmp_path / "copy")
    assert theirs.exists()
    with made(tmp_path / "other", ".partial") as place:
        with pytest.raises(UsageError, match="by another process"):
            make_backup(tmp_path / "state", tmp_path / "other")
        assert place.exists()


def test_a_link_to_where_it_goes_stays_one(home: Home, tmp_path: Path) -> None:
    """State directories are moved to larger disks; a directory cannot take the name of a link."""
    home.close()
    make_backup(tmp_path / "state", tmp_path / "copy")
    (tmp_path / "large").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / "large")
    restore_backup(tmp_path / "copy", tmp_path / "new")
    assert (tmp_path / "new").is_symlink()
    Home.open(tmp_path / "new").close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda copy: (copy / "broker.key").unlink(), "missing"),
        (lambda copy: (copy / "runs" / "more").touch(), "not of this backup"),
        (lambda copy: flip(next((copy / "runs" / OLD).iterdir())), "checksum is wrong"),
        (lambda copy: flip(copy / "catalogue.sqlite"), "checksum is wrong"),
        (lambda copy: flip(copy / "manifest.json"), "damaged"),
    ],
)
def test_damage_is_found_before_anything_is_restored(
    home: Home, tmp_path: Path, harm: Callable[[Path], None], said: str
) -> None:
    """Every byte counts."""
    home.close()
    make_backup(tmp_path / "state", tmp_path / "copy")
    harm(tmp_path / "copy")
    with pytest.raises(StoreError, match=said):
        restore_backup(tmp_path / "copy", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(home: Home, tmp_path: Path) -> None:
    """Neither a backup nor a state directory."""
    home.close()
    make_backup(tmp_path / "state", tmp_path / "copy")
    with pytest.raises(UsageError, match="not empty"):
        make_backup(tmp_path / "state", tmp_path / "copy")
    with pytest.raises(UsageError, match="not empty"):
        restore_backup(tmp_path / "copy", tmp_path / "state")


def leave(make: Callable[[Path, Path], object], source: Path, target: Path) -> None:
    """Leave what a kill right before the end would leave."""
    pid = os.fork()
    if pid == 0:
        making._finish = lambda *_: os._exit(0)  # type: ignore[assignment]
        try:
            make(source, target)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def log_of(state: Path, run: str) -> list[bytes]:
    log = RecordLog.open(state / "runs" / run)
    found = [bytes(entry.batch) for entry in log.read(1, 1 << 20)]
    log.close()
    return found


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def interrupt(*_: object) -> int:
    raise KeyboardInterrupt
