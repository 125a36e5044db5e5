"""What the puts of a trial take from beside it: found and hashed before anything starts."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import iglob
from os.path import normpath
from pathlib import Path
from typing import Final

from fabric.controller.puts import Place, PutFile
from fabric.errors import UsageError
from fabric.protocol.limits import MAX_PATH_NAMES
from fabric.trial.model import PutSource, Trial, TrialStep

MAX_FILES: Final = 1000
"""Most files that one step puts: their names have to fit into the message that prepares the phase."""

_PIECE_BYTES: Final = 1 << 20

_LAST: Final = re.compile(r"(?<![^/])\*\*/?$")
"""At the end `**` is what `*` is, for a directory comes with all that is in it; glob finds that, too."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine, as it was when it was hashed."""

    path: Path
    size: int
    mode: int
    identity: tuple[int, ...]
    sha256: str

    def is_as_it_was(self, status: os.stat_result) -> bool:
        """Whether nobody has written to it since."""
        return _identity(status) == self.identity


@dataclass(frozen=True, slots=True)
class Sources:
    """All files that a trial puts."""

    puts: dict[Place, tuple[PutFile, ...]] = field(default_factory=dict)
    files: dict[str, LocalFile] = field(default_factory=dict)  # by SHA-256


def find_sources(trial: Trial) -> Sources:
    """Find and hash what the steps of a trial put.  Takes as long as reading all of it.

    Raises:
        UsageError: If something is not there or cannot be read, with file and line of the step.
    """
    found = Sources()
    hashed: dict[Path, LocalFile] = {}
    for step in trial.steps:
        if step.verb != "put":
            continue
        try:
            files = _placed(_files(step, Path(trial.path).parent, found, hashed))
        except OSError as error:
            raise _wrong(trial, step, f"{error.filename}: {error.strerror or error}") from None
        except ValueError as error:
            raise _wrong(trial, step, str(error)) from None
        if len(files) > MAX_FILES:
            hint = "pack them into an archive, and unpack that in the next step"
            raise _wrong(trial, step, f"{len(files)} files are over the limit of {MAX_FILES}", hint)
        found.puts[step.phase, step.role, step.label] = files
    return found


def _wrong(trial: Trial, step: TrialStep, sentence: str, hint: str = "") -> UsageError:
    return UsageError(
        f"{trial.path}:{step.line}: put: {sentence}",
        hint=hint or "files are looked for beside the trial file",
    )


def _placed(files: Iterator[tuple[Path, PutFile]]) -> tuple[PutFile, ...]:
    """Return the files, each once.

    Raises:
        ValueError: If one would overwrite another: patterns find files of one name in several directories.
    """
    found: dict[str, tuple[Path, PutFile]] = {}
    for local, file in files:
        place = normpath(file.path)
        before, _ = found.setdefault(place, (local, file))
        if normpath(before) != normpath(local):
            raise ValueError(f"copies `{before}` and `{local}` to the same place, `{place}`")
    return tuple(file for _, file in found.values())


def _files(
    step: TrialStep, folder: Path, found: Sources, hashed: dict[Path, LocalFile]
) -> Iterator[tuple[Path, PutFile]]:
    """Yield what a step puts, with where it is on this machine."""
    for source in step.put:
        for path, target in _matches(folder, source):
            for local, place in _expanded(path, target):
                file = hashed.get(local)
                if file is None:
                    file = hashed[local] = _hashed(local)
                    found.files[file.sha256] = file
                yield local, PutFile(place, file.size, file.sha256, file.mode)


def _matches(folder: Path, source: PutSource) -> Iterator[tuple[Path, str]]:
    """Yield what a source names, and where on the node it goes.

    Raises:
        ValueError: If nothing is there.
    """
    plain = folder / source.source
    if plain.exists():
        inside = source.target is None or source.target.endswith("/")
        yield plain, _join(source.target, plain) if inside else source.target or ""
        return
    pattern = _LAST.sub("*", source.source)
    try:
        names = sorted(iglob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 - takes absolute ones too
    except RecursionError:
        raise ValueError(f"`{source.source}`: the directories here are too deep for `**`") from None
    if not names:
        raise ValueError(f"nothing here is called or matches `{source.source}`")
    for name in names:
        yield folder / name, _join(source.target, folder / name)


def _join(directory: str | None, path: Path) -> str:
    name = _literal(path.name or path.resolve().name)  # `.` and `..` have names, too
    return name if directory is None else f"{directory.rstrip('/')}/{name}"


def _literal(name: str) -> str:
    """Return a name that stands for itself where `$names` are expanded."""
    return name.replace("$", "$$")


def _expanded(path: Path, target: str) -> Iterator[tuple[Path, str]]:
    """Yield a file, or the files in a directory and below.

    Raises:
        ValueError: If there is something that cannot be copied.
    """
    waiting = [(path, target)]
    while waiting:
        path, target = waiting.pop()
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            yield path, target
        elif not stat.S_ISDIR(mode):
            raise ValueError(f"{path} is neither a file nor a directory")
        else:
            waiting += reversed([*_below(path, target)])


def _below(directory: Path, target: str) -> Iterator[tuple[Path, str]]:
    """Yield what lies in a directory.

    Raises:
        ValueError: If it is a link to a directory, or too deep.
    """
    if target.count("/") > MAX_PATH_NAMES:
        raise ValueError(f"{directory} lies too deep: its path has more than {MAX_PATH_NAMES} names")
    for path in sorted(directory.iterdir()):
        if path.is_symlink() and path.is_dir():
            raise ValueError(f"{path} is a link to a directory: name that directory itself")
        yield path, f"{target}/{_literal(path.name)}"


def _hashed(path: Path) -> LocalFile:
    """Return a file with its hash.

    Raises:
        ValueError: If somebody writes to it.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
        after = os.fstat(file.fileno())
    if _identity(before) != _identity(after):
        raise ValueError(f"{path} was changed while it was read")
    mode = stat.S_IMODE(before.st_mode)
    return LocalFile(path.absolute(), before.st_size, mode, _identity(before), digest.hexdigest())


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
