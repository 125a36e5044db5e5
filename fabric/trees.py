"""Trees of directories, however deep they are: the standard library calls itself for each level.

A program makes one of any depth by going down as it goes; its path is longer than what the system takes.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_EMPTY: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST))


def make_directories(path: Path) -> None:
    """Make a directory, and those above it that are missing; it may be there already.

    Raises:
        OSError: If it cannot be made.
    """
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        for folder in reversed((path, *path.parents)):
            folder.mkdir(exist_ok=True)


def real_path(path: str | Path) -> str:
    """Return where a path leads, as os.path.realpath does, which calls itself for each link to a link.

    Raises:
        OSError: If they are so many that Python does not follow them; the system follows 40.
    """
    try:
        return os.path.realpath(path)
    except RecursionError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def remove_tree(path: Path) -> str:
    """Delete a directory with all that is in it.  Takes two descriptors, and follows no link.

    What is on another file system stays.  Two may delete the same one at a time.

    Returns:
        Why something is left of it; "" if nothing is.
    """
    try:
        top = os.open(path, _OPEN)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}"
    try:
        left = _Removal(top).do()
    finally:
        os.close(top)
    with left.told(str(path)):
        os.rmdir(path)  # noqa: PTH106 - as all else here
    return left.why


@dataclass(slots=True)
class _Left:
    """What could not be deleted."""

    why: str = ""  # of the first one

    @contextmanager
    def told(self, name: str) -> Iterator[None]:
        """Note why something was not possible; what is gone, or has got something in it, is no trouble."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                shown = os.fsencode(name).decode("utf-8", "backslashreplace")
                self.why = self.why or f"{shown}: {error.strerror}"


@dataclass(slots=True)
class _Removal:
    """Takes a tree apart: what is two levels down comes up to the top, until nothing is left but that.

    To go down and up again takes a descriptor for each level, or a way up that somebody may have changed.
    """

    top: int
    _left: _Left = field(default_factory=_Left)
    _kept: set[str] = field(default_factory=set)  # names at the top that stay
    _token: str = field(default_factory=lambda: secrets.token_hex(8))
    _count: int = 0

    def do(self) -> _Left:
        """Delete what can be deleted."""
        device = os.fstat(self.top).st_dev
        while names := [name for name in self._names(self.top) if name not in self._kept]:
            for name in names:
                with self._left.told(name):
                    if not _is_deleted(self.top, name):
                        self._take_apart(name, device)
                    continue
                self._kept.add(name)
        return self._left

    def _take_apart(self, name: str, device: int) -> None:
        """Delete a directory at the top; what is not empty in it comes to the top."""
        inner = os.open(name, _OPEN, dir_fd=self.top)
        try:
            if os.fstat(inner).st_dev != device:
                raise OSError(errno.EXDEV, "it is on another file system")
            for below in self._names(inner):
                with self._left.told(below):
                    if not _is_deleted(inner, below):
                        self._count += 1
                        fresh = f"{self._token}.{self._count}"
                        os.rename(below, fresh, src_dir_fd=inner, dst_dir_fd=self.top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=self.top)

    def _names(self, directory: int) -> list[str]:
        with self._left.told("a directory"):
            return os.listdir(directory)
        return []


def _is_deleted(directory: int, name: str) -> bool:
    """Delete what is not a directory, and an empty one; return whether it is gone.

    Raises:
        OSError: If it cannot be deleted.
    """
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        pass
    else:
        return True
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        return False
    return True
