"""PURE.  The steps of a cell for all nodes of a role at once: what differs between the nodes is a mark.

A plan of a thousand cells on a hundred nodes has a hundred thousand of each step; most of their text is the
same, so it is made once and filled in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fabric.protocol.messages import Step
from fabric.trial.cells import Cell, Repeat
from fabric.trial.model import Trial, TrialStep
from fabric.trial.plan import resolve_step
from fabric.trial.resolve import Roles
from fabric.trial.variables import NodeAddresses, address, shared_variables

_MARKS: Final = ("me", "my_name", "my_index", "at")
"""What differs between the nodes of a role."""

AT: Final = "\0at\0"
"""Stands where `at_s` does."""

_PLAIN: Final = re.compile(r"\0(me|my_name|my_index|at)\0")
_IN_JSON: Final = re.compile(r'"\\u0000(at)\\u0000"|\\u0000(me|my_name|my_index)\\u0000')

Values = tuple[str, str, str, str]
"""Of a node: its address, name, place in the role, and when the step starts."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A step for all nodes of its role.  No text of a trial has a NUL, so marks are not mistaken."""

    source: TrialStep
    nodes: tuple[str, ...]
    step: Step  # with marks; `$repeat` stands for itself


class Form:
    """A text with marks."""

    def __init__(self, text: str, *, is_json: bool = False) -> None:
        parts = (_IN_JSON if is_json else _PLAIN).split(text)
        self._parts = [part if part not in _MARKS else _MARKS.index(part) for part in parts if part]
        self.is_same = not any(isinstance(part, int) for part in self._parts)
        """Whether it has no mark, so that it is the same for all nodes."""

    def fill(self, values: Values) -> str:
        """Return the text of a node."""
        return "".join([part if isinstance(part, str) else values[part] for part in self._parts])


def values_of(
    step: TrialStep, nodes: Sequence[str], addresses: Mapping[str, NodeAddresses], network: str
) -> Iterator[Values]:
    """Yield what to fill in for each node of a step."""
    at_s = "null" if step.at_s is None else str(step.at_s)
    for index, node in enumerate(nodes):
        if step.spread_s:
            at_s = str((step.at_s or 0.0) + step.spread_s * index / len(nodes))
        yield address(node, addresses, network), node, str(index), at_s


def drafts(trial: Trial, cell: Cell, roles: Roles, addresses: Mapping[str, NodeAddresses]) -> Iterator[Draft]:
    """Yield the steps of a cell, phase by phase."""
    marks = {name: f"\0{name}\0" for name in _MARKS[:3]}
    shared = shared_variables(trial, cell, roles, addresses) | marks | {"repeat": "$repeat"}
    repeat = Repeat(cell, 1, is_warmup=False, phases=trial.phases)
    for step in trial.steps:
        nodes = roles[step.role]
        if nodes:
            made = resolve_step(trial, step, repeat, shared | {"my_role": step.role}, at_s=step.at_s)
            yield Draft(step, nodes, made)
