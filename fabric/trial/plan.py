"""From a trial to what every node gets to do: steps with every name and address filled in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fabric.errors import UsageError
from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.trial.model import Trial, TrialStep
from fabric.trial.nodespec import MAX_NODES, SpecError, expand_all
from fabric.trial.problems import did_you_mean
from fabric.trial.shellnames import expand
from fabric.trial.vocabulary import PHASES

NodeAddresses = Mapping[str, str]
"""A node's addresses by network; "" is the default one."""

LOCAL_RESET: Final = 0
"""The repeat of the reset that an agent does by itself when a lease has ended (see `StepId`)."""


def node_names(trial: Trial) -> tuple[str, ...]:
    """Return all nodes of a trial, in the order in which it first names them."""
    return tuple(dict.fromkeys(node for nodes in trial.roles.values() for node in nodes))


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
            roles[role] = expand_all(part.strip() for part in spec.split(","))
        except SpecError as error:
            raise UsageError(f"nodes of role `{role}`: {error}", error.hint) from None
    changed = replace(trial, roles=roles)
    if len(node_names(changed)) > MAX_NODES:
        raise UsageError(f"{len(node_names(changed))} nodes are over the limit of {MAX_NODES}")
    return changed


def select_phases(names: Iterable[str]) -> tuple[str, ...]:
    """Return the phases to go through, in their order; `reset` is always one of them.

    Raises:
        UsageError: If one of the names is no phase.
    """
    wanted = set(names)
    for name in sorted(wanted.difference(PHASES)):
        raise UsageError(
            f"there is no phase `{name}`", did_you_mean(name, PHASES, f"phases: {', '.join(PHASES)}")
        )
    return tuple(phase for phase in PHASES if phase in wanted or phase == PHASES[-1])


def phase_steps(
    trial: Trial, repeat: int, phase: str, nodes: Mapping[str, NodeAddresses]
) -> dict[str, tuple[Step, ...]]:
    """Return the steps of a phase for every node of the trial, a role's in their order.

    Args:
        trial: The trial.
        repeat: From 1; LOCAL_RESET for the agents' own reset.
        phase: Which one.
        nodes: The addresses of each node; of one that is missing, its name is its address.
    """
    shared = _role_variables(trial, nodes)
    found: dict[str, list[Step]] = {node: [] for node in node_names(trial)}
    for step in trial.steps:
        if step.phase != phase:
            continue
        for index, node in enumerate(trial.roles[step.role]):
            own = _node_variables(node, nodes) | _place_variables(step.role, index, repeat)
            found[node].append(_resolve(step, repeat, shared | own))
    return {node: tuple(steps) for node, steps in found.items()}


def phase_ends(
    trial: Trial, repeat: int, phase: str, selected: Sequence[str] = PHASES
) -> dict[str, tuple[str, ...]]:
    """Return, for every node, the ids of the spawned steps that end when a phase begins.

    A step whose `until` is not among the ``selected`` phases ends at the reset, which always comes.
    """
    ends: dict[str, list[str]] = {node: [] for node in node_names(trial)}
    for step in trial.steps:
        if step.phase in selected and _end(step, selected) == phase:
            for node in trial.roles[step.role]:
                ends[node].append(str(StepId(repeat, step.phase, step.role, step.label)))
    return {node: tuple(steps) for node, steps in ends.items()}


def reset_steps(trial: Trial, nodes: Mapping[str, NodeAddresses]) -> dict[str, tuple[Step, ...]]:
    """Return the reset that every node does by itself if a lease ends."""
    return phase_steps(trial, LOCAL_RESET, PHASES[-1], nodes)


def plan_document(
    trial: Trial, repeats: int, phases: Sequence[str], nodes: Mapping[str, NodeAddresses]
) -> dict[str, Any]:
    """Return what plan.json holds: every command, node and repeat, in plain JSON values.

    A step's environment on a node is ``variables``, then ``me`` (the node's address), ``my_name``,
    ``my_role``, ``my_index`` (the node's place in its role) and ``repeat``, then the step's own ``env``, in
    which a `$name` stands for one of these.  So the plan grows with the nodes plus the steps, not with their
    product: it has to fit into a message.
    """
    return {
        "format": 1,
        "trial": {
            "name": trial.name,
            "file": trial.path,
            "timeout_s": trial.timeout_s,
            "max_skew_s": trial.max_skew_s,
            "lead_s": trial.lead_s,
            "on_lost": trial.on_lost,
        },
        "repeats": repeats,
        "phases": list(phases),
        "roles": {role: list(members) for role, members in trial.roles.items()},
        "variables": _role_variables(trial, nodes),
        "nodes": {node: {"address": _address(node, nodes)} for node in node_names(trial)},
        "steps": [_describe(step, phases) for step in trial.steps if step.phase in phases],
    }


def _end(step: TrialStep, selected: Sequence[str]) -> str | None:
    return step.until if step.until is None or step.until in selected else PHASES[-1]


def _describe(step: TrialStep, phases: Sequence[str]) -> dict[str, Any]:
    return {
        "phase": step.phase,
        "role": step.role,
        "step": step.label,
        "line": step.line,
        "verb": step.verb,
        "argv": list(step.argv),
        "env": {"PYTHONUNBUFFERED": "1", **step.env},
        "dir": step.dir,
        "timeout_s": step.timeout_s,
        "at_s": step.at_s,
        "until": _end(step, phases),
        "ok": list(step.ok),
        "on_fail": step.on_fail,
        "when": step.when,
        "signal": step.signal,
        "grace_s": step.grace_s,
    }


# --- variables ----------------------------------------------------------------------------------------


def _address(node: str, nodes: Mapping[str, NodeAddresses]) -> str:
    return nodes.get(node, {}).get("") or node


def _role_variables(trial: Trial, nodes: Mapping[str, NodeAddresses]) -> dict[str, str]:
    variables = {}
    for role, members in trial.roles.items():
        addresses = [_address(node, nodes) for node in members]
        variables[role] = addresses[0]
        variables[f"{role}_all"] = " ".join(addresses)
    return variables


def _node_variables(node: str, nodes: Mapping[str, NodeAddresses]) -> dict[str, str]:
    return {"me": _address(node, nodes), "my_name": node}


def _place_variables(role: str, index: int, repeat: int) -> dict[str, str]:
    return {"my_role": role, "my_index": str(index), "repeat": str(repeat)}


def _resolve(step: TrialStep, repeat: int, variables: Mapping[str, str]) -> Step:
    own = {name: expand(value, variables) for name, value in step.env.items()}
    return Step(
        step=str(StepId(repeat, step.phase, step.role, step.label)),
        verb=step.verb,
        argv=step.argv,
        # Python programs buffer by the block when they write to a pipe; nobody would see them live.
        env={"PYTHONUNBUFFERED": "1", **variables, **own},
        dir=None if step.dir is None else expand(step.dir, variables),
        timeout_s=step.timeout_s,
        at_s=step.at_s,
        ok=step.ok,
        on_fail=step.on_fail,
        when=step.when,
        signal=step.signal,
        grace_s=step.grace_s,
        paths=tuple(expand(pattern, variables) for pattern in step.fetch),
    )
