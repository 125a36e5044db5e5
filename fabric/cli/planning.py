"""``fabric-run --plan``: shows what a trial would do, and does nothing."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fabric.cli.options import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fabric.controller.plan import RunPlan
    from fabric.protocol.messages import NodeInfo
    from fabric.trial.cells import Cell
    from fabric.trial.model import Trial

F = TypeVar("F", bound=Callable[..., Any])

PIECE_CHARS: Final = 1 << 16
"""Written at once: a plan may have a million lines."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What of a trial is to be planned."""

    phases: tuple[str, ...]  # with the reset
    repeats: int | None
    only: tuple[str, ...]
    broker: str | None
    is_local: bool
    patience_s: float


def plan_options(function: F) -> F:
    """Add ``--plan`` and ``--json``."""
    function = option(
        "--json", "as_json", is_flag=True, help="With --plan: every step on every node as JSON."
    )(function)
    return option("--plan", is_flag=True, help="Only show what would be done: every command on every node.")(
        function
    )


def show_plan(trial: "Trial", wishes: Wishes, *, as_json: bool) -> None:
    """Print the plan of a trial.

    Raises:
        FabricError: If it cannot be done, or a broker is needed and cannot be asked.
    """
    from fabric.report.plan_json import plan_json
    from fabric.report.plan_text import plan_text
    from fabric.report.style import printable

    plan, knows_addresses = _plan(trial, wishes)
    if as_json:
        _write(plan_json(plan))
    else:
        lines = plan_text(plan, knows_addresses=knows_addresses)
        _write(f"{printable(line)}\n" for line in lines)


def _plan(trial: "Trial", wishes: Wishes) -> "tuple[RunPlan, bool]":
    """Return the plan, and whether a broker has told the addresses of its nodes."""
    from fabric.controller.plan import make_plan
    from fabric.controller.policies import policy_notes
    from fabric.trial.cells import cells_of
    from fabric.trial.resolve import resolve

    cells = cells_of(trial, wishes.only)
    registry = _made_up(trial, cells) if wishes.is_local else _registry(trial, cells, wishes)
    seed = trial.seed or 0
    plan = make_plan(
        trial,
        cells,
        resolve(trial, cells, registry, seed),
        {info.name: info.addresses for info in registry or ()},
        phases=wishes.phases,
        repeats=wishes.repeats or trial.repeat,
        seed=seed,
    )
    plan.notes += policy_notes(plan, {info.name: info.facts for info in registry or ()})
    return plan, registry is not None


def _made_up(trial: "Trial", cells: "Sequence[Cell]") -> "list[NodeInfo]":
    """Return the nodes that a private fabric would have."""
    from fabric.protocol.messages import NodeInfo
    from fabric.trial.localnodes import local_nodes

    addresses = {"": "127.0.0.1", trial.network: "127.0.0.1"}
    return [
        NodeInfo(
            name=name,
            state="free",
            incarnation=1,
            labels=labels,
            addresses=addresses,
            facts={},
            run="",
            heard_ns=0,
        )
        for name, labels in local_nodes(trial, cells).items()
    ]


def _registry(trial: "Trial", cells: "Sequence[Cell]", wishes: Wishes) -> "tuple[NodeInfo, ...] | None":
    """Ask the broker for its nodes if one is named, or if the trial cannot be told without."""
    from fabric.trial.resolve import asks_lab

    if not (wishes.broker or asks_lab(trial, cells)):
        return None
    from fabric.cli.durations import waiting
    from fabric.controller.connection import Connection
    from fabric.controller.finding import find_nodes
    from fabric.keys import find_operator_access

    connection = Connection(
        find_operator_access(wishes.broker), program="fabric-run", patience_s=wishes.patience_s
    )
    try:
        connection.wait_up()
        return find_nodes(connection, trial, cells, trial.seed or 0, waiting(None))[1]
    finally:
        connection.close()


def _write(pieces: Iterable[str]) -> None:
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_CHARS:
            sys.stdout.write("".join(waiting))
            waiting, size = [], 0
    sys.stdout.write("".join(waiting))
    sys.stdout.flush()
