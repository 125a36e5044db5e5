"""PURE.  What nodes have told of their policies, held against a plan before anything is started.

It is a first look: where paths lead is known on the node only, which refuses what it must before the phase.
"""

from collections.abc import Iterator, Mapping

from fabric.controller.plan import RunPlan
from fabric.report.fold import folded
from fabric.trial.model import TrialStep


def policy_notes(plan: RunPlan, facts: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return what nodes will refuse, a sentence for each step and reason.

    Args:
        plan: What is to be done.
        facts: Of the nodes that are known.
    """
    strict = {node: said for node, said in facts.items() if any(name.startswith("policy_") for name in said)}
    found: dict[tuple[str, str], dict[str, None]] = {}
    for step in plan.trial.steps if strict else ():
        nodes = dict.fromkeys(node for roles in plan.roles.values() for node in roles[step.role])
        for node in nodes if step.phase in plan.phases else ():
            for why in _whys(step, strict.get(node, {})):
                where = f"{plan.trial.place(step)}: {step.phase}/{step.role} step {step.label}"
                found.setdefault((where, why), {})[node] = None
    return tuple(
        f"{where}: {folded(tuple(nodes))} will refuse it: {why}" for (where, why), nodes in found.items()
    )


def _whys(step: TrialStep, said: Mapping[str, str]) -> Iterator[str]:
    users = said.get("policy_allow_user", "").split()
    runs_program = step.verb in ("cmd", "spawn")
    user = step.user or said.get("policy_own_user", "")
    if runs_program and users and user and user not in users:
        yield f"it would run as user {user}, and only {', '.join(users)} may (allow_user)"
    if runs_program and said.get("policy_shell") == "no" and step.argv[:2] == ("/bin/sh", "-c"):
        yield "it is a text for the shell, which may not be executed (allow_path): write it as a list"
    if said.get("policy_read_only_put") and any((put.target or "").startswith("/") for put in step.put):
        yield "it would put a file outside of the run's own directory (read_only_put)"
