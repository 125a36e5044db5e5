"""The directory of a journal: what lies where, and the small files that are written at once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agents.journal.durable import boot_id, sync_directory
from agents.journal.frames import body_at, frame
from agents.journal.transfer import REFUSALS
from fabric.errors import StoreError
from fabric.private import make_private
from fabric.protocol.names import RUN

UNDELIVERED_BYTES: Final = 1 << 30
"""Most bytes of journals that the broker did not want: as much as one journal may have."""

RECORDS: Final = "records"
SPOOL: Final = "spool"

_ACKNOWLEDGED: Final = "acknowledged"
_STATE: Final = "state"
_BOOT: Final = "boot"
_GONE: Final = ".gone"
_NUMBER_BYTES: Final = 8


def create(path: Path) -> None:
    """Make the directory of a new journal.

    Raises:
        StoreError: If it is there already.
    """
    make_private(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise StoreError(f"journal: {path} is there already") from None
    try:
        complete(path)
        os.close(open_acknowledged(path))
        (path / _BOOT).write_text(boot_id())
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise


def complete(path: Path) -> None:
    """Make what a life that died right at its begin has not made."""
    (path / RECORDS).mkdir(mode=0o700, exist_ok=True)
    (path / SPOOL).mkdir(mode=0o700, exist_ok=True)


def is_of_this_boot(path: Path) -> bool:
    """Whether the machine has run ever since the journal was begun, so that all that was written is there.

    A power cut may take the file that says so too.
    """
    try:
        return (path / _BOOT).read_text() == boot_id()
    except (OSError, ValueError):
        return False


def leftovers(root: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield run, incarnation and path of each journal, the oldest first.  Finishes what `remove` began."""
    for run in sorted((root / "journals").glob("*/")):
        for gone in run.glob(f"*{_GONE}"):
            shutil.rmtree(gone)
        if not RUN.fullmatch(run.name):
            continue
        numbers = sorted(int(path.name) for path in run.iterdir() if path.name.isdecimal())
        for incarnation in numbers:
            yield run.name, incarnation, run / str(incarnation)
        if not numbers:
            _remove_if_empty(run)


def remove(path: Path) -> None:
    """Delete a journal.  The renaming makes it one act: a half-deleted one would look damaged.

    On a disk that takes nothing it stays: the next life ships it again, and the sink drops it.
    """
    gone = path.with_name(path.name + _GONE)
    try:
        path.rename(gone)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return
    shutil.rmtree(gone, ignore_errors=True)  # the rest is for the next life
    _remove_if_empty(path.parent)


def set_aside(root: Path, path: Path) -> Path:
    """Move a journal to ``undelivered/``.  Returns where it is now."""
    target = root / "undelivered" / path.parent.name / path.name
    try:
        make_private(target.parent)
        path.rename(target)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return path  # where the next life finds it, and is told the same
    (target / _STATE).unlink(missing_ok=True)  # it is for a next life that takes the run up, and has secrets
    _remove_if_empty(path.parent)
    return target


def trim_undelivered(root: Path, limit_bytes: int = UNDELIVERED_BYTES) -> list[Path]:
    """Delete the oldest journals in ``undelivered/`` until the others are within the limit.

    Nobody reads them but a person; what was set aside last is kept, whatever its size.

    Returns:
        Those that are gone.
    """
    kept = sorted((root / "undelivered").glob("*/*/"), key=lambda path: path.stat().st_ctime_ns)
    sizes = [_size(path) for path in kept]
    gone = []
    while len(kept) > 1 and sum(sizes) > limit_bytes:
        gone.append(kept.pop(0))
        sizes.pop(0)
        shutil.rmtree(gone[-1], ignore_errors=True)
        _remove_if_empty(gone[-1].parent)
    return gone


def _size(path: Path) -> int:
    """Return what a directory takes of the disk, in bytes."""
    return sum(file.lstat().st_blocks * 512 for file in path.rglob("*"))


def _remove_if_empty(run: Path) -> None:
    try:
        run.rmdir()
    except OSError:
        return  # another incarnation has a journal there


def open_acknowledged(path: Path) -> int:
    """Return a descriptor for `write_acknowledged`.  The file has its full size from here on."""
    fd = os.open(path / _ACKNOWLEDGED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not os.fstat(fd).st_size:
            write_acknowledged(fd, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def write_acknowledged(fd: int, number: int) -> None:
    """Note up to which number everything is acknowledged.  It is written in place: a full disk has room."""
    os.pwrite(fd, frame(number.to_bytes(_NUMBER_BYTES, "little")), 0)


def read_acknowledged(path: Path) -> int:
    """Return the number that was noted last; 0 if there is none."""
    try:
        body = body_at((path / _ACKNOWLEDGED).read_bytes(), 0)
    except FileNotFoundError:
        return 0
    return int.from_bytes(body, "little") if body else 0


def save_state(path: Path, state: bytes, *, durable: bool) -> None:
    """Replace the state file in one act; ``durable`` waits for the disk, and for the names that lead to it.

    Raises:
        OSError: If the disk is full; then the old one is still there.
    """
    new = path / f"{_STATE}.new"
    try:
        new.touch(mode=0o600)  # it may hold secrets
        with new.open("wb") as file:
            file.write(state)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        new.replace(path / _STATE)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    if durable:
        for directory in (path, *path.parents[:3]):  # incarnation, run, journals, the agent's own
            sync_directory(directory)


def mark_state(path: Path, mark: int, *, durable: bool) -> None:
    """Replace the first byte of the state file in place, which a full disk has room for."""
    fd = os.open(path / _STATE, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, bytes([mark]), 0)
        if durable:
            os.fdatasync(fd)
    finally:
        os.close(fd)


def load_state(path: Path) -> bytes | None:
    """Return the content of the state file, None if there is none."""
    try:
        return (path / _STATE).read_bytes()
    except FileNotFoundError:
        return None
