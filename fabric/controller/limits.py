"""PURE.  How long a phase may take by the limits of its steps."""

from collections.abc import Iterable, Mapping
from typing import Final

from fabric.controller.plan import NodeSteps, RunPlan
from fabric.protocol.messages import Step

S: Final = 1_000_000_000

RUNNING_SLACK_NS: Final = 60 * S
"""A phase may take so much longer than its steps' limits together: launching, draining, shipping."""

REPORTING_NS: Final = 30 * S
"""A node that is over that limit goes on as long as it reports something at least this often."""

OVERTIME_NS: Final = 7200 * S
"""... and for so long in all: what a full journal holds takes as long at 150 kB/s.  A node that reports
something now and then would else keep a run from ever ending."""


def limit_ns(steps: NodeSteps) -> int:
    """Return the limits of the longest role of any node together, and some slack."""
    longest_s = 0.0
    for own in steps.values():
        roles: dict[str, float] = {}
        for step in own:
            role = step.step.split("/")[2]
            roles[role] = roles.get(role, 0.0) + _longest_s(step)
        longest_s = max([longest_s, *roles.values()])
    return round(longest_s * S) + RUNNING_SLACK_NS


def _longest_s(step: Step) -> float:
    ready_s = step.ready.within_s if step.ready else 0.0
    attempt_s = (step.timeout_s or 0.0) + step.grace_s + ready_s
    return (step.at_s or 0.0) + step.wait_s + step.attempts * attempt_s


def grace_s(plan: RunPlan, ends: Mapping[str, Iterable[str]]) -> float:
    """Return the longest grace of spawned steps, by node, that end when a phase begins."""
    sources = {step: plan.source(step) for steps in ends.values() for step in steps}
    return max((source.grace_s for source in sources.values() if source), default=0.0)
