"""PURE.  How many nodes of a role a run can do without."""

from collections.abc import Collection

from fabric.controller.plan import RunPlan
from fabric.trial.resolve import needed


def lacking(plan: RunPlan, present: Collection[str]) -> str:
    """Say which role has too few nodes if only those that are present take part; "" if none has."""
    for number, roles in plan.roles.items():
        absent = plan.absent.get(number, {})
        for role, nodes in roles.items():
            count = len(nodes) + absent.get(role, 0)
            wanted = needed(plan.trial.quorum, count)
            left = sum(node in present for node in nodes)
            if left < wanted:
                return f"role {role} needs {wanted} of its {count} nodes, {left} are left"
    return ""
