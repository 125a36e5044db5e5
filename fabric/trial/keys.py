"""Which keys a table may have; every other one is an error that says what to do about it."""

from collections.abc import Collection, Mapping
from typing import Any

from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.tables import INNER_TABLES, StepTable, TrialTable
from fabric.trial.vocabulary import LATER_STEP_KEYS

TRIAL_KEYS = tuple(TrialTable.model_fields)
STEP_KEYS = tuple(StepTable.model_fields)

_INSTEAD = {
    "fault": "do it by a step: a cmd on that node, with `at` as its instant",
    "use": "write the program as cmd or spawn, and what it measures as metric.NAME",
    "with": "write the arguments into the command",
    "drop": "use min or max; comparing with a baseline comes later",
}
"""What to do in this version without a key that it does not support."""


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
            name = f"[[{key}]]" if not where else f"`{key}`"
            message = f"{name} is not supported by this version"
            problems.at_key((*where, key), "E014", message, _INSTEAD.get(key, ""))
        else:
            hint = did_you_mean(key, known) or belongs(key) or f"known here: {', '.join(known)}"
            problems.at_key((*where, key), "E013", f"unknown key `{key}`", hint)
    return {key: value for key, value in table.items() if key in known}, others


def belongs(key: str) -> str:
    """Return a hint for a key that is under the wrong header, or ""."""
    if key in TRIAL_KEYS:
        return f"`{key}` belongs under [trial]"
    if key in STEP_KEYS or key in LATER_STEP_KEYS:
        return f"`{key}` belongs in a step, under [[run.ROLE]]"
    inner = next((name for name, table in INNER_TABLES.items() if key in table.model_fields), "")
    return f"`{key}` belongs in a step, as {inner}.{key}" if inner in ("ready", "limits") else ""
