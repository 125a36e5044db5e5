"""Finds the nodes of a trial in the lab, and waits for those that are in use if the user wants that."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from fabric.controller.connection import Connection
from fabric.controller.lookup import list_nodes
from fabric.protocol.limits import RETURN_S
from fabric.protocol.messages import NodeInfo
from fabric.report.fold import folded
from fabric.trial.cells import Cell
from fabric.trial.model import Trial
from fabric.trial.nodespec import Some
from fabric.trial.resolve import Resolution, resolve
from fabric.trial.rolespec import parts_of
from fabric.trial.shortage import LabError

LOOK_NS: Final = 1_000_000_000
"""Between two looks for nodes that are waited for."""

RETURN_LOOK_NS: Final = 200_000_000
"""The same for nodes that are about to come back."""

RACES: Final = 3
"""How often nodes are looked for at least, if somebody else takes one of them first."""


LATE: Final = ("busy", "expected")
"""Refusals of a reservation after which the nodes are looked for anew."""

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
    told, grace = "", Grace(connection, wait.tell)
    while True:
        nodes = tuple(list_nodes(connection))
        try:
            found = _resolve(trial, cells, nodes, seed, picks)
            if not grace.waits_for(nodes, found.missing):
                return found, nodes
        except LabError as error:
            if not grace.waits_for(nodes, error.lacking):
                if not error.may_come or connection.now_ns() >= until_ns:
                    raise
                if str(error) != told:
                    told = str(error)
                    wait.tell(told)
        pause(connection, RETURN_LOOK_NS if grace.is_on else LOOK_NS)


class Grace:
    """Waits for nodes that have not come back since the broker's start, which says which these are.

    Args:
        connection: To the broker.
        tell: Called with what is waited for, whenever that changes.
    """

    def __init__(self, connection: Connection, tell: Callable[[str], None]) -> None:
        self.is_on = False
        self._connection = connection
        self._tell = tell
        self._told = ""
        self._until_ns: int | None = None

    def waits_for(self, nodes: Iterable[NodeInfo], wanted: Collection[str]) -> bool:
        """Say whether one of the nodes that are wanted is still to be waited for."""
        late = [info.name for info in nodes if info.expected and info.name in wanted]
        now_ns = self._connection.now_ns()
        if late and self._until_ns is None:
            self._until_ns = now_ns + 2 * round(RETURN_S * 1e9)  # a broker may start again
        self.is_on = bool(late) and self._until_ns is not None and now_ns < self._until_ns
        have = "has" if len(late) == 1 else "have"
        sentence = f"{folded(late)} {have} not come back since the broker's start"
        if self.is_on and sentence != self._told:
            self._told = sentence
            self._tell(sentence)
        return self.is_on


def await_back(connection: Connection, names: Collection[str], tell: Callable[[str], None]) -> None:
    """Wait for those of these nodes that have not come back since the broker's start."""
    grace = Grace(connection, tell)
    while grace.waits_for(list_nodes(connection), names):
        pause(connection, RETURN_LOOK_NS)


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
