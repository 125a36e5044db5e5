"""Which spawned step a `stop` ends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from fabric.trial.layout import RawStep
from fabric.trial.modifiers import until_of
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.settings import Order


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


def check_stops(
    steps: Sequence[RawStep], nodes: Mapping[str, tuple[str, ...]], order: Order, problems: Problems
) -> list[RawStep]:
    """Return the steps that a stop ends, after noting the stops that would find nothing.

    ``nodes`` are those of the roles that name them; of the others it is found out when they are known.
    """
    spawned = [step for step in steps if "spawn" in step.table]
    stopped = []
    for stop in steps:
        name = stop.table.get("stop")
        if not isinstance(name, str):
            continue
        target = find_spawned(steps, spawned, stop, name)
        if target is None:
            problem, hint = _about_no_target(name, spawned)
        else:
            problem, hint = _about_target(stop, target, nodes, order)
            stopped.append(target)
        if problem:
            problems.at_value((*stop.where, "stop"), "E025", problem, hint)
    return stopped


def _about_no_target(name: str, spawned: Sequence[RawStep]) -> tuple[str, str]:
    names = list(dict.fromkeys(step.label for step in spawned))
    known = f"spawned: {', '.join(names)}" if names else "a stop ends a step that was spawned before"
    if name in names:
        return f"`{name}` is spawned later, or by another role in this phase", known
    return f"`{name}` is no step that is spawned", did_you_mean(name, names, known)


def _about_target(
    stop: RawStep, target: RawStep, nodes: Mapping[str, tuple[str, ...]], order: Order
) -> tuple[str, str]:
    name, until = target.label, until_of(target.phase, target.table.get("until"), order)
    if target.phase != stop.phase and order.phases.index(until) <= order.phases.index(stop.phase):
        return f"`{name}` has ended when `{until}` begins", "give it a later `until`"
    known = nodes.keys() >= {stop.role, target.role}
    if known and not set(nodes[stop.role]) <= set(nodes[target.role]):
        return (
            f"`{name}` runs on the nodes of role `{target.role}`, this step on those of `{stop.role}`",
            f"stop it in a step of role `{target.role}`",
        )
    if target.phase not in order.cycle and stop.phase in order.cycle:
        return (
            f"`{name}` is spawned once per cell, before the `cycle`: the second repeat would not find it",
            "stop it after the cycle, or spawn it within",
        )
    return "", ""
