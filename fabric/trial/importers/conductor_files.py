"""PURE.  The two sorts of Conductor files: the coordinator's, which names the workers, and a worker's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from fabric.trial.importers.conductor_ini import (
    BOM,
    DEFAULT,
    Entry,
    IniFile,
    Section,
    read_ini,
    with_defaults,
)
from fabric.trial.importers.conductor_steps import PHASES, ConductorStep, read_step
from fabric.trial.importers.conductor_values import Settings, expanded, used_names, without_comment
from fabric.trial.importers.notes import Notes

WORKERS: Final = ("Workers", "Clients")
COORDINATOR: Final = ("Coordinator", "Master")
"""Each with the older name that its own files also use."""

SETTINGS: Final = {
    "Test": ("trials", "format", "output", "max_message_size"),
    "Coordinator": ("player", "conductor", "cmdport", "resultsport"),
}
MAX_TRIALS: Final = 10_000
"""Most repeats of a trial."""

_HEADER: Final = re.compile(rf"^\[(?:Test|{'|'.join((*WORKERS, *COORDINATOR, *PHASES))})\]", re.MULTILINE)
_GONE: Final = {
    "format": "what is shown is text; `fabric-run --format conductor-json` prints Conductor's JSON",
    "output": "every run leaves a bundle with all output; redirect stdout for the text or the JSON",
    "max_message_size": "output has no limit of size here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEntry:
    """A worker as the coordinator file names it."""

    name: str
    place: tuple[str, int]
    written: str  # path of its file, as it stands there
    paths: tuple[str, ...]  # what it may mean, the likelier first


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """A coordinator file."""

    path: str
    trials: int
    workers: tuple[WorkerEntry, ...]
    gone: tuple[tuple[str, str], ...]  # settings that have no place in a trial, and what became of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker with what its file says."""

    name: str
    place: tuple[str, int]  # of its name
    path: str  # of its file
    player: str  # address; "": the file names none
    ports: tuple[str, str]
    steps: tuple[ConductorStep, ...]


def is_conductor(path: str, head: str) -> bool:
    """Say whether a file is one of Conductor's, by its name or by the beginning of its text."""
    suffix = PurePath(path).suffix.lower()
    if suffix == ".toml":
        return False
    return suffix == ".cfg" or _HEADER.search(head.removeprefix(BOM).replace("\r", "\n")) is not None


def read_coordinator(path: str, text: str, notes: Notes) -> Coordinator:
    """Read the file that names the workers; one that has phases and no workers is its own only worker."""
    file = read_ini(path, text, notes)
    test = Settings(file, file.sections.get("Test"), notes)
    _note_unknown(file, ("Test",), SETTINGS["Test"], notes)
    section = file.first_of(*WORKERS)
    _note_both(file, WORKERS, notes)
    workers = _workers(file, section, notes) if section is not None else _itself(file, notes)
    _note_unused(file, workers, notes)
    if not workers and not notes.any_errors:
        hint = "a coordinator file has a section [Workers] with lines `name = path of a worker file`"
        notes.add((path, section.line if section else 0), "E103", "the file names no worker", hint)
    return Coordinator(path=path, trials=_trials(test, notes), workers=workers, gone=_gone(test, notes))


def read_worker(entry: WorkerEntry, path: str, text: str, notes: Notes) -> Worker:
    """Read a worker's file."""
    file = read_ini(path, text, notes)
    section = file.first_of(*COORDINATOR)
    _note_both(file, COORDINATOR, notes)
    _note_unknown(file, COORDINATOR, SETTINGS["Coordinator"], notes)
    known = {"Test", *WORKERS, *COORDINATOR, *PHASES}
    for name, other in file.sections.items():
        if name not in known:
            _note_section(file, name, other, notes)
    settings = Settings(file, section, notes)
    for key in ("cmdport", "resultsport", "conductor"):
        settings.text(key)  # not needed here; but a comment in it is noted
    return Worker(
        name=entry.name,
        place=entry.place,
        path=path,
        player=settings.text("player"),
        ports=(settings.text("cmdport"), settings.text("resultsport")),
        steps=_steps(file, notes),
    )


# --- the coordinator's ----------------------------------------------------------------------------------


def _workers(file: IniFile, section: Section, notes: Notes) -> tuple[WorkerEntry, ...]:
    found = []
    for entry in section.entries:
        written = expanded(file, section, entry, notes).strip()
        plain = without_comment(written, is_path=True)
        paths = tuple(dict.fromkeys(path for path in (written, plain) if path))
        if not paths:
            notes.add(entry.place, "E104", f"worker `{entry.key}` has no file")
            continue
        found.append(WorkerEntry(name=entry.key, place=entry.place, written=written, paths=paths))
    return tuple(found)


def _itself(file: IniFile, notes: Notes) -> tuple[WorkerEntry, ...]:
    """Return the one worker of a file that has phases but names no workers."""
    line = next((file.sections[name].line for name in PHASES if name in file.sections), 0)
    if not line:
        return ()
    name = PurePath(file.path).stem.lower()
    message = f"the file names no workers: its phases are those of one worker, `{name}`"
    notes.add((file.path, line), "W111", message, "give the coordinator file to import all of its workers")
    return (WorkerEntry(name=name, place=(file.path, line), written=file.path, paths=(file.path,)),)


def _note_unused(file: IniFile, workers: Sequence[WorkerEntry], notes: Notes) -> None:
    """Warn of phases that no worker takes from this file."""
    own = PurePath(file.path).name
    if any(PurePath(path).name == own for worker in workers for path in worker.paths):
        return
    for name in PHASES:
        if name in file.sections and file.sections[name].entries:
            message = f"[{name}] of the coordinator file belongs to no worker and is left out"
            notes.add((file.path, file.sections[name].line), "W111", message, "as in Conductor")
    for name, section in file.sections.items():
        if name not in {"Test", *WORKERS, *COORDINATOR, *PHASES}:
            _note_section(file, name, section, notes)


def _trials(test: Settings, notes: Notes) -> int:
    entry, text = test.entry("trials"), test.text("trials")
    if entry is None:
        return 1
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) and 1 <= int(text) <= MAX_TRIALS:
        return int(text)
    message = f"`trials` needs a number from 1 to {MAX_TRIALS}, got {text!r:.40}"
    notes.add(entry.place, "E104", message, "write trials = 1", about=text)
    return 1


def _gone(test: Settings, notes: Notes) -> tuple[tuple[str, str], ...]:
    """Note the settings of [Test] that a trial does not have."""
    gone = []
    for key, became in _GONE.items():
        entry = test.entry(key)
        if entry is None:
            continue
        value = test.text(key)
        gone.append((f"{key} = {value}", became))
        if (key, value.lower()) != ("format", "text"):
            notes.add(entry.place, "W109", f"`{key}` is left out", became)
    return tuple(gone)


# --- a worker's -----------------------------------------------------------------------------------------


def _steps(file: IniFile, notes: Notes) -> tuple[ConductorStep, ...]:
    used = used_names(file)
    steps = []
    for name in PHASES:
        section = file.sections.get(name)
        if section is None:
            continue
        for entry in with_defaults(file, section):
            if entry in file.defaults.entries and not _is_step(entry, used, notes):
                continue
            step = read_step(name, entry, expanded(file, section, entry, notes), notes)
            steps += [step] if step is not None else []
    _note_spawned(steps, notes)
    return tuple(steps)


def _is_step(entry: Entry, used: set[str], notes: Notes) -> bool:
    """Say whether a line of [DEFAULT] is a command: configparser puts it into every section."""
    if any(entry.key in keys for keys in SETTINGS.values()):
        return False
    if entry.key in used:
        message = f"`{entry.key}` of [{DEFAULT}] is taken for a value, as %({entry.key})s uses it"
        notes.add(entry.place, "W111", message, "Conductor also runs it as a command in every phase")
        return False
    message = f"`{entry.key}` of [{DEFAULT}] is the first step of every phase"
    notes.add(entry.place, "W111", message, "as in Conductor; put it into the phase that it is meant for")
    return True


def _note_spawned(steps: Sequence[ConductorStep], notes: Notes) -> None:
    lines = [str(step.line) for step in steps if step.is_spawn]
    if lines:
        first = next(step for step in steps if step.is_spawn)
        which = f"line{'s' * (len(lines) > 1)} {', '.join(lines)}"
        message = f"what is spawned ({which}) is ended when the reset begins"
        hint = "Conductor never ends it; `until` of the step names an earlier phase"
        notes.add((first.path, first.line), "W110", message, hint)


# --- what is said of both -------------------------------------------------------------------------------


def _note_both(file: IniFile, names: tuple[str, str], notes: Notes) -> None:
    newer, older = names
    if newer in file.sections and older in file.sections:
        line = file.sections[older].line
        message = f"[{older}] is left out: it is the older name of [{newer}], which is there too"
        notes.add((file.path, line), "W111", message)


def _note_unknown(file: IniFile, names: tuple[str, ...], known: tuple[str, ...], notes: Notes) -> None:
    section = file.first_of(*names)
    for entry in section.entries if section is not None else ():
        if entry.key not in known:
            message = f"`{entry.key}` is no setting of [{names[0]}] and is left out"
            notes.add(entry.place, "W111", message, f"settings: {', '.join(known)}")


def _note_section(file: IniFile, name: str, section: Section, notes: Notes) -> None:
    exact = {known.lower(): known for known in ("Test", *WORKERS, *COORDINATOR, *PHASES)}
    meant = exact.get(name.strip().lower())
    hint = f"sections are exact: write [{meant}]" if meant else ""
    notes.add(
        (file.path, section.line), "W111", f"[{name}] is no section of Conductor's and is left out", hint
    )
