"""PURE.  Checks before anything is started that the messages of a run are not too large to be sent."""

from collections.abc import Iterator
from typing import Final

from fabric.controller.plan import RunPlan
from fabric.controller.puts import with_files
from fabric.errors import DecodeError, UsageError
from fabric.protocol.codec import encode_readable
from fabric.protocol.messages import Prepare, Step
from fabric.protocol.shared_env import factor, wanted_secrets
from fabric.trial.cells import Cell
from fabric.trial.drafts import drafts

MAX_LOOKED_AT: Final = 50
"""So many cells with nodes of their own are looked at: the others are like them."""


def check_sizes(plan: RunPlan) -> None:
    """Check the part of each phase that a node gets at once.

    Nodes that play the same roles get the same, but for their names; so one of them is looked at.

    Raises:
        UsageError: If it does not fit into a message.
    """
    distinct = {id(plan.roles[cell.number]): cell for cell in plan.cells}
    for cell in list(distinct.values())[:MAX_LOOKED_AT]:
        for node, phase, steps in _parts(plan, cell):
            env, own = factor(with_files({node: steps}, plan.puts)[node])
            message = Prepare(
                run="r" * 64,
                node=node,
                phase=phase,
                end=(),
                failed=False,
                stopped=False,
                env=env,
                steps=own,
                secrets=wanted_secrets(own, plan.secrets),
            )
            try:
                encode_readable(message)
            except DecodeError as error:
                raise UsageError(
                    f"what {node} is to do in phase {phase} does not fit into a message: {error}",
                    "do it in more phases, with fewer or shorter steps, or on fewer nodes",
                ) from None


def _parts(plan: RunPlan, cell: Cell) -> Iterator[tuple[str, str, tuple[Step, ...]]]:
    """Yield a node, a phase and its steps, for each set of roles that some node plays."""
    made = list(drafts(plan.trial, cell, plan.roles[cell.number], plan.addresses))
    for phase in plan.phases:
        by_node: dict[str, list[int]] = {}
        for number, draft in enumerate(made):
            for node in draft.nodes if draft.source.phase == phase else ():
                by_node.setdefault(node, []).append(number)
        for numbers, node in {tuple(numbers): node for node, numbers in by_node.items()}.items():
            yield node, phase, tuple(made[number].step for number in numbers)
