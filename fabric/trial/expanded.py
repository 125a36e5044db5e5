"""PURE.  Paths with `$names`: what they mean is held to the rules of those that are written out."""

from collections.abc import Iterator, Mapping, Sequence

from fabric.errors import UsageError
from fabric.trial.cells import Repeat
from fabric.trial.model import Trial, TrialStep
from fabric.trial.nodepaths import pattern_problem, target_problem
from fabric.trial.resolve import Roles
from fabric.trial.shellnames import expand
from fabric.trial.variables import (
    NodeAddresses,
    environment,
    own_variables,
    repeat_variable,
    shared_variables,
)


def check_expanded(
    trial: Trial,
    repeats: Sequence[Repeat],
    roles_of_cells: Mapping[int, Roles],
    addresses: Mapping[str, NodeAddresses],
) -> None:
    """Check what fetches bring, and where puts go, with the values of every cell.

    In what the nodes of a role and the repeats of a cell differ, such as `$my_name`, is no path: of each the
    first one is looked at, for there may be 100,000.

    Raises:
        UsageError: If a path is one that would be refused in the trial itself.
    """
    steps = [step for step in trial.steps if any("$" in text for _, text in _paths(step))]
    firsts = {repeat.cell.number: repeat for repeat in reversed(repeats)} if steps else {}
    for number, repeat in firsts.items():
        roles = roles_of_cells[number]
        shared = shared_variables(trial, repeat.cell, roles, addresses) | repeat_variable(repeat)
        for step in steps:
            for node in roles[step.role][:1]:
                _check(trial, step, node, shared | own_variables(trial, step, node, 0, addresses))


def _check(trial: Trial, step: TrialStep, node: str, variables: Mapping[str, str]) -> None:
    env = environment(trial, step, variables)
    for key, written in _paths(step):
        path = expand(written, env)
        problem = pattern_problem(path) if key == "fetch" else target_problem(path)
        if problem is not None:
            sentence = f"{trial.describe(step, node)}: `{key}` {problem.message}"
            raise UsageError(f"{sentence}, as which `{written}` is read there", problem.hint)


def _paths(step: TrialStep) -> Iterator[tuple[str, str]]:
    """Yield the paths of a step as they are written, each with its key."""
    for pattern in step.fetch:
        yield "fetch", pattern
    for source in step.put:
        if source.target is not None:
            yield "put", source.target
