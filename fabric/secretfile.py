"""JSON files that hold a secret: for their owner only, and whole or not there."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fabric.errors import FabricError
from fabric.private import check_owner, make_private

MAX_BYTES: Final = 64 * 1024
"""Largest file that is read: a hundred times what any of ours needs."""

_ENROL: Final = "if others could log in here, remove the file and enrol anew"

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def write_secret(path: Path, values: Mapping[str, str]) -> None:
    """Write ``values`` to a file of mode 0600; after a crash at any moment it is the old one or the new one.

    Directories that are missing are made with mode 0700.

    Raises:
        FabricError: If the file cannot be written.
    """
    try:
        make_private(path.parent)
        _replace(path, (json.dumps(values, indent=2) + "\n").encode())
    except OSError as error:
        raise FabricError(f"cannot write {path}: {error.strerror or error}") from error


def read_secret(path: Path, wanted: frozenset[str]) -> dict[str, str] | None:
    """Return the ``wanted`` values of a file, or None if there is no such file.

    Raises:
        FabricError: If others may read it, or it is not what `write_secret` writes.
    """
    text = read_private(path)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except ValueError as error:
        raise FabricError(f"{path} is not valid JSON: {error}", hint=_RESTORE) from error
    if not isinstance(values, dict):
        raise FabricError(f"{path}: expected a JSON object, got {values!r:.40}", hint=_RESTORE)
    for name in sorted(wanted):
        if not isinstance(values.get(name), str):
            raise FabricError(
                f"{path}: expected a string as {name!r}, got {values.get(name)!r:.20}", hint=_RESTORE
            )
    return {name: values[name] for name in wanted}


_RESTORE: Final = (
    "bring it back from a copy; if it is removed, a new one is made, which the other side does not know"
)


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make the new name durable; the file's own fsync does not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private(path: Path, what: str = "a secret key", otherwise: str = _ENROL) -> bytes | None:
    """Return what is in a file that only its owner has access to; None if there is no such file.

    Args:
        path: Of the file.
        what: It holds, for the error.
        otherwise: What else to do, behind the ``chmod``.

    Raises:
        FabricError: If others have access to it or own it, it is too large, or cannot be read.
    """
    try:
        # NONBLOCK: opening must not wait for the other end if somebody put a FIFO here.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            # Of what was opened, not of what the name means by now.
            _check_private(path, os.fstat(file.fileno()), what, otherwise)
            found = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FabricError(f"cannot read {path}: {error.strerror or error}") from error
    if len(found) > MAX_BYTES:
        raise FabricError(f"{path} is larger than {MAX_BYTES} bytes")
    return found


def _check_private(path: Path, status: os.stat_result, what: str, otherwise: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FabricError(f"{path} is not a regular file")
    check_owner(path, status)
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise FabricError(
            f"{path} holds {what}, but others than its owner have access to it (mode {mode:04o})",
            hint=f"chmod 600 {path}; {otherwise}",
        )
