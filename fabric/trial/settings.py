"""[trial]: the settings, and what they say about each other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from fabric.protocol.names import WORD
from fabric.trial.keys import TRIAL_KEYS, split_keys
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.reading import read_table
from fabric.trial.tables import PERCENT, TrialTable
from fabric.trial.vocabulary import LATER_SECTIONS, LATER_STEP_KEYS, PHASES, RESET, SETTING_SECTIONS

_PERCENT: Final = re.compile(PERCENT)
EXAMPLE: Final = 'write [trial] and below it name = "..."'
_RESERVED: Final = frozenset({*SETTING_SECTIONS, *LATER_SECTIONS, *LATER_STEP_KEYS})


@dataclass(frozen=True, slots=True)
class Order:
    """The phases of a repeat, and which of them each repeat does anew."""

    phases: tuple[str, ...]
    cycle: tuple[str, ...]

    def after(self, phase: str) -> tuple[str, ...]:
        """Return the phases that follow one."""
        return self.phases[self.phases.index(phase) + 1 :]


def read_order(document: Mapping[str, Any], problems: Problems) -> Order:
    """Return the phases that a trial has, after noting what is wrong with what it says about them."""
    table = document.get("trial")
    table = table if isinstance(table, dict) else {}
    phases = _phases(table.get("phases"), problems)
    return Order(phases, _cycle(table.get("cycle"), phases, problems))


def read_settings(
    document: Mapping[str, Any], variables: Mapping[str, Sequence[str]], problems: Problems
) -> TrialTable | None:
    """Return [trial], or None if it is missing or after noting what is wrong.

    ``variables`` are those of the matrix.
    """
    raw = document.get("trial")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        problems.at_key(("trial",), "E016", "`trial` needs a table", EXAMPLE)
        return None
    known, _ = split_keys(raw, ("trial",), TRIAL_KEYS, (), problems)
    _check_quorum(raw.get("quorum"), problems)
    for key in ("distinct", "pairing"):
        _check_variables(key, raw.get(key), variables, problems)
    return read_table(TrialTable, known, ("trial",), problems)


def part(quorum: str) -> Fraction:
    """Return what "95%" is of 1."""
    return Fraction(quorum.rstrip("% ")) / 100


def _phases(raw: Any, problems: Problems) -> tuple[str, ...]:
    if raw is None:
        return PHASES
    if not isinstance(raw, list) or not all(isinstance(one, str) and WORD.fullmatch(one) for one in raw):
        return PHASES  # an error of its own
    if not raw:
        problems.at_value(("trial", "phases"), "E011", "`phases` is empty", "leave it out for the usual ones")
    for index, phase in enumerate(raw):
        where: Path = ("trial", "phases", index)
        if phase in raw[:index]:
            problems.at_value(where, "E011", f"phase `{phase}` is there twice")
        elif phase in _RESERVED:
            problems.at_value(
                where, "E011", f"`{phase}` cannot be a phase: the format has it", "take another name"
            )
        elif phase == RESET and index < len(raw) - 1:
            problems.at_value(where, "E011", "`reset` comes last, whatever has happened", "leave it out here")
    return (*dict.fromkeys(one for one in raw if one != RESET), RESET)


def _cycle(raw: Any, phases: tuple[str, ...], problems: Problems) -> tuple[str, ...]:
    if not isinstance(raw, list):
        return phases
    where: Path = ("trial", "cycle")
    if not raw:
        problems.at_value(where, "E011", "`cycle` names no phase", "leave it out to repeat all of them")
    for index, phase in enumerate(raw):
        if isinstance(phase, str) and phase not in phases:
            hint = did_you_mean(phase, phases, f"phases: {', '.join(phases)}")
            problems.at_value((*where, index), "E011", f"`cycle`: there is no phase `{phase}`", hint)
            return phases
    if not raw or not all(isinstance(phase, str) for phase in raw):
        return phases
    start = phases.index(raw[0])
    if tuple(raw) != phases[start : start + len(raw)]:
        message = "`cycle` has to name phases that follow each other, in their order"
        problems.at_value(where, "E011", message, f"phases: {', '.join(phases)}")
        return phases
    return tuple(raw)


def _check_quorum(raw: Any, problems: Problems) -> None:
    where: Path = ("trial", "quorum")
    if isinstance(raw, str) and _PERCENT.fullmatch(raw) and not 0 < part(raw) <= 1:
        problems.at_value(where, "E018", "`quorum` has to be over 0% and at most 100%")


def _check_variables(key: str, raw: Any, variables: Mapping[str, Sequence[str]], problems: Problems) -> None:
    """`distinct` and `pairing` speak of variables of the matrix."""
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        return  # an error of its own, if it is there
    where: Path = ("trial", key)
    wanted = "two variables" if key == "pairing" else "two variables or more"
    if (key == "pairing" and len(raw) != 2) or len(raw) < 2:  # noqa: PLR2004
        problems.at_value(where, "E042", f"`{key}` needs {wanted} of [matrix]", f'like {key} = ["a", "b"]')
        return
    for index, name in enumerate(raw):
        if name in raw[:index]:
            problems.at_value((*where, index), "E042", f"`{key}` names `{name}` twice")
        elif name not in variables:
            known = f"variables: {', '.join(variables)}" if variables else "there is no [matrix]"
            hint = did_you_mean(name, variables, known)
            problems.at_value((*where, index), "E042", f"`{key}`: [matrix] has no `{name}`", hint)
