"""The spawned step that a `stop` ends.

A module of its own: running a trial needs it, and not what reading one needs (pydantic alone takes 0.2 s).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class _Placed(Protocol):
    @property
    def phase(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def label(self) -> str: ...


S = TypeVar("S", bound=_Placed)


def find_spawned(steps: Sequence[S], spawned: Iterable[S], stop: S, name: str) -> S | None:
    """Return the step that a stop ends, or None if no step of that name is spawned before it.

    It is the last one of that name before the stop: earlier in the same role, or in an earlier phase; there
    the stop's own role goes first.

    Args:
        steps: All of a trial, phase by phase, a role's in their order.
        spawned: Those of them that are spawned.
        stop: The stop, one of ``steps``.
        name: What it stops.
    """
    place = {id(step): number for number, step in enumerate(steps)}
    before = [
        step
        for step in spawned
        if step.label == name
        and place[id(step)] < place[id(stop)]
        and (step.phase != stop.phase or step.role == stop.role)
    ]
    return max(before, key=lambda step: (step.role == stop.role, place[id(step)]), default=None)
