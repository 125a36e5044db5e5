"""Which keys a table may have; every other one is an error that says what to do about it."""

from collections.abc import Collection, Mapping
from typing import Any

from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.tables import StepTable, TrialTable
from fabric.trial.vocabulary import LATER_STEP_KEYS, LATER_TRIAL_KEYS

TRIAL_KEYS = tuple(TrialTable.model_fields)
STEP_KEYS = tuple(StepTable.model_fields)


def split_keys(
    table: Mapping[str, Any], where: Path, known: Collection[str], later: Collection[str], problems: Problems
) -> tuple[dict[str, Any], list[str]]:
    """Return the part of a table that is known, and the other keys, after noting each of them.

    Args:
        table: As read.
        where: Path of the table; () for the file.
        known: Keys that it may have.
        later: Keys of the format that this version does not support.
        problems: Where to note.
    """
    others = [key for key in table if key not in known]
    for key in others:
        if key in later:
            name = f"[{key}]" if not where else f"`{key}`"
            problems.at_key((*where, key), "E014", f"{name} is not supported by this version")
        else:
            hint = did_you_mean(key, known) or belongs(key) or f"known here: {', '.join(known)}"
            problems.at_key((*where, key), "E013", f"unknown key `{key}`", hint)
    return {key: value for key, value in table.items() if key in known}, others


def belongs(key: str) -> str:
    """Return a hint for a key that is under the wrong header, or ""."""
    if key in TRIAL_KEYS or key in LATER_TRIAL_KEYS:
        return f"`{key}` belongs under [trial]"
    if key in STEP_KEYS or key in LATER_STEP_KEYS:
        return f"`{key}` belongs in a step, under [[run.ROLE]]"
    return ""
