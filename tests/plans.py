"""Plans of trials, for tests of what carries them out."""

from collections.abc import Mapping, Sequence

from fabric.controller.plan import RunPlan, make_plan
from fabric.trial.cells import cells_of
from fabric.trial.model import Trial
from fabric.trial.resolve import resolve


def plain_plan(
    trial: Trial, addresses: Mapping[str, Mapping[str, str]], phases: Sequence[str], repeats: int
) -> RunPlan:
    """Return the plan of a trial whose nodes are all named and there; ``phases`` without the reset."""
    cells = cells_of(trial)
    found, every = resolve(trial, cells, None, seed=0), (*phases, trial.phases[-1])
    return make_plan(trial, cells, found, addresses, phases=every, repeats=repeats, seed=0)
