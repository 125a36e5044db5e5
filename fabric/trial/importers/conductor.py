"""PURE.  Conductor's files to the text of a trial.toml that does the same, and says where it does not."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from fabric.trial.importers.conductor_files import Coordinator, Worker
from fabric.trial.importers.conductor_nodes import Part, address_table, name_parts
from fabric.trial.importers.conductor_steps import PHASES, ConductorStep
from fabric.trial.importers.notes import Notes
from fabric.trial.importers.tomltext import toml_comment, toml_string
from fabric.trial.shellnames import used_in_shell
from fabric.trial.vocabulary import OWN_VARIABLES

Place = tuple[str, int]
"""Path and line."""

_HERE: Final = re.compile(r"(?:^|[\s;&|(])\.{1,2}/")
_HEAD: Final = """\
What Conductor does without a word is spelled out here:
- a step has 30 s, if its line says nothing else (timeout)
- a step that fails does not stop those behind it (on_fail); but the verdict is fail, as the exit code says
- what is spawned may end by itself (may_exit); it lives until the reset, where Conductor lets it live on
- reset is also done after a failure and after Ctrl-C, and so is collect (when)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A trial.toml that was made, and where its parts come from."""

    text: str
    origins: tuple[Place | None, ...]  # by line of the text, from 0
    parts: tuple[Part, ...]

    def origin(self, line: int) -> Place | None:
        """Return the foreign line that a line (from 1) of the text was made of, or the last one before it."""
        before = (self.origins[index] for index in range(min(line, len(self.origins)) - 1, -1, -1))
        return next((place for place in before if place is not None), None)

    def nodes(self) -> list[str]:
        """Return what to tell the user about the names of nodes: a line for each worker."""
        return address_table(self.parts)


def convert(
    coordinator: Coordinator, workers: Sequence[Worker], mapping: Mapping[str, str], notes: Notes
) -> Imported:
    """Return the trial.

    Args:
        coordinator: The file that names the workers.
        workers: With their files, in its order.
        mapping: Nodes by role, worker's name or address (see `name_parts`).
        notes: Where to say what is odd.

    Raises:
        UsageError: If the mapping names something that is not there.
    """
    parts = name_parts(workers, mapping, notes)
    for part in parts:
        _note_differences(part, [one.role for one in parts], notes)
    text = _Text()
    _write_head(text, coordinator, parts)
    for phase in PHASES.values():
        for part in parts:
            for step in part.worker.steps:
                if step.phase == phase:
                    _write_step(text, part, step)
    return Imported(text="\n".join(text.lines) + "\n", origins=tuple(text.origins), parts=parts)


class _Text:
    """Lines that are written, each with the place that it comes from."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.origins: list[Place | None] = []

    def add(self, text: str, origin: Place | None = None) -> None:
        for line in text.split("\n"):
            self.lines.append(line)
            self.origins.append(origin)

    def comment(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.add(f"# {toml_comment(line)}".rstrip())


def _write_head(text: _Text, coordinator: Coordinator, parts: Sequence[Part]) -> None:
    files = dict.fromkeys((coordinator.path, *(part.worker.path for part in parts)))
    text.comment([f"Imported from Conductor's {', '.join(files)}.", "", *_HEAD.split("\n"), ""])
    text.comment(f"[Test] {setting}: {became}" for setting, became in coordinator.gone)
    text.comment(
        ["[Coordinator] conductor, cmdport and resultsport are not needed: the agents connect to the broker."]
    )
    text.add("")
    place = (coordinator.path, 1)
    text.add("[trial]", place)
    text.add(f"name   = {toml_string(trial_name(coordinator.path))}", place)
    if coordinator.trials != 1:
        text.add(f"repeat = {coordinator.trials}  # [Test] trials", place)
    text.add("\n[nodes]")
    wide = max((len(part.role) for part in parts), default=0)
    for part in parts:
        nodes = [toml_string(node) for node in part.nodes]
        spec = nodes[0] if len(nodes) == 1 else f"[{', '.join(nodes)}]"
        comment = toml_comment(f"{part.worker.path}: player = {part.worker.player or '(none)'}")
        text.add(f"{part.role:{wide}} = {spec}  # {comment}", part.worker.place)


def _write_step(text: _Text, part: Part, step: ConductorStep) -> None:
    place = (step.path, step.line)
    text.add("")
    text.add(f"[[{step.phase}.{part.role}]]  # {toml_comment(f'{step.path}:{step.line} {step.key}')}", place)
    for key, value in _keys(step):
        text.add(f"{key:8}= {value}", place)


def _keys(step: ConductorStep) -> Iterator[tuple[str, str]]:
    yield "spawn" if step.is_spawn else "cmd", toml_string(step.command)
    if step.is_spawn:
        yield "until", '"reset"'
        yield "may_exit", "true"
    else:
        yield "timeout", f'"{step.timeout_s}s"'
    yield "on_fail", '"continue"'
    if step.phase == "collect":
        yield "when", '"always"'
    if step.finds_nothing:
        yield "ok", "[0, 1]  # what was spawned has been ended already"


def trial_name(path: str) -> str:
    """Return a trial's name for a file."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(path).stem).strip("-.")[:63]
    return name or "conductor"


def _note_differences(part: Part, roles: Sequence[str], notes: Notes) -> None:
    """Say what a command may notice of not being run by Conductor."""
    names = {*OWN_VARIABLES, *roles, *(f"{role}_all" for role in roles)}
    for step in part.worker.steps:
        place = (step.path, step.line)
        for name, written in used_in_shell(step.command).items():
            if name in names:
                message = f"{written} is set by the fabric here"
                notes.add(place, "W113", message, "roles and some other names are variables of the commands")
        if _HERE.search(step.command):
            message = "the command looks for a file beside it"
            hint = 'it runs in a directory of the run, not where the player was started: add dir = "..."'
            notes.add(place, "W113", message, hint, about="./")
