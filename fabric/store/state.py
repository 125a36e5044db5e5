"""The broker's state directory: for its owner only, and for one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from fabric.errors import StoreError
from fabric.private import close_state
from fabric.store.files import DIRECTORY_MODE, FILE_MODE, told
from fabric.store.making import RESTORING, is_unfinished
from fabric.store.manifest import NAME

INNER: Final = ("runs",)
"""Directories in it, and two levels of what is in them, of which the owner is looked at as well."""

_LOCK: Final = "lock"
_DELETED: Final = ".deleted"  # no id of a run has a dot


class StateDirectory:
    """A locked state directory, and where in it things are.

    The lock is the kernel's: it ends with the process, however that ends.
    """

    def __init__(self, directory: Path) -> None:
        """Create the directory if it is not there, and lock it.

        Raises:
            FabricError: If another process has it, others have access to it, it is a backup or waits for its
                restore, or it cannot be used.
        """
        self.directory = directory
        with told(directory):
            _check_begun(directory)
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            close_state(directory, inner=INNER)
        self.fd = lock(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def catalogue(self) -> Path:
        """The file for `Catalogue`."""
        return self.directory / "catalogue.sqlite"

    def records(self, run: str) -> Path:
        """Return the directory of a run's record log."""
        return self.directory / "runs" / run

    def deleted_records(self, run: str) -> Path:
        """The directory of a record log that is being deleted."""
        return self.directory / "runs" / f"{run}{_DELETED}"

    def being_deleted(self) -> list[str]:
        """Return the runs whose deletion was begun and not completed."""
        found = (self.directory / "runs").glob(f"*{_DELETED}")
        return sorted(path.name.removesuffix(_DELETED) for path in found)

    def close(self) -> None:
        """Unlock the directory.  Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def lock(directory: Path) -> int:
    """Lock a directory for this process.

    Returns:
        The descriptor that holds the lock until it is closed.

    Raises:
        StoreError: If another process holds it: says which, if that has said so.
    """
    path = directory / _LOCK
    with told(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise
            raise StoreError(
                f"{directory}: in use by another broker" + (f", process {holder}" if holder else ""),
                hint="end that one, or choose another --state-dir",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return fd


def holder(directory: Path) -> str:
    """Return the pid of the process that has this directory; "" if none has, or that cannot be seen."""
    try:
        fd = os.open(directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, and given back at once
    except OSError:
        return os.read(fd, 20).decode("ascii", "replace").strip() or "?"
    finally:
        os.close(fd)
    return ""


def _check_begun(directory: Path) -> None:
    """Look whether a broker may begin here: not in a copy, nor in the place of what is to be restored."""
    if is_unfinished(directory):
        raise StoreError(f"{directory}: what an interrupted backup or restore has left", hint="begin it anew")
    if (directory / NAME).exists():
        raise StoreError(
            f"{directory} is a backup: a broker that begins in it would repeat what was after it",
            hint=f"fabric-broker restore {directory} --state-dir DIR",
        )
    place = directory.with_name(directory.name + RESTORING)
    if is_unfinished(place) and (not directory.exists() or not any(directory.iterdir())):
        raise StoreError(
            f"{directory}: its restore has not ended, or was interrupted",
            hint=f"restore again; or remove {place}, and a lab begins anew",
        )
