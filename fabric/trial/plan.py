"""PURE.  From a trial to what every node gets to do: steps with every name and address filled in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from fabric.errors import UsageError
from fabric.protocol.messages import ReadyWhen, Step
from fabric.protocol.names import StepId
from fabric.trial.cells import Cell, Repeat
from fabric.trial.model import ReadyCondition, Trial, TrialStep
from fabric.trial.nodespec import SpecError
from fabric.trial.problems import did_you_mean
from fabric.trial.resolve import Roles
from fabric.trial.rolespec import check_spec
from fabric.trial.secrets import secret_variables
from fabric.trial.shellnames import expand
from fabric.trial.spawned import find_spawned
from fabric.trial.variables import (
    NodeAddresses,
    environment,
    own_variables,
    repeat_variable,
    shared_variables,
)
from fabric.trial.vocabulary import PHASES

LOCAL_RESET: Final = 0
"""The repeat of the reset that an agent does by itself when a lease has ended (see `StepId`)."""


def override_nodes(trial: Trial, specs: Mapping[str, str]) -> Trial:
    """Return the trial with other nodes: ``{"client": "lab[1-4],lab9"}`` by role.

    Raises:
        UsageError: If there is no such role, or the spec is wrong.
    """
    roles = dict(trial.roles)
    for role, spec in specs.items():
        if role not in roles:
            hint = did_you_mean(role, roles, f"roles: {', '.join(roles)}")
            raise UsageError(f"no role `{role}` in {trial.path}", hint)
        try:
            check_spec(spec, trial.matrix)
        except SpecError as error:
            raise UsageError(f"nodes of role `{role}`: {error}", error.hint) from None
        roles[role] = (spec,)
    return replace(trial, roles=roles)


def select_phases(names: Iterable[str], phases: Sequence[str] = PHASES) -> tuple[str, ...]:
    """Return the phases to go through, in their order; the reset, the last one, is always among them.

    Raises:
        UsageError: If one of the names is no phase.
    """
    wanted = set(names)
    for name in sorted(wanted.difference(phases)):
        raise UsageError(
            f"there is no phase `{name}`", did_you_mean(name, phases, f"phases: {', '.join(phases)}")
        )
    return tuple(phase for phase in phases if phase in wanted or phase == phases[-1])


def phase_steps(
    trial: Trial, repeat: Repeat, phase: str, roles: Roles, addresses: Mapping[str, NodeAddresses]
) -> dict[str, tuple[Step, ...]]:
    """Return the steps of a phase for every node of a cell, a role's in their order.

    What a put takes along is not in them: that is known where the files are.

    Args:
        trial: The trial.
        repeat: Which one; with number LOCAL_RESET for the agents' own reset.
        phase: Which one.
        roles: The nodes of each role in the cell.
        addresses: Of each node; of one that is missing, its name is its address.
    """
    shared = shared_variables(trial, repeat.cell, roles, addresses) | repeat_variable(repeat)
    found: dict[str, list[Step]] = {node: [] for nodes in roles.values() for node in nodes}
    for step in trial.steps:
        if step.phase != phase:
            continue
        nodes, target = roles[step.role], _target(trial, step, repeat)
        for index, node in enumerate(nodes):
            variables = shared | own_variables(trial, step, node, index, addresses)
            at_s = (step.at_s or 0.0) + step.spread_s * index / len(nodes) if step.spread_s else step.at_s
            found[node].append(resolve_step(trial, step, repeat, variables, at_s=at_s, target=target))
    return {node: tuple(steps) for node, steps in found.items()}


def reset_steps(
    trial: Trial, cell: Cell, roles: Roles, addresses: Mapping[str, NodeAddresses]
) -> dict[str, tuple[Step, ...]]:
    """Return the reset that every node of a cell does by itself if a lease ends."""
    alone = Repeat(cell, LOCAL_RESET, is_warmup=False, phases=trial.phases[-1:])
    return phase_steps(trial, alone, trial.phases[-1], roles, addresses)


def ends_with(trial: Trial, step: TrialStep, phases: Sequence[str]) -> tuple[str, ...]:
    """Return the phases at whose beginning a spawned step ends, whichever comes first.

    It is the one of its `until`, or the reset if that is not done.  A step of the cycle that is to live
    beyond it ends before the next pass through the cycle, which starts it anew.

    Args:
        trial: The trial.
        step: Spawned.
        phases: That are done, in order, the reset last.
    """
    until = step.until if step.until in phases and step.until else phases[-1]
    if step.phase in trial.cycle and until not in trial.cycle:
        return (until, next(phase for phase in phases if phase in trial.cycle))
    return (until,)


def check_stops(trial: Trial, roles_of_cells: Iterable[Roles]) -> None:
    """Check that what is to be stopped is spawned on the same node.

    Raises:
        UsageError: If it is not.
    """
    stops = [(step, _stopped(trial, step)) for step in trial.steps if step.stop]
    for roles in {id(roles): roles for roles in roles_of_cells}.values() if stops else ():
        for step, spawned in stops:
            there = () if spawned is None else roles[spawned.role]
            for node in roles[step.role]:
                if node not in there:
                    raise UsageError(
                        f"{trial.describe(step, node)}: no step `{step.stop}` is spawned on {node} before",
                        "" if spawned is None else f"stop it in a step of role `{spawned.role}`",
                    )


def _stopped(trial: Trial, step: TrialStep) -> TrialStep | None:
    return find_spawned(trial.steps, [it for it in trial.steps if it.verb == "spawn"], step, step.stop)


def _target(trial: Trial, step: TrialStep, repeat: Repeat) -> str:
    """Return the id of what a stop means, "" if it is none."""
    spawned = _stopped(trial, step) if step.stop else None
    if spawned is None:
        return ""
    is_before_cycle = trial.phases.index(spawned.phase) < trial.phases.index(trial.cycle[0])
    number = min(repeat.number, 1) if is_before_cycle else repeat.number
    return str(StepId(number, spawned.phase, spawned.role, spawned.label, repeat.cell.number))


def resolve_step(
    trial: Trial,
    step: TrialStep,
    repeat: Repeat,
    variables: Mapping[str, str],
    *,
    at_s: float | None,
    target: str = "",
) -> Step:
    """Return a step for the node whose variables these are."""
    env = environment(trial, step, variables)
    brought = dict.fromkeys(expand(metric.file, env) for metric in step.metrics if metric.file)
    return Step(
        step=str(StepId(repeat.number, step.phase, step.role, step.label, repeat.cell.number)),
        verb=step.verb,
        argv=step.argv,
        env=env,
        dir=None if step.dir is None else expand(step.dir, env),
        timeout_s=step.timeout_s,
        at_s=at_s,
        ok=step.ok,
        on_fail=step.on_fail,
        when=step.when,
        signal=step.signal,
        grace_s=step.grace_s,
        attempts=step.attempts,
        retry_on=step.retry_on,
        may_exit=step.may_exit,
        ready=None if step.ready is None else _ready(step.ready, env),
        user=step.user,
        pty=step.pty,
        stdin=None if step.stdin is None else step.stdin.encode(),
        stdin_file=expand(step.stdin_file, env),
        limits=dict(step.limits),
        output=step.output,
        output_limit_bytes=trial.output_limit_bytes,
        paths=tuple(expand(pattern, env) for pattern in step.fetch),
        target=target,
        wait_s=step.wait_s,
        bring=tuple(brought),
        secrets=secret_variables(trial, step),
    )


def _ready(ready: ReadyCondition, env: Mapping[str, str]) -> ReadyWhen:
    return ReadyWhen(
        port=ready.port, log=ready.log, cmd=ready.cmd, file=expand(ready.file, env), within_s=ready.within_s
    )
