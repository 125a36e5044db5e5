"""What a user has for himself, directories of keys, journals and output, and who else gets at them."""

import os
import pwd
import stat
from pathlib import Path
from typing import Final

from fabric.errors import FabricError

PRIVATE: Final = 0o700

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PASS: Final = stat.S_IXGRP | stat.S_IXOTH
_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0
_HARM: Final = "if others could log in here, remove it and begin anew"


def make_private(directory: Path) -> None:
    """Make a directory of mode 0700, and so each above it that is missing."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):  # Path.mkdir gives its mode to the last one only
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def close_state(directory: Path, *, may_pass: bool = False) -> None:
    """See that nobody else gets at a state directory; close an empty one: a mount, or somebody's mkdir.

    One with something in it that was open is refused: others may have read it, or put something there.

    Args:
        directory: That is there.
        may_pass: Others may pass through it (0711), to directories that are theirs.

    Raises:
        FabricError: If others own it or what is in it, or have access to it.
        OSError: If it cannot be looked at.
    """
    check_owner(directory)
    if directory.stat().st_mode & _too_much(may_pass) and not any(directory.iterdir()):
        directory.chmod(PRIVATE)
    check_state(directory, may_pass=may_pass)


def check_state(directory: Path, *, may_pass: bool = False) -> None:
    """See the same, and change nothing.  See `close_state`."""
    check_owner(directory)
    check_directory(directory, may_pass=may_pass)
    for path in sorted(directory.iterdir()):
        status = path.lstat()
        check_owner(path, status)
        if may_pass and status.st_mode & _WRITE and not stat.S_ISLNK(status.st_mode):
            raise FabricError(
                f"others than its owner may write {path} (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod go-w {path}; {_HARM}",
            )


def check_directory(directory: Path, *, may_pass: bool = False) -> None:
    """See that nobody but its owner has access to a directory.

    Raises:
        FabricError: If somebody has.
        OSError: If it cannot be looked at.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & _too_much(may_pass):
        raise FabricError(
            f"others than its owner have access to {directory} (mode {mode:04o})",
            hint=f"chmod {'go-rw' if may_pass else '700'} {directory}; {_HARM}",
        )


def check_owner(path: Path, status: os.stat_result | None = None) -> None:
    """See that something belongs to who runs this, or to root: anybody else could put what he likes there.

    Raises:
        FabricError: If it does not.
        OSError: If it cannot be looked at.
    """
    owner, me = (status or path.stat()).st_uid, os.geteuid()
    if owner not in (me, _ROOT):
        raise FabricError(
            f"{path} belongs to {_user(owner)}, and this is run by {_user(me)}",
            hint=f"run it as {_user(owner)}; or, if what lies there is yours: chown -R {_user(me)} {path}",
        )


def _too_much(may_pass: bool) -> int:
    return _OTHERS & ~_PASS if may_pass else _OTHERS


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of a container, or one that was deleted
        return str(uid)
