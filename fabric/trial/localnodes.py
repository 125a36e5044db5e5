"""PURE.  The nodes that a private fabric needs to be for a trial."""

from collections.abc import Iterable, Iterator
from typing import Final

from fabric.trial.cells import Cell
from fabric.trial.model import Trial
from fabric.trial.nodespec import Both, Label, Names, Part, Pool, Some, SpecError, Term
from fabric.trial.rolespec import parts_of

ALL_OF: Final = 2
"""How many nodes bear a label of which a trial wants all: more than one, so that it shows what it does."""


def local_nodes(trial: Trial, cells: Iterable[Cell]) -> dict[str, tuple[str, ...]]:
    """Return nodes that a trial can run on, each with its labels.

    Nodes that are named get their names.  For ``3 of @etcd`` there are etcd-1, etcd-2 and etcd-3, with the
    label.
    """
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        made: dict[str, int] = {}
        for part in _parts(trial, cell):
            labels = [] if isinstance(part, Names) else _labels(part.pool)
            for name in part.names if isinstance(part, Names) else _nodes_of(part, made):
                found.setdefault(name, {}).update(dict.fromkeys(labels))
    return {name: tuple(labels) for name, labels in found.items()}


def _parts(trial: Trial, cell: Cell) -> Iterator[Part]:
    for texts in trial.roles.values():
        try:
            yield from parts_of(texts, cell.variables)
        except SpecError:
            continue  # it is told when the nodes are looked for


def _nodes_of(part: Some, made: dict[str, int]) -> list[str]:
    """Return the nodes for a part that wants some: named ones if its pool is of names, else new ones."""
    named = [name for term in _terms(part.pool) if isinstance(term, Names) for name in term.names]
    if named:
        return named
    word = next(iter(_labels(part.pool)), "node")
    first = made.get(word, 0) + 1
    made[word] = first + (part.count or ALL_OF) - 1
    return [f"{word}-{number}" for number in range(first, made[word] + 1)]


def _labels(pool: Pool) -> list[str]:
    return [term.label for term in _terms(pool) if isinstance(term, Label)]


def _terms(pool: Pool) -> tuple[Term, ...]:
    return pool.terms if isinstance(pool, Both) else (pool,)
