"""PURE.  The rows of the live view: a node each while there is room, else those in one state together."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fabric.report.board import Board, NodeState, PhaseState, State
from fabric.report.fold import group
from fabric.report.quantities import clock

_RANK: Final[dict[State, int]] = {"failed": 0, "running": 1, "waiting": 2, "": 3, "done": 4}
"""What is told first where not all can be told."""

_States = tuple[State, ...]
"""Of a node in each phase."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What nodes do in one phase."""

    text: str
    state: State


@dataclass(frozen=True, slots=True)
class Row:
    """Nodes, and what they do."""

    names: tuple[str, ...]
    cells: tuple[Cell, ...]  # one for each phase
    bytes_per_s: float
    lines_per_s: float
    last: bytes
    last_node: str  # who said that, if the row has several


def rows(board: Board, now_ns: int, limit: int) -> list[Row]:
    """Return the rows, `limit` at most; what is behind the last one of them is left out.

    They are folded as little as possible: by what their nodes do in each phase and in which step, then by
    what they do in each phase, then by the worst of that.
    """
    phases = list(board.phases.values())
    states = {name: tuple(board.state(node, one) for one in phases) for name, node in board.nodes.items()}
    t_ns = board.t_ns(now_ns)
    for key in _keys(states):
        groups = [[board.nodes[name] for name in names] for names, _ in group(board.nodes, key)]
        if len(groups) <= limit:
            break
    else:
        groups.sort(key=lambda nodes: min(_worst(states[node.name]) for node in nodes))
    return [_row(nodes, phases, states, t_ns) for nodes in groups[:limit]]


def _keys(states: Mapping[str, _States]) -> Sequence[Callable[[NodeState], Hashable]]:
    return (
        lambda node: node.name,
        lambda node: (states[node.name], frozenset(step for step, _ in node.running)),
        lambda node: states[node.name],
        lambda node: _worst(states[node.name]),
    )


def _worst(states: _States) -> int:
    return min((_RANK[state] for state in states), default=0)


def _row(
    nodes: Sequence[NodeState], phases: Sequence[PhaseState], states: Mapping[str, _States], t_ns: int
) -> Row:
    newest = max(nodes, key=lambda node: node.last_ns)
    cells = []
    for place, phase in enumerate(phases):
        state = min((states[node.name][place] for node in nodes), key=_RANK.__getitem__)
        text = _running(nodes, phase.name, t_ns) if state == "running" else state
        cells.append(Cell(text, state))
    return Row(
        names=tuple(node.name for node in nodes),
        cells=tuple(cells),
        bytes_per_s=sum(node.output_bytes.per_s for node in nodes),
        lines_per_s=sum(node.output_lines.per_s for node in nodes),
        last=newest.last,
        last_node=newest.name if len(nodes) > 1 and newest.last else "",
    )


def _running(nodes: Sequence[NodeState], phase: str, t_ns: int) -> str:
    """Return which step of a phase runs longest, and since when; and how many others run."""
    since: dict[str, int] = {}
    for node in nodes:
        for step in node.running.values():
            if step.phase == phase:
                since[step.label] = min(step.since_ns, since.get(step.label, step.since_ns))
    first = min(since, key=since.__getitem__)
    more = f"+{len(since) - 1}" if len(since) > 1 else ""
    return f"{first}{more} {clock(t_ns - since[first])}"
