"""What the patterns of a fetch mean on this machine, found a little at a time.

Directories are taken with all that is in them.  Links to directories that are met on the way, or that ``*``
happens to mean, are not followed, so nothing goes round in circles and nobody gets a disk for ``*``; one that
a pattern itself names is, and one behind which it goes on.

Programs make directories as deep as they like, so nothing here calls itself for each level, and what lies too
deep is missed.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fabric.protocol.limits import MAX_PATH_NAMES

_MAGIC = frozenset("*?[")
_TOO_DEEP = f"it lies too deep: its path has more than {MAX_PATH_NAMES} names"
_LINKED = "a symbolic link to a directory, which is not followed"


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file, or a link to one."""

    path: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Something that is there and cannot be had."""

    path: str
    why: str
    serious: bool = True  # nobody would expect that it cannot be had


@dataclass(frozen=True, slots=True)
class Entered:
    """A directory that is wanted with all that is in it."""

    path: str


Sight = Found | Missed | Entered | None
"""None: a directory was read, and what is wanted may be in it; who looks may do something else meanwhile."""


def find(base: str, pattern: str) -> Iterator[Sight]:
    """Yield what a pattern means, sorted within each directory; nothing at all if nothing matches.

    Args:
        base: Where a relative pattern begins.
        pattern: A path with ``*``, ``?``, ``[...]`` and ``**`` (any directories); a name that begins with
            a dot is matched only by one that does.

    Yields:
        Each file, each thing that cannot be had, and what else is met on the way.
    """
    if "\0" in pattern:
        return
    parts: list[str] = []
    for part in pattern.split("/"):
        if part not in ("", ".") and (part, parts[-1:]) != ("**", ["**"]):
            parts.append(part)
    for path in _expand("/" if pattern.startswith("/") else base, parts):
        if isinstance(path, str):
            yield from _contents(path)
        else:
            yield path


def _expand(prefix: str, parts: list[str]) -> Iterator[str | Missed | None]:
    """Yield the paths that match."""
    waiting: list[tuple[str, list[str]] | Missed] = [(prefix, parts)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Missed):
            yield item
            continue
        prefix, rest = _advanced(*item)
        if not rest or rest == ["**"]:
            if os.path.lexists(prefix):
                yield prefix
        elif _is_too_deep(prefix, 1):
            yield Missed(prefix, _TOO_DEEP)
        else:
            try:
                entries = _entries(prefix)
            except OSError as error:
                yield Missed(prefix, error.strerror or str(error))
                continue
            yield None
            waiting += reversed([*_matching(prefix, rest, entries)])


def _advanced(prefix: str, parts: list[str]) -> tuple[str, list[str]]:
    """Return where the first part that is magic is looked for, and the parts from that on."""
    plain = 0
    while plain < len(parts) and not _MAGIC & set(parts[plain]):
        plain += 1
    return str(Path(prefix, *parts[:plain])), parts[plain:]


def _matching(
    prefix: str, parts: list[str], entries: list[os.DirEntry[str]]
) -> Iterator[tuple[str, list[str]] | Missed]:
    """Yield what is to be looked at of what lies in a directory, in its order: where, and for which parts."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield prefix, rest
        yield from ((entry.path, parts) for entry in entries if _is_plain_directory(entry))
        return
    for entry in entries:
        if not fnmatchcase(entry.name, part) or (entry.name.startswith(".") and not part.startswith(".")):
            continue
        if rest or not _is_linked_directory(entry):
            yield entry.path, rest
        else:
            yield Missed(entry.path, _LINKED, serious=False)


def _is_too_deep(path: str, below: int = 0) -> bool:
    """Whether a path with so many more names is one that is not fetched."""
    return len([name for name in path.split("/") if name]) + below > MAX_PATH_NAMES


def _is_plain_directory(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and _is_directory(entry)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # some file systems do not tell it with the name


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False  # `_odd` says why


def _is_linked_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False  # where it leads may not be looked at: `_contents` says so


def _entries(path: str) -> list[os.DirEntry[str]]:
    """Return what is in a directory; nothing if it may not be read, for then nothing matches in it.

    Raises:
        OSError: If its path is longer than what the system takes: something may match in it.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return []


def _contents(path: str) -> Iterator[Sight]:
    """Yield a file, or all that is in a directory."""
    if _is_too_deep(path):
        yield Missed(path, _TOO_DEEP)
        return
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        yield Missed(
            path, "a symbolic link to nothing" if Path(path).is_symlink() else "it is gone", serious=False
        )
        return
    except OSError as error:
        yield Missed(path, error.strerror or str(error))
        return
    if stat.S_ISREG(mode):
        yield Found(path)
    elif stat.S_ISDIR(mode):
        yield from _walk(path)
    else:
        yield Missed(path, f"it is {_kind(mode)}", serious=False)


def _walk(top: str) -> Iterator[Sight]:
    waiting = [top]
    while waiting:
        path = waiting.pop()
        if _is_too_deep(path, 1):
            yield Missed(path, _TOO_DEEP)
            continue
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:
            yield Missed(path, "it is gone", serious=False)
            continue
        except OSError as error:
            yield Missed(path, error.strerror or str(error))
            continue
        yield Entered(path)
        below = []
        for entry in entries:
            if _is_directory(entry):
                below.append(entry.path)
            elif _is_file(entry):
                yield Found(entry.path)
            else:
                yield _odd(entry.path)
        waiting += reversed(below)


def _odd(path: str) -> Sight:
    """Say what to do with something in a directory that is neither a file nor a directory itself."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        return Missed(
            path, "a symbolic link to nothing" if gone else error.strerror or str(error), serious=False
        )
    if stat.S_ISREG(mode):
        return Found(path)
    if stat.S_ISDIR(mode):
        return Missed(path, _LINKED, serious=False)
    return Missed(path, f"it is {_kind(mode)}", serious=False)


def in_the_way(path: Path) -> str:
    """Say what is at a place that is no file, which a new file must not replace; "" if nothing is."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    return "" if stat.S_ISREG(mode) else _kind(mode)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
