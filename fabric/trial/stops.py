"""Which spawned step a `stop` ends."""

from collections.abc import Mapping, Sequence

from fabric.trial.layout import RawStep
from fabric.trial.modifiers import until_of
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.settings import Order
from fabric.trial.spawned import find_spawned


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
