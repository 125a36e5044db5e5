"""Copies of a broker's state directory: made while the broker runs, verified, put back.

A copy is a directory like the state directory, with a manifest and without the lock.  It is made under
another name, verified, and renamed: what has the name that was asked for is whole.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from fabric import __version__
from fabric.errors import StoreError, UsageError
from fabric.store.files import DIRECTORY_MODE, FILE_MODE
from fabric.store.making import RESTORING, is_unfinished, made
from fabric.store.manifest import Manifest, checksum, files_in
from fabric.store.record_log import RecordLog
from fabric.store.segment import Segment

CATALOGUE: Final = "catalogue.sqlite"
SECRETS: Final = ("broker.key", "join.token")

EPOCHS: Final = 1 << 20
"""So many lives of the broker a restored catalogue skips: the broker may have had some since the backup, and
no two lives may have one number."""

_WHY: Final = "the broker was restored from a backup that was made while the run went on"


def make_backup(state: Path, target: Path) -> Manifest:
    """Copy a state directory, whether its broker runs or not, and verify the copy.

    Raises:
        StoreError: If it cannot be read, written, or is damaged.
        UsageError: If there is something at the target, or nothing to copy.
    """
    if not (state / CATALOGUE).exists():
        raise UsageError(f"{state} is no state directory of a broker", hint="name it: --state-dir DIR")
    with made(target, ".partial") as place:
        runs = _copy_catalogue(state, place)
        _copy_secrets(state, place)
        gone = [run for run, is_open in runs.items() if not _copy_log(state, place, run) and not is_open]
        _forget(place / CATALOGUE, gone)
        records = {run: _last_record(place, run) for run in runs if run not in gone}
        manifest = Manifest(
            software=__version__,
            made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            files={name: checksum(place / name) for name in files_in(place)},
            records=records,
        )
        manifest.save(place)
        _check_catalogue(place, manifest)
    return manifest


def verify_backup(directory: Path) -> Manifest:
    """Check every file against the manifest, every record against its checksum, the catalogue in itself.

    Raises:
        StoreError: At the first thing that is wrong.
    """
    if is_unfinished(directory):
        raise StoreError(f"{directory} is no backup: it was interrupted", hint="take another copy")
    manifest = Manifest.load(directory)
    found = files_in(directory)
    missing, strange = sorted(manifest.files.keys() - set(found)), sorted(set(found) - manifest.files.keys())
    if missing:
        raise StoreError(f"{directory / missing[0]}: missing from the backup", hint="take another copy")
    if strange:
        raise StoreError(f"{directory / strange[0]}: not of this backup", hint="move it away")
    for name, expected in manifest.files.items():
        if checksum(directory / name) != expected:
            raise StoreError(f"{directory / name}: damaged, its checksum is wrong", hint="take another copy")
    for run, last in manifest.records.items():
        if (here := _last_record(directory, run)) != last:
            raise StoreError(f"{directory / 'runs' / run}: {here} records instead of {last}")
    _check_catalogue(directory, manifest)
    return manifest


def restore_backup(directory: Path, state: Path) -> Manifest:
    """Put a backup back as a state directory, verified before and behind the copying.

    Runs that were open are over, as errors: what came of them after the backup is on no disk here.

    Raises:
        StoreError: If the backup is damaged, or the state directory cannot be written.
        UsageError: If there is something at the state directory.
    """
    with made(state, RESTORING) as place:  # from now on no broker begins a lab of its own there
        manifest = verify_backup(directory)
        for name, expected in manifest.files.items():
            _make_directory((place / name).parent, place)
            _copy(directory / name, place / name)
            if checksum(place / name) != expected:
                raise StoreError(f"{place / name}: not what was written; check the disk")
        _take_up(place / CATALOGUE, manifest)
    return manifest


# --- the catalogue ----------------------------------------------------------------------------------


def _copy_catalogue(state: Path, place: Path) -> dict[str, bool]:
    """Copy the catalogue as it is at one instant; return its runs, and whether each is open."""
    (place / CATALOGUE).touch(FILE_MODE)
    with _sqlite(state / CATALOGUE) as source, _sqlite(place / CATALOGUE) as copy:
        source.backup(copy)  # in one go: a reader of SQLite's WAL keeps no writer waiting
        copy.execute("PRAGMA journal_mode = DELETE")
        return {run: how == "open" for run, how in copy.execute("SELECT run, state FROM runs")}


def _forget(catalogue: Path, runs: list[str]) -> None:
    """Delete runs that were deleted while the backup was made."""
    with _sqlite(catalogue) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.executemany("DELETE FROM runs WHERE run = ?", [(run,) for run in runs])
        database.commit()


def _take_up(catalogue: Path, manifest: Manifest) -> None:
    """Begin a new life: no epoch of before, no open run, no node that is reserved."""
    with _sqlite(catalogue) as database:
        database.execute("UPDATE broker SET epoch = epoch + ?", (EPOCHS,))
        database.execute("DELETE FROM reservations")
        result = f'{{"verdict": "error", "why": ["{_WHY}"]}}'
        open_runs = [run for (run,) in database.execute("SELECT run FROM runs WHERE state = 'open'")]
        database.executemany(
            "UPDATE runs SET state = 'closed', verdict = 'error', result = ?, closed_ns = ?, last_number = ? "
            "WHERE run = ?",
            [(result, time.time_ns(), manifest.records[run], run) for run in open_runs],
        )
        database.commit()


def _check_catalogue(directory: Path, manifest: Manifest) -> None:
    """Check that the database is sound and that its runs are those of the manifest."""
    path = directory / CATALOGUE
    with _sqlite(path) as database:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        runs = dict(database.execute("SELECT run, last_number FROM runs").fetchall())
    if said != "ok":
        raise StoreError(f"{path}: damaged: {said}", hint="take another copy")
    if runs.keys() != manifest.records.keys():
        raise StoreError(f"{path}: its runs are not those of the backup", hint="take another copy")
    short = [run for run, last in runs.items() if manifest.records[run] < last]
    if short:
        records = manifest.records[short[0]]
        raise StoreError(f"{directory / 'runs' / short[0]}: ends at record {records}, before its end")


@contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=10.0)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: {error}", hint="see that there is space, and that you may write"
        ) from error


# --- files ------------------------------------------------------------------------------------------


def _copy_secrets(state: Path, place: Path) -> None:
    for name in SECRETS:
        with suppress(FileNotFoundError):
            _copy(state / name, place / name)


def _copy_log(state: Path, place: Path, run: str) -> bool:
    """Copy a record log from its beginning to where it is now; return False if it is not there any more."""
    source, target = state / "runs" / run, place / "runs" / run
    _make_directory(target, place)
    try:
        for path in Segment.list_in(source):  # once: a segment that is begun meanwhile is not of the copy
            _copy(path, target / path.name)
    except FileNotFoundError:  # it was deleted just now
        shutil.rmtree(target)
        return False
    return True


def _last_record(directory: Path, run: str) -> int:
    """Return the number of a log's last record, all of them checked; cut off what was half written."""
    path = directory / "runs" / run
    if not path.exists():  # opened just now
        return 0
    log = RecordLog.open(path)
    try:
        log.verify()
        return log.tail_number
    finally:
        log.close()


def _make_directory(path: Path, above: Path) -> None:
    missing = [one for one in (path, *path.parents) if one.is_relative_to(above) and not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=DIRECTORY_MODE)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; who may not read it before may not read its copy."""
    with source.open("rb") as file:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(fd, "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
