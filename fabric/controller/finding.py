"""Finds the nodes of a trial in the lab, and waits for those that are in use if the user wants that."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from fabric.controller.connection import Connection
from fabric.controller.lookup import list_nodes
from fabric.protocol.messages import NodeInfo
from fabric.trial.cells import Cell
from fabric.trial.model import Trial
from fabric.trial.nodespec import Some
from fabric.trial.resolve import Resolution, resolve
from fabric.trial.rolespec import parts_of
from fabric.trial.shortage import LabError

LOOK_NS: Final = 1_000_000_000
"""Between two looks for nodes that are waited for."""

RACES: Final = 3
"""How often nodes are looked for at least, if somebody else takes one of them first."""


NO_PICKS: Final[Mapping[str, tuple[str, ...]]] = {}


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait for nodes that others use."""

    limit_s: float = 0.0
    tell: Callable[[str], None] = lambda _: None
    """Is called with what is waited for, whenever that changes."""


def races(connection: Connection, wait: Wait) -> Iterator[Wait]:
    """Yield what is left of a wait, again and again: leave the loop once the nodes have been reserved.

    Between the look for nodes and their reservation somebody else may take one of them; who waits may well
    meet others that wait for the same.
    """
    until_ns = connection.now_ns() + round(wait.limit_s * 1e9)
    for number in count(1):
        left_ns = max(0, until_ns - connection.now_ns())
        if number > RACES and not left_ns:
            return
        yield replace(wait, limit_s=left_ns / 1e9)


def find_nodes(
    connection: Connection,
    trial: Trial,
    cells: Sequence[Cell],
    seed: int,
    wait: Wait,
    *,
    picks: Mapping[str, tuple[str, ...]] = NO_PICKS,
) -> tuple[Resolution, tuple[NodeInfo, ...]]:
    """Return the nodes of a trial, and all that the broker knows.

    Args:
        connection: To the broker.
        trial: As read.
        cells: That are gone through.
        seed: Of the run.
        wait: How long to wait for nodes that others use.
        picks: Nodes by role that are to be taken again, where any of several will do.

    Raises:
        LabError: If the lab does not have them, or not in time.
        UsageError: If a spec is wrong.
    """
    until_ns = connection.now_ns() + round(wait.limit_s * 1e9)
    told = ""
    while True:
        nodes = tuple(list_nodes(connection))
        try:
            return _resolve(trial, cells, nodes, seed, picks), nodes
        except LabError as error:
            if not error.may_come or connection.now_ns() >= until_ns:
                raise
            if str(error) != told:
                told = str(error)
                wait.tell(told)
        pause(connection, LOOK_NS)


def _resolve(
    trial: Trial,
    cells: Sequence[Cell],
    nodes: Sequence[NodeInfo],
    seed: int,
    picks: Mapping[str, tuple[str, ...]],
) -> Resolution:
    """Return the nodes of a trial: those that were picked before, or others if these are not to be had."""
    again = {role: picks[role] for role in _picked(trial) if role in picks}
    if not again:
        return resolve(trial, cells, nodes, seed)
    try:
        return resolve(replace(trial, roles={**trial.roles, **again}), cells, nodes, seed)
    except LabError as error:
        found = resolve(trial, cells, nodes, seed)
        return replace(found, notes=(*found.notes, f"nodes are picked anew: {error}"))


def _picked(trial: Trial) -> Iterable[str]:
    """Return the roles of which any of several nodes will do."""
    for role, texts in trial.roles.items():
        parts = [] if any("$" in text for text in texts) else parts_of(texts, {})
        if any(isinstance(part, Some) and part.count is not None for part in parts):
            yield role


def pause(connection: Connection, duration_ns: int) -> None:
    """Keep the connection alive for a while."""
    until_ns = connection.now_ns() + duration_ns
    while connection.turn(until_ns) < until_ns:
        pass
