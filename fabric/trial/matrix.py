"""[matrix]: variables, each with the values that it takes in turn."""

from collections.abc import Sequence
from itertools import product
from math import isfinite, prod
from typing import Any, Final

from fabric.trial.cells import MAX_CELLS, MAX_COMBINATIONS, MAX_REPEATS_IN_ALL
from fabric.trial.nodespec import SpecError, expand
from fabric.trial.positions import Path
from fabric.trial.problems import Problems
from fabric.trial.vocabulary import MAX_ROLE_CHARS, VARIABLE, is_well_known, variables_of

MAX_VALUE_CHARS: Final = 4096
"""Longest value: it stands in the record that begins each repeat, and in every report."""

Matrix = dict[str, tuple[str, ...]]

_EXAMPLE: Final = 'write NAME = [1, 2, 3], NAME = ["a", "b"] or NAME = "lab[1-4]"'


def read_matrix(raw: Any, roles: tuple[str, ...], problems: Problems) -> Matrix:
    """Return the values of every variable as text, after noting what is wrong.

    Args:
        raw: [matrix] as read, or None.
        roles: Of the trial: their names are variables too.
        problems: Where to note.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.at_value(
            ("matrix",), "E016", "`matrix` needs a table of variables", f"below [matrix] {_EXAMPLE}"
        )
        return {}
    if not raw:
        problems.at_key(("matrix",), "E015", "[matrix] has no variable", f"{_EXAMPLE}, or leave it out")
    for name in raw:
        _check_name(name, roles, problems)
    return {name: _values(name, value, problems) for name, value in raw.items()}


def check_cells(
    matrix: Matrix, distinct: Sequence[str], pairing: Sequence[str], repeats: int, problems: Problems
) -> int:
    """Return how many cells there are (1 without a matrix), after noting it if there are none or too many.

    Args:
        matrix: Every variable with its values.
        distinct: Variables that differ in every cell.
        pairing: Variables of which an unordered pair comes once.
        repeats: Of each cell, warm-ups and all.
        problems: Where to note.
    """
    is_sound = all(matrix.values()) and all(name in matrix for name in (*distinct, *pairing))
    if not is_sound or len(set(distinct)) < len(distinct) or len(set(pairing)) < len(pairing):
        return 1  # there is an error already
    cells = _count(matrix, distinct, pairing)
    where: Path = ("matrix",) if matrix else ("trial", "repeat")
    if cells > MAX_CELLS:
        sizes = " x ".join(str(len(values)) for values in matrix.values())
        problems.at_key(
            where, "E041", f"[matrix] makes {cells} cells ({sizes}), over the limit of {MAX_CELLS}"
        )
    elif not cells:
        problems.at_value(("trial", "distinct"), "E041", "`distinct` leaves no cell of [matrix]")
    elif cells * repeats > MAX_REPEATS_IN_ALL:
        message = f"{cells} cells of {repeats} repeats are over the limit of {MAX_REPEATS_IN_ALL} in all"
        problems.at_key(where, "E041", message)
    return cells


def _count(matrix: Matrix, distinct: Sequence[str], pairing: Sequence[str]) -> int:
    bound = [name for name in matrix if name in distinct or name in pairing]
    free = prod(len(values) for name, values in matrix.items() if name not in bound)
    combinations = prod(len(matrix[name]) for name in bound)
    if combinations > MAX_COMBINATIONS:
        return combinations * free
    seen = set()
    for values in product(*(matrix[name] for name in bound)):
        cell = dict(zip(bound, values, strict=True))
        if len({cell[name] for name in distinct}) < len(distinct):
            continue
        rest = tuple(value for name, value in cell.items() if name not in pairing)
        seen.add((*sorted(cell[name] for name in pairing), None, *rest))
    return len(seen) * free


def _check_name(name: str, roles: tuple[str, ...], problems: Problems) -> None:
    where: Path = ("matrix", name)
    if not VARIABLE.fullmatch(name):
        hint = "letters, digits and `_`, not beginning with a digit"
        problems.at_key(where, "E040", f"`{name}` cannot be the name of a variable", hint)
    elif len(name) > MAX_ROLE_CHARS:
        problems.at_key(where, "E040", f"the name of a variable has at most {MAX_ROLE_CHARS} characters")
    elif name in roles:
        message = f"`{name}` is a role already, so ${name} is its address"
        problems.at_key(where, "E040", message, "take another name")
    elif name in variables_of(roles):
        problems.at_key(where, "E040", f"${name} has a meaning already", "take another name")
    elif is_well_known(name):
        problems.at_key(where, "E040", f"a variable called `{name}` would hide ${name}", "take another name")


def _values(name: str, raw: Any, problems: Problems) -> tuple[str, ...]:
    where: Path = ("matrix", name)
    if isinstance(raw, str):
        try:
            return expand(raw)
        except SpecError as error:
            hint = f'only names and ranges: "lab[1-4]"; a list of other values: {name} = ["{raw}"]'
            hint = hint if error.later else error.hint
            problems.at_part(where, "E020", str(error), hint, text=raw, start=error.start, end=error.end)
            return ()
    if not isinstance(raw, list):
        hint = f"write {name} = [{_shown(raw)}]" if isinstance(raw, bool | int | float) else _EXAMPLE
        problems.at_value(where, "E016", f"`{name}` needs a list of values", hint)
        return ()
    if not raw:
        problems.at_value(where, "E018", f"`{name}` has no value, so there is no cell")
    seen: dict[str, int] = {}
    for index, item in enumerate(raw):
        value = _text(item)
        if problem := _about(value):
            problems.at_value((*where, index), "E016", f"`{name}` {problem}")
        elif value in seen:
            problems.at_value((*where, index), "E040", f"`{name}` has the value {value!r:.40} twice")
        else:
            seen[str(value)] = index
    return tuple(seen)


def _text(value: Any) -> str | None:
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, bool | int | float):
        return _shown(value)
    return value if isinstance(value, str) else None


def _about(value: str | None) -> str:
    if value is None:
        return "needs texts, numbers or true and false"
    if "\0" in value:
        return "must not contain a NUL character"
    return f"has a value of more than {MAX_VALUE_CHARS} characters" if len(value) > MAX_VALUE_CHARS else ""


def _shown(value: bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
