"""Where the steps of a trial stand: [[run.client]] tables, or the short form `[run] client = ...`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


_SCRIPT: Final = re.compile(r"(?:^|[\s;&|('\"])(?:~|\.{0,2})/\w|\.(?:sh|bash|py|pl|rb|js|lua|tcl)\b")
"""A word of a command that is a path, or has the name of a script."""


def note_unused(roles: Iterable[str], steps: Sequence[RawStep], text: str, problems: Problems) -> None:
    """Note the roles that no step has, and whose address nothing can be seen to use.

    Every command has the addresses of all roles in its environment.  Where one runs a script, which may read
    them, nothing is noted; nor is a role that the trial names elsewhere, be it in a comment.
    """
    busy = {step.role for step in steps}
    if busy.issuperset(roles) or any(_runs_script(step.table) for step in steps):
        return
    for role in roles:
        if role not in busy and len(re.findall(rf"\b{re.escape(role)}(?:_all)?\b", text)) == 1:
            message = f"role `{role}` has no step: its nodes are reserved, and do nothing"
            hint = f"leave it out, or give it a step; if a program reads ${role}, say so in a comment"
            if misplaced := belongs(role):
                hint = f"as a setting, {misplaced}"
            problems.at_key(("nodes", role), "W004", message, hint)


def _runs_script(table: Mapping[str, Any]) -> bool:
    """Whether a step brings files, or runs one of which the trial does not show what it does."""
    values = [table[verb] for verb in ("cmd", "spawn") if verb in table]
    words = [word for value in values for word in (value if isinstance(value, list) else [value])]
    return "put" in table or any(_SCRIPT.search(word) for word in words if isinstance(word, str))


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
