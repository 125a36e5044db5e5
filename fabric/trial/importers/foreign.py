"""Opens a trial that may be a file of another test system: reads the files, converts, checks the result."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fabric.errors import UsageError
from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.diagnostics import Diagnostic, TrialError, in_order
from fabric.trial.importers.conductor import Imported, convert
from fabric.trial.importers.conductor_files import (
    Coordinator,
    Worker,
    WorkerEntry,
    is_conductor,
    read_coordinator,
    read_worker,
)
from fabric.trial.importers.notes import Notes
from fabric.trial.load import load_trial, parse_trial
from fabric.trial.model import Trial, TrialFile
from fabric.trial.problems import did_you_mean
from fabric.trial.secrets import LookSecret

HEAD_BYTES: Final = 64 * 1024
"""So much of a file is looked at to see what it is."""

FOLDER: Final = "imported"
"""Where the bundle keeps the files that a trial was made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A trial that was made of foreign files."""

    trial: Trial  # its warnings are those of the import
    imported: Imported


def is_foreign(path: Path) -> bool:
    """Say whether a file is no trial.toml but one that can be imported."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return False  # whoever loads it says why
    return is_conductor(str(path), head.decode(errors="replace"))


def open_trial(
    path: Path, nodes: Mapping[str, str], look_secret: LookSecret | None = None
) -> tuple[Trial, Mapping[str, str]]:
    """Load a trial, or import one.

    Args:
        path: A trial.toml, or a file that can be imported.
        nodes: Nodes as the user gave them.  For an import they may also be given by address.
        look_secret: Says why a secret cannot be had; None: not to be looked for.

    Returns:
        The trial, and those of the nodes that are still to be put in place of its own.

    Raises:
        TrialError: If something is wrong with the file.
        UsageError: If ``nodes`` names nothing that is there.
    """
    if is_foreign(path):
        return import_trial(path, nodes).trial, {}
    return load_trial(path, look_secret), nodes


def import_trial(path: Path, nodes: Mapping[str, str], only: Sequence[str] = ()) -> Import:
    """Make a trial of a Conductor file and the worker files that it names.

    Args:
        path: The coordinator file.
        nodes: Nodes by role, worker's name or address.
        only: The workers that are wanted; empty: all.

    Raises:
        TrialError: If something cannot be read; it has every error and warning, each at its place.
        UsageError: If ``nodes`` or ``only`` names nothing that is there.
    """
    reader = _Reader(path)
    coordinator = reader.coordinator()
    workers = reader.workers(coordinator, only)
    notes = reader.notes
    if notes.any_errors:
        raise TrialError(notes.found)
    imported = convert(coordinator, workers, nodes, notes)
    trial = _checked(imported, str(path), notes)
    names = {part.role: part.worker.name for part in imported.parts}
    addresses = {
        node: part.worker.player or part.role
        for part in imported.parts
        if not part.is_mapped
        for node in part.nodes
    }
    made = replace(trial, files=reader.files(), names=names, addresses=addresses)
    return Import(trial=made, imported=imported)


class _Reader:
    """Reads the files of one import."""

    def __init__(self, path: Path) -> None:
        self.notes = Notes()
        self._path = path
        self._raw: dict[Path, bytes] = {}

    def coordinator(self) -> Coordinator:
        raw = self._read(self._path, (str(self._path), 0))
        if raw is None:
            raise TrialError(self.notes.found)
        return read_coordinator(str(self._path), _text(raw), self.notes)

    def workers(self, coordinator: Coordinator, only: Sequence[str]) -> list[Worker]:
        _check_names(coordinator, only)
        found = []
        for entry in coordinator.workers:
            if only and entry.name not in only:
                continue
            path = self._find(entry)
            raw = None if path is None else self._read(path, entry.place)
            if path is not None and raw is not None:
                found.append(read_worker(entry, str(path), _text(raw), self.notes))
        return found

    def files(self) -> tuple[TrialFile, ...]:
        """Return what was read, with the names that it has in the bundle."""
        base, taken = self._path.parent, dict[str, TrialFile]()
        for path, raw in self._raw.items():
            name = os.path.relpath(path, base)
            if name.startswith("..") or "\n" in name or "\\" in name:
                name = "".join(char if char.isalnum() or char in "._-" else "_" for char in path.name)
            name = f"{FOLDER}/{name}"
            while name in taken:
                name += "_"
            taken[name] = TrialFile(name=name, content=raw)
        return tuple(taken.values())

    def _find(self, entry: WorkerEntry) -> Path | None:
        """Return a worker's file: beside the coordinator file, or in the current directory."""
        tried: list[str] = []
        for written in entry.paths:
            for base in (self._path.parent, Path()):
                path = base / written
                if _is_file(path):
                    self._note_place(entry, written, path, base)
                    return path
                tried.append(str(path))
        message = f"the file of worker `{entry.name}` is not there"
        hint = f"looked for: {', '.join(dict.fromkeys(tried))}"
        self.notes.add(entry.place, "E101", message, hint, about=entry.written)
        return None

    def _note_place(self, entry: WorkerEntry, written: str, path: Path, base: Path) -> None:
        if written != entry.written:
            message = f"the file is `{written}`: what stands behind it is taken for a comment"
            self.notes.add(entry.place, "W106", message, "to Conductor it is a part of the path")
        if base == Path() and self._path.parent != Path() and not Path(written).is_absolute():
            message = f"`{path}` was found in the current directory, not beside {self._path.name}"
            self.notes.add(entry.place, "W106", message, about=written)

    def _read(self, path: Path, place: tuple[str, int]) -> bytes | None:
        try:
            if path.is_dir():
                self.notes.add(place, "E101", f"{path} is a directory", "name the coordinator file in it")
                return None
            with path.open("rb") as file:
                raw = file.read(MAX_TEXT_BYTES + 1)  # no more: it may be /dev/zero
        except FileNotFoundError:
            self.notes.add(place, "E101", f"there is no file {path}")
            return None
        except (OSError, ValueError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            self.notes.add(place, "E101", f"{path} cannot be read: {reason}")
            return None
        if len(raw) > MAX_TEXT_BYTES:
            limit = f"the limit of {MAX_TEXT_BYTES // 1024} KiB"
            self.notes.add(place, "E105", f"{path} is larger than {limit}")
            return None
        self._raw[path] = raw
        return raw


def _check_names(coordinator: Coordinator, only: Sequence[str]) -> None:
    names = [worker.name for worker in coordinator.workers]
    for name in only:
        if name not in names:
            hint = did_you_mean(name, names, f"workers: {', '.join(names)}")
            raise UsageError(f"{coordinator.path} has no worker `{name}`", hint)


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _checked(imported: Imported, path: str, notes: Notes) -> Trial:
    """Load what was made; whatever is wrong with it is told at the foreign line that it was made of."""
    diagnostics: list[Diagnostic] = []
    trial = None
    try:
        trial = parse_trial(imported.text, path)
        diagnostics += trial.warnings
    except TrialError as error:
        diagnostics += error.diagnostics
    for one in diagnostics:
        place = imported.origin(one.line) or (path, 0)
        notes.add(place, one.code, one.message, one.hint)
    if trial is None:
        raise TrialError(notes.found)
    steps = tuple(replace(step, origin=_origin(imported, step.line)) for step in trial.steps)
    return replace(trial, steps=steps, warnings=in_order(notes.found))


def _origin(imported: Imported, line: int) -> str:
    place = imported.origin(line)
    return f"{place[0]}:{place[1]}" if place is not None else ""


def _is_file(path: Path) -> bool:
    """Tell whether there is such a file; a name that is too long or has a NUL is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
