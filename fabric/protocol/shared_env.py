"""PURE.  The part of the environment that all steps of a node have in common, said once.

The addresses of all roles go to every step of every node; with a thousand nodes and a hundred steps they
would not fit into a message a hundred times.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fabric.protocol.messages import Step


def factor(steps: Sequence[Step]) -> tuple[dict[str, str], tuple[Step, ...]]:
    """Return the variables that all steps have with one value, and the steps without them."""
    if not steps:
        return {}, ()
    shared = dict(steps[0].env)
    for step in steps[1:]:
        shared = {name: value for name, value in shared.items() if step.env.get(name) == value}
    return shared, tuple(
        replace(step, env={name: value for name, value in step.env.items() if name not in shared})
        for step in steps
    )


def wanted_secrets(steps: Iterable[Step], values: Mapping[str, str]) -> dict[str, str]:
    """Return those of the secrets that these steps want: a node is told of no other."""
    return {name: values[name] for step in steps for name in step.secrets.values() if name in values}


def merge(shared: Mapping[str, str], steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps with what `factor` took out of them."""
    return tuple(replace(step, env={**shared, **step.env}) for step in steps)
