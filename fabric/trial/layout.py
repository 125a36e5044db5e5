"""Where the steps of a trial stand: [[run.client]] tables, or the short form `[run] client = ...`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fabric.trial.keys import belongs
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean

MAX_STEPS: Final = 1000
"""Most steps of a trial; each becomes a part of a message to every node of its role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawStep:
    """A step as it was read, not checked yet."""

    phase: str
    role: str
    number: int  # in its role and phase, from 1
    where: Path
    table: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its name, or the one that it gets if it has none."""
        name = self.table.get("name")
        return name if isinstance(name, str) else f"{self.role}-{self.number}"


def find_steps(
    document: Mapping[str, Any], phases: tuple[str, ...], roles: tuple[str, ...], problems: Problems
) -> list[RawStep]:
    """Return the steps of all phases, phase by phase, after noting what cannot be one."""
    steps = [
        step
        for phase in phases
        if phase in document
        for step in _steps_of_phase(phase, document[phase], roles, problems)
    ]
    if len(steps) > MAX_STEPS:
        message = f"the trial has {len(steps)} steps, over the limit of {MAX_STEPS}"
        problems.at_key(steps[MAX_STEPS].where, "E022", message)
    return steps[:MAX_STEPS]


def note_idle(
    document: Mapping[str, Any], phases: Iterable[str], steps: Iterable[RawStep], problems: Problems
) -> None:
    """Note the phases that have a section and no step."""
    busy = {step.phase for step in steps}
    for phase in phases:
        if phase in document and phase not in busy:
            hint = "write a step below it, or leave it out"
            problems.at_key((phase,), "W003", f"phase `{phase}` has no step", hint)


def note_unused(roles: Iterable[str], steps: Iterable[RawStep], text: str, problems: Problems) -> None:
    """Note the roles that no step and no `$name` in the text of the trial has to do with."""
    busy = {step.role for step in steps}
    for role in roles:
        if role not in busy and not re.search(rf"\$\{{?{role}(?:_all)?\b", text):
            message = f"role `{role}` has no step: its nodes are reserved, and do nothing"
            problems.at_key(("nodes", role), "W004", message, "leave it out, or give it a step")


def _steps_of_phase(phase: str, raw: Any, roles: tuple[str, ...], problems: Problems) -> Iterator[RawStep]:
    example = f"[[{phase}.{roles[0] if roles else 'ROLE'}]]"
    if not isinstance(raw, dict):
        problems.at_key((phase,), "E016", f"`{phase}` is a phase and holds roles", f"write {example}")
        return
    for role, value in raw.items():
        if roles and role not in roles:  # without roles there is an error about [nodes] already
            misplaced = f"a step stands under its role: {example}" if belongs(role) else ""
            hint = misplaced or did_you_mean(role, roles, f"roles: {', '.join(roles)}")
            problems.at_key((phase, role), "E012", f"no role `{role}` in [nodes]", hint)
        for number, (where, table) in enumerate(_tables((phase, role), value, problems), 1):
            yield RawStep(phase=phase, role=role, number=number, where=where, table=table)


def _tables(where: Path, raw: Any, problems: Problems) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the steps of a role as tables, whatever form they are written in, with their places."""
    if raw == []:
        problems.at_value(where, "E015", f"`{where[1]}` has no step")
    items = enumerate(raw) if isinstance(raw, list) else [(None, raw)]
    for index, item in items:
        place = where if index is None else (*where, index)
        if isinstance(item, str):
            yield place, {"cmd": item}
        elif isinstance(item, dict):
            yield place, item
        else:
            hint = f'write {where[1]} = "command" or {where[1]} = {{ cmd = "command" }}'
            problems.at_value(place, "E016", "a step is a command in quotes, or a table", hint)
