"""PURE.  How many nodes of a role a run can do without."""

import math
from collections.abc import Collection

from fabric.controller.plan import RunPlan


def needed(quorum: float, nodes: int) -> int:
    """Return how many of a role's nodes have to be there: its part rounded up, one at least."""
    # The product of 0.95 and 100 is a little over 95.
    return max(1, math.ceil(round(quorum * nodes, 6))) if nodes else 0


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
