"""What a user has for himself, directories of keys, journals and output, and who else gets at them."""

import os
import pwd
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from fabric.errors import FabricError

PRIVATE: Final = 0o700

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PASS: Final = stat.S_IXGRP | stat.S_IXOTH
_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0
_INNER_LEVELS: Final = 2
_HARM: Final = "if others could log in here, remove it and begin anew"


def make_private(directory: Path) -> None:
    """Make a directory of mode 0700, and so each above it that is missing."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):  # Path.mkdir gives its mode to the last one only
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def close_state(directory: Path, *, may_pass: bool = False, inner: Collection[str] = ()) -> None:
    """See that nobody else gets at a state directory; close an empty one: a mount, or somebody's mkdir.

    One with something in it that was open is refused: others may have read it, or put something there.  What
    others could look into, but not write, of its own directories is closed: earlier versions made them so.

    Args:
        directory: That is there.
        may_pass: Others may pass through it (0711), to directories that are theirs.
        inner: Names of directories in it that are its owner's alone, and two levels of what is in them.

    Raises:
        FabricError: If others own it or what is in it, or have access to it.
        OSError: If it cannot be looked at.
    """
    check_owner(directory)
    if directory.stat().st_mode & _too_much(may_pass) and not any(directory.iterdir()):
        directory.chmod(PRIVATE)
    check_directory(directory, may_pass=may_pass)
    for name in inner:
        _close(directory / name)
    check_state(directory, may_pass=may_pass, inner=inner)


def check_state(directory: Path, *, may_pass: bool = False, inner: Collection[str] = ()) -> None:
    """See the same, and change nothing.  See `close_state`."""
    check_owner(directory)
    check_directory(directory, may_pass=may_pass)
    for path in sorted(directory.iterdir()):
        if path.name in inner:
            _check_entry(path, _OTHERS if may_pass else 0, _INNER_LEVELS)
        else:
            _check_entry(path, _WRITE if may_pass else 0)


def _check_entry(path: Path, refused: int, levels: int = 0) -> None:
    """See that something in a state directory is its owner's, and so what it leads to.

    Args:
        path: Of it; what is gone by now is good.
        refused: Bits of its mode that give others what they must not have; where a link leads, others are.
        levels: How far down to look, too: nobody else gets at what is there, unless a link leads out.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    check_owner(path, status)
    if stat.S_ISLNK(status.st_mode):
        status = _led_to(path)
        check_owner(path, status)
        refused = _OTHERS if levels and stat.S_ISDIR(status.st_mode) else _WRITE
        if status.st_mode & refused:  # what it leads to may be everybody's: /tmp is not to be closed
            raise FabricError(
                f"others have access to what {path} leads to (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"have it lead to a directory of its owner alone; {_HARM}",
            )
    mode = stat.S_IMODE(status.st_mode)
    if mode & refused & ~_WRITE:
        raise _access(path, mode, f"chmod 700 {path}")
    if mode & refused:
        raise FabricError(
            f"others than its owner may write {path} (mode {mode:04o})", hint=f"chmod go-w {path}; {_HARM}"
        )
    if levels and stat.S_ISDIR(status.st_mode):
        for inside in _entries(path):
            _check_entry(inside, 0, levels - 1)


def _led_to(link: Path) -> os.stat_result:
    """Return what a link leads to.

    Raises:
        FabricError: If that is not there: whoever can make it decides what it is.
    """
    try:
        return link.stat()
    except FileNotFoundError:
        raise FabricError(
            f"{link} leads to {link.readlink()}, which is not there", hint=f"rm {link}"
        ) from None


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:  # by now
        return []


def _close(directory: Path) -> None:
    """Close a directory of one's own that others can look into, but not write; no link to one."""
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if is_own and status.st_mode & _OTHERS and not status.st_mode & _WRITE:
        directory.chmod(PRIVATE)


def check_directory(directory: Path, *, may_pass: bool = False) -> None:
    """See that nobody but its owner has access to a directory.

    Raises:
        FabricError: If somebody has.
        OSError: If it cannot be looked at.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & _too_much(may_pass):
        raise _access(directory, mode, f"chmod {'go-rw' if may_pass else '700'} {directory}")


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


def _access(path: Path, mode: int, way_out: str) -> FabricError:
    return FabricError(
        f"others than its owner have access to {path} (mode {mode:04o})", hint=f"{way_out}; {_HARM}"
    )


def _too_much(may_pass: bool) -> int:
    return _OTHERS & ~_PASS if may_pass else _OTHERS


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of a container, or one that was deleted
        return str(uid)
