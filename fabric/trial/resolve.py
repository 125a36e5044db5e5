"""PURE.  From node specs to nodes: which nodes of the lab play which role in which cell.

Nodes that are named are taken as they are.  Of ``3 of @etcd`` any three that are free will do; which ones
follows from the seed, no node is picked for two roles of a cell, and nodes that nobody has named come first.
A quorum below all lets nodes be missing that are away, in use or unknown.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fabric.errors import UsageError
from fabric.protocol.messages import NodeInfo
from fabric.report.fold import folded, natural
from fabric.trial.cells import Cell
from fabric.trial.lab import Lab
from fabric.trial.model import Trial
from fabric.trial.nodespec import MAX_NODES, Names, Part, Some, SpecError, needs_lab
from fabric.trial.picking import Wish, pick
from fabric.trial.rolespec import parts_of
from fabric.trial.shortage import LabError, shortage

Roles = Mapping[str, tuple[str, ...]]
"""For each role its nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Which nodes play which roles."""

    nodes: tuple[str, ...]
    """All of them, in the order of the roles."""

    roles: Mapping[int, Roles]
    """For each cell's number."""

    absent: Mapping[int, Mapping[str, int]]
    """For each cell's number and role how many nodes the quorum lets be missing."""

    missing: Mapping[str, str] = field(default_factory=dict)
    """Nodes that were wanted and are left out, each with the reason."""

    notes: tuple[str, ...] = ()
    """What is to be said of that, role by role."""


def needed(quorum: float, nodes: int) -> int:
    """Return how many of a role's nodes have to be there: its part rounded up, one at least."""
    # The product of 0.95 and 100 is a little over 95.
    return max(1, math.ceil(round(quorum * nodes, 6))) if nodes else 0


def asks_lab(trial: Trial, cells: Iterable[Cell]) -> bool:
    """Whether a broker has to say which nodes or addresses are meant.

    Raises:
        UsageError: If a spec is wrong in one of the cells.
    """
    return bool(trial.network) or any(
        needs_lab(parts) for wanted in _wanted_by_cell(trial, cells) for parts in wanted.parts.values()
    )


def asks_free(trial: Trial, cells: Iterable[Cell]) -> bool:
    """Whether some of several nodes are wanted, so that a broker has to say which of them are free.

    Raises:
        UsageError: If a spec is wrong in one of the cells.
    """
    return any(
        isinstance(part, Some) and part.count is not None
        for wanted in _wanted_by_cell(trial, cells)
        for parts in wanted.parts.values()
        for part in parts
    )


def resolve(
    trial: Trial, cells: Sequence[Cell], registry: Iterable[NodeInfo] | None, seed: int
) -> Resolution:
    """Return the nodes of every role in every cell.

    Args:
        trial: As read, its roles with their specs.
        cells: That are gone through.
        registry: All nodes that the broker knows; None without one: then what is named is there.
        seed: Of the run.

    Raises:
        UsageError: If a spec is wrong in one of the cells, or needs a broker and there is none.
        LabError: If the lab does not have the nodes.
    """
    solver = _Solver(trial, Lab(registry), seed)
    by_cell = _wanted_by_cell(trial, cells)
    solver.begin(by_cell)
    solved = [solver.solve(wanted) for wanted in by_cell]
    solver.check()
    numbers = [cell.number for cell in cells]
    nodes = tuple(dict.fromkeys(node for one in solved for members in one.roles.values() for node in members))
    if len(nodes) > MAX_NODES:
        raise UsageError(f"the trial has {len(nodes)} nodes, over the limit of {MAX_NODES}")
    solver.check_network(trial.network, nodes)
    return Resolution(
        nodes=nodes,
        roles={number: one.roles for number, one in zip(numbers, solved, strict=True)},
        absent={number: one.absent for number, one in zip(numbers, solved, strict=True) if one.absent},
        missing=solver.missing,
        notes=tuple(solver.notes),
    )


# --- the specs of a cell ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the roles want in a cell; equal for cells that want the same."""

    key: tuple[tuple[Part, ...], ...]
    parts: Mapping[str, tuple[Part, ...]]


def _wanted_by_cell(trial: Trial, cells: Iterable[Cell]) -> list[_Wanted]:
    known: dict[tuple[tuple[Part, ...], ...], _Wanted] = {}
    fixed: dict[str, tuple[Part, ...]] = {
        role: _parts(trial, role, {})
        for role, texts in trial.roles.items()
        if not any("$" in text for text in texts)
    }
    found = []
    for cell in cells:
        parts = {
            role: fixed[role] if role in fixed else _parts(trial, role, cell.variables)
            for role in trial.roles
        }
        key = tuple(parts.values())
        found.append(known.setdefault(key, _Wanted(key, parts)))
    return found


def _parts(trial: Trial, role: str, variables: Mapping[str, str]) -> tuple[Part, ...]:
    try:
        return parts_of(trial.roles[role], variables)
    except SpecError as error:
        where = ", ".join(f"{name}={value}" for name, value in variables.items())
        hint = error.hint or (
            "`distinct` leaves such cells out" if "twice" in str(error) and variables else ""
        )
        raise UsageError(
            f"nodes of role `{role}`{f' with {where}' if where else ''}: {error}", hint
        ) from None


# --- the nodes of a cell ------------------------------------------------------------------------------


Key = tuple[str, int]
"""A role, and the place of a part in its spec."""


@dataclass(frozen=True, slots=True)
class _Solved:
    roles: Roles
    absent: Mapping[str, int]


class _Solver:
    """Finds nodes for the roles of one cell after the other; `check` tells at the end what is not there."""

    def __init__(self, trial: Trial, lab: Lab, seed: int) -> None:
        self.missing: dict[str, str] = {}
        self.notes: dict[str, None] = {}
        self._quorum = trial.quorum
        self._addresses = trial.addresses
        self._lab = lab
        self._seed = seed
        self._named: set[str] = set()  # by name, in any cell
        self._fixed: dict[Key, tuple[str, ...]] = {}  # picked for the roles that are the same in all cells
        self._fixed_roles: set[str] = set()
        self._solved: dict[tuple[tuple[Part, ...], ...], _Solved] = {}
        self._problems: dict[str, bool] = {}  # and whether waiting could help
        self._lacking: set[str] = set()

    def begin(self, cells: Sequence[_Wanted]) -> None:
        """Pick first what is the same in all cells, so that it is the same node in all of them."""
        distinct = {wanted.key: wanted for wanted in cells}.values()
        for wanted in distinct:
            for role, parts in wanted.parts.items():
                self._named.update(name for part in parts if isinstance(part, Names) for name in part.names)
                if not self._lab.is_known and needs_lab(parts):
                    raise _needs_broker(role, parts)
        first = cells[0].parts
        self._fixed_roles = {
            role for role, parts in first.items() if all(wanted.parts[role] == parts for wanted in distinct)
        }
        self._fixed = self._pick({role: parts for role, parts in first.items() if role in self._fixed_roles})

    def solve(self, wanted: _Wanted) -> _Solved:
        """Return who plays what; of a role that lacks nodes, those that are there."""
        known = self._solved.get(wanted.key)
        if known is None:
            varying = {role: parts for role, parts in wanted.parts.items() if role not in self._fixed_roles}
            picked = self._fixed | self._pick(varying)
            roles: dict[str, tuple[str, ...]] = {}
            absent: dict[str, int] = {}
            for role, parts in wanted.parts.items():
                roles[role], lacking = self._members(role, parts, picked)
                if lacking:
                    absent[role] = lacking
            known = self._solved[wanted.key] = _Solved(roles, absent)
        return known

    def check(self) -> None:
        """Raise what was found to be missing."""
        if self._problems:
            may_come = all(self._problems.values())
            hint = self._lab.hint(self.missing, self._addresses, may_come=may_come)
            raise LabError(list(self._problems), hint, may_come=may_come, lacking=self._lacking)

    def check_network(self, network: str, nodes: Iterable[str]) -> None:
        """Raise it if a node has no address in the network that the commands are to use."""
        lacking = self._lab.without_address(nodes, network) if network else []
        if lacking:
            have = "has" if len(lacking) == 1 else "have"
            raise LabError(
                [f"{folded(lacking)} {have} no address in network `{network}`"],
                f"start the agents with --addr {network}=ADDRESS; `fabric nodes NODE` shows what there is",
            )

    def _pick(self, roles: Mapping[str, Sequence[Part]]) -> dict[Key, tuple[str, ...]]:
        """Return what is picked for each part of these roles that wants some nodes of a pool."""
        taken = {node for nodes in self._fixed.values() for node in nodes}
        wishes: list[Wish[Key]] = []
        for role, parts in roles.items():
            own = taken.union(self._whole(parts))
            for index, part in enumerate(parts):
                if isinstance(part, Some) and part.count is not None:
                    free = self._lab.free(self._lab.members(part.pool), self._seed, role)
                    able = [node for node in free if node not in own]
                    able.sort(key=self._named.__contains__)
                    wishes.append(Wish((role, index), part.count, tuple(able)))
        return {key: tuple(sorted(nodes, key=natural)) for key, nodes in pick(wishes).items()}

    def _whole(self, parts: Sequence[Part]) -> list[str]:
        """Return the nodes that a role wants by name, or because all of a pool are wanted."""
        nodes: dict[str, None] = {}
        for part in parts:
            if isinstance(part, Names):
                nodes.update(dict.fromkeys(part.names))
            elif part.count is None:
                nodes.update(dict.fromkeys(self._lab.all_of(part.pool)))
        return list(nodes)

    def _members(
        self, role: str, parts: Sequence[Part], picked: Mapping[Key, tuple[str, ...]]
    ) -> tuple[tuple[str, ...], int]:
        """Return the nodes of a role, and how many it lacks; note what that means."""
        got: list[tuple[Part, tuple[str, ...]]] = []
        for index, part in enumerate(parts):
            if isinstance(part, Some) and part.count is not None:
                got.append((part, picked[role, index]))
            else:
                got.append((part, tuple(node for node in self._whole([part]) if not self._lab.why_not(node))))
        nodes = tuple(dict.fromkeys(node for _, some in got for node in some))
        counts = [part.count for part in parts if isinstance(part, Some) and part.count is not None]
        count = len(self._whole(parts)) + sum(counts)
        if len(nodes) < count or not nodes:
            self._note(role, got, len(nodes), count)
        return nodes, count - len(nodes)

    def _note(self, role: str, got: Sequence[tuple[Part, tuple[str, ...]]], found: int, count: int) -> None:
        gone = {
            node: why for node in self._whole([part for part, _ in got]) if (why := self._lab.why_not(node))
        }
        self.missing |= gone
        sentence = f"role {role}: {shortage(self._lab, got)}"
        least = needed(self._quorum, count)
        if found and found >= least:
            self.notes[f"{sentence}; going on with {found} of {count} nodes"] = None
            return
        if least < count:
            sentence += f" ({found} of its {count} nodes are there, the quorum wants {least})"
        pools = [node for part, _ in got if isinstance(part, Some) for node in self._lab.members(part.pool)]
        self._problems[sentence] = self._lab.could_come([*gone, *pools])
        self._lacking.update(gone, pools)


def _needs_broker(role: str, parts: Sequence[Part]) -> UsageError:
    text = next(part.text for part in parts if isinstance(part, Some) and needs_lab([part]))
    return UsageError(
        f"role {role}: only a broker can tell which nodes `{text}` are", f"name them: --nodes {role}=lab[1-3]"
    )
