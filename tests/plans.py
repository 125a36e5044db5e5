"""Plans of trials, for tests of what carries them out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from fabric.controller.plan import NodeSteps, RunPlan, make_plan
from fabric.trial.cells import Repeat, cells_of
from fabric.trial.model import Trial
from fabric.trial.resolve import resolve


def plain_plan(
    trial: Trial, addresses: Mapping[str, Mapping[str, str]], phases: Sequence[str], repeats: int
) -> RunPlan:
    """Return the plan of a trial whose nodes are all named and there; ``phases`` without the reset."""
    cells = cells_of(trial)
    found, every = resolve(trial, cells, None, seed=0), (*phases, trial.phases[-1])
    return make_plan(trial, cells, found, addresses, phases=every, repeats=repeats, seed=0)


class KeptPlan(RunPlan):
    """Makes the steps of a phase once, for many runs."""

    def steps(self, repeat: Repeat, phase: str) -> NodeSteps:
        """Return them."""
        key = (repeat.id, phase)
        if key not in self._made:
            self._made[key] = self._make(repeat, phase)
        return self._made[key]


def kept(plan: RunPlan) -> RunPlan:
    """Return a plan that is carried out again and again, for simulations."""
    return KeptPlan(**{field.name: getattr(plan, field.name) for field in fields(plan)})
