"""PURE.  Cells of the matrix, and the repeats of a run in their order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Final

from fabric.errors import UsageError
from fabric.protocol.names import repeat_id
from fabric.trial.draw import shuffled
from fabric.trial.model import Trial
from fabric.trial.nodespec import SpecError, expand
from fabric.trial.problems import did_you_mean
from fabric.trial.secrets import check_set

MAX_CELLS: Final = 10_000
"""Most cells of a run: somebody wants to read what each came to."""

MAX_REPEATS_IN_ALL: Final = 100_000
"""Most repeats of a run, over all cells: its bundle has a directory for each."""

MAX_COMBINATIONS: Final = 2_000_000
"""Most combinations of the matrix before `distinct`, `pairing` and `--only`; each is looked at."""

EMPTY: Final = '""'
"""How `--set` and `--only` have an empty text."""

_SHOWN: Final = 8  # values that an error names

CELL: Final = "cell"
"""What `--only` calls the number of a cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the matrix."""

    number: int
    """From 1; 0: the trial has no matrix."""

    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Repeat:
    """One pass over the phases in one cell."""

    cell: Cell
    number: int
    """From 1, in its cell; the warm-ups are the first ones."""

    is_warmup: bool
    """Its metrics do not count."""

    phases: tuple[str, ...]
    """That are done in it, in order.

    The reset is the last one, unless the cycle leaves it to a later repeat.
    """

    @property
    def id(self) -> str:
        """``3``, or ``2.3`` in cell 2."""
        return repeat_id(self.cell.number, self.number)


def cells_of(trial: Trial, only: Iterable[str] = ()) -> tuple[Cell, ...]:
    """Return the cells of a trial; without a matrix it is one, with number 0.

    Args:
        trial: As read.
        only: ``streams=8`` or ``a=lab1,lab2``: the cells that have one of these values; all of these filters
            have to fit.  ``cell=3,7`` takes cells by their numbers.  What is left keeps its number.

    Raises:
        UsageError: If a filter means nothing in this matrix, if there are too many cells, or none.
    """
    wanted = _filters(trial, only)
    if not trial.matrix:
        return (Cell(0, {}),)
    combinations = prod(map(len, trial.matrix.values()))
    if combinations > MAX_COMBINATIONS:
        raise UsageError(
            f"the matrix has {combinations} combinations, over the limit of {MAX_COMBINATIONS}",
            "give its variables fewer values",
        )
    found: list[Cell] = []
    number = 0
    for number, variables in enumerate(_combinations(trial), 1):
        if not all(_has(number, variables, name, values) for name, values in wanted.items()):
            continue
        found.append(Cell(number, variables))
        if len(found) > MAX_CELLS:
            raise UsageError(f"the matrix has more than {MAX_CELLS} cells", "--only k=v takes a part of them")
    if not found:
        why = "`distinct` leaves none" if not wanted else "--only leaves none"
        hint = f"it has cells 1 to {number}; `fabric-run --plan` shows them" if wanted and number else ""
        raise UsageError(f"the matrix has no cell: {why}", hint)
    return tuple(found)


def schedule(
    trial: Trial, cells: Sequence[Cell], repeats: int, seed: int, phases: Sequence[str] | None = None
) -> tuple[Repeat, ...]:
    """Return what is done, repeat by repeat, in the order in which it is done.

    Phases before the cycle are done in the first repeat of a cell, those behind it in its last.  Unless all
    phases are done anew, the repeats of a cell follow one another.

    Args:
        trial: As read.
        cells: That are gone through.
        repeats: That count, for each cell; the warm-ups come on top.
        seed: For a random order.
        phases: That are done, as `select_phases` returns them; None for all.

    Raises:
        UsageError: If they are too many.
    """
    selected = tuple(trial.phases if phases is None else phases)
    anew = tuple(phase for phase in selected if phase in trial.cycle)
    warmups = trial.warmup if anew else 0
    last = warmups + repeats if anew else 1  # what is not done anew is done once
    if last * len(cells) > MAX_REPEATS_IN_ALL:
        raise UsageError(
            f"{len(cells)} cells with {last} repeats each are {last * len(cells)} in all, "
            f"over the limit of {MAX_REPEATS_IN_ALL}",
            "--repeat and --only make them fewer",
        )

    def repeat_of(cell: Cell, number: int) -> Repeat:
        done = _phases_of(selected, anew, is_first=number == 1, is_last=number == last)
        return Repeat(cell, number, number <= warmups, done)

    def in_order(number: int) -> Sequence[Cell]:
        is_random = trial.order == "random"
        return shuffled(cells, seed, "cells", number, name=lambda cell: cell.number) if is_random else cells

    numbers = range(1, last + 1)
    if trial.order == "sequential" or anew != selected:
        return tuple(repeat_of(cell, number) for cell in in_order(0) for number in numbers)
    return tuple(repeat_of(cell, number) for number in numbers for cell in in_order(number))


def set_variables(trial: Trial, assignments: Iterable[str]) -> Trial:
    """Return the trial with other values: ``streams=1,16`` or ``a=lab[1-4]``, or of [env] ``DEBUG=1``.

    Raises:
        UsageError: If there is no such variable, or the values cannot be read.
    """
    matrix, env, sets = dict(trial.matrix), dict(trial.env), tuple(assignments)
    for text in sets:
        name, value = _assignment("--set", text)
        _check_given(name, value, are_many=name in matrix)
        if name in matrix:
            matrix[name] = _values(name, value)
        elif name in env:
            check_set(name, env[name], value)
            env[name] = "" if value == EMPTY else value
        else:
            known = [*matrix, *env]
            there = f"variables: {', '.join(known)}" if known else "it has neither [matrix] nor [env]"
            raise UsageError(f"no variable `{name}` in {trial.path}", did_you_mean(name, known, there))
    return replace(trial, matrix=matrix, env=env, sets=(*trial.sets, *sets))


def _combinations(trial: Trial) -> Iterator[dict[str, str]]:
    """Yield what `distinct` and `pairing` leave of the matrix; the last variable changes fastest."""
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for values in product(*trial.matrix.values()):
        variables = dict(zip(trial.matrix, values, strict=True))
        apart = [variables[name] for name in trial.distinct]
        if len(set(apart)) < len(apart):
            continue
        if trial.pairing:
            pair = tuple(sorted(variables[name] for name in trial.pairing))
            rest = tuple(value for name, value in variables.items() if name not in trial.pairing)
            if (pair, rest) in seen:
                continue
            seen.add((pair, rest))
        yield variables


def _has(number: int, variables: Mapping[str, str], name: str, values: frozenset[str]) -> bool:
    return (variables[name] if name in variables else str(number)) in values


def _phases_of(
    selected: tuple[str, ...], anew: tuple[str, ...], *, is_first: bool, is_last: bool
) -> tuple[str, ...]:
    if not anew:
        return selected
    begin, end = selected.index(anew[0]), selected.index(anew[-1]) + 1
    return (selected[:begin] if is_first else ()) + anew + (selected[end:] if is_last else ())


# --- the command line ---------------------------------------------------------------------------------


def _filters(trial: Trial, only: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the values that each variable may have."""
    wanted: dict[str, frozenset[str]] = {}
    for text in only:
        name, value = _assignment("--only", text)
        values = frozenset(_values(name, value))
        if name in trial.matrix:
            _check_values(name, sorted(values), trial.matrix[name])
        elif name != CELL or not trial.matrix:
            known = [*trial.matrix]
            there = f"variables: {', '.join(known)}" if known else "it has no [matrix]"
            raise UsageError(
                f"no variable `{name}` in the matrix of {trial.path}", did_you_mean(name, known, there)
            )
        wanted[name] = wanted.get(name, frozenset()) | values
    return wanted


def _check_values(name: str, values: Iterable[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            more = ", ..." if len(known) > _SHOWN else ""
            there = f"values: {', '.join(known[:_SHOWN])}{more}"
            raise UsageError(f"`{name}` is never {value!r:.80}", did_you_mean(value, known, there))


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{option} {text!r:.80}: expected NAME=VALUE", f"like {option} streams=8")
    return name.strip(), value


def _check_given(name: str, text: str, *, are_many: bool) -> None:
    """Refuse a value that is not there: mostly a variable of the caller's shell that is not set."""
    if not all(part.strip() for part in text.split(",")) if are_many else not text:
        raise UsageError(
            f"--set {name}={text:.80}: {'a' if text else 'the'} value is missing",
            f"for an empty text write --set '{name}={EMPTY}'",
        )


def _values(name: str, text: str) -> tuple[str, ...]:
    """Return the values in a text: names of nodes if there is a range in it, else what commas separate."""
    if "[" not in text:
        parts = (part.strip() for part in text.split(","))
        return tuple(dict.fromkeys("" if part == EMPTY else part for part in parts))
    try:
        return tuple(dict.fromkeys(expand(text)))
    except SpecError as error:
        raise UsageError(f"values of `{name}`: {error}", error.hint) from None
