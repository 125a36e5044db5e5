"""A directory that is whole or not there: it is filled under another name, made durable, and renamed.

While it is filled it has a file in it that says so.  What a death has left of one is known by that, wherever
it is moved to: it is no backup and no state directory, and may be cleared away.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fabric.errors import StoreError, UsageError
from fabric.store.files import DIRECTORY_MODE, FILE_MODE, sync_directory, told

UNFINISHED: Final = "unfinished"
"""The file; who fills the directory holds a lock on it."""

RESTORING: Final = ".restoring"
"""Behind the name of a state directory: what a backup is restored into."""


@contextmanager
def made(target: Path, suffix: str) -> Iterator[Path]:
    """Give a directory to fill, which gets the name of the target when all went well, durably.

    Raises:
        StoreError: If the system refuses.
        UsageError: If there is something at the target, or in the place of what is to be filled.
    """
    target = Path(os.path.realpath(target))  # a link stays one, and "." has no name
    _check_free(target)
    place = target.with_name(target.name + suffix)
    with _told(place):
        if place.exists():
            _clear_away(place)
        place.mkdir(mode=DIRECTORY_MODE, parents=True)
        lock = os.open(place / UNFINISHED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield place
            _finish(place, target)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            os.close(lock)


def is_unfinished(directory: Path) -> bool:
    """Say whether this is what is being filled now, or was when its maker died."""
    return (directory / UNFINISHED).exists()


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        with told(place):
            yield
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
            error.hint = "make room there, and begin anew; nothing was left of this one"
        raise


def _check_free(target: Path) -> None:
    """Look whether a directory can be made there."""
    with told(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} is not empty", hint="name a directory that is empty or not there")
        if target.is_mount():  # what gets its name by a rename cannot come from another file system
            raise UsageError(f"{target} is a mount point", hint="name a directory in it")


def _finish(place: Path, target: Path) -> None:
    """All is there: make it durable, then say so, then give it its name."""
    for path in place.rglob("*"):
        _sync(path)
    (place / UNFINISHED).unlink()
    _sync(place)
    place.rename(target)
    sync_directory(target.parent)


def _clear_away(place: Path) -> None:
    """Remove what a death has left, and nothing else."""
    try:
        lock = os.open(place / UNFINISHED, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        if any(place.iterdir()):
            hint = "move it away; it is not what an interrupted copy has left"
            raise UsageError(f"{place} is in the way", hint=hint) from None
        place.rmdir()
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place)
    except BlockingIOError:
        raise UsageError(f"{place} is being filled by another process", hint="wait for that one") from None
    finally:
        os.close(lock)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
