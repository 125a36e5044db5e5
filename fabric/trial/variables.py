"""PURE.  What a command of a trial finds in its environment."""

from collections.abc import Mapping

from fabric.trial.cells import Cell, Repeat
from fabric.trial.model import Trial, TrialStep
from fabric.trial.secrets import secret_name
from fabric.trial.shellnames import expand

NodeAddresses = Mapping[str, str]
"""A node's addresses by network; "" is the default one."""


def address(node: str, addresses: Mapping[str, NodeAddresses], network: str = "") -> str:
    """Return a node's address in a network, else its default one; of a node without addresses, its name."""
    known = addresses.get(node, {})
    return known.get(network) or known.get("") or node


def shared_variables(
    trial: Trial, cell: Cell, roles: Mapping[str, tuple[str, ...]], addresses: Mapping[str, NodeAddresses]
) -> dict[str, str]:
    """Return the variables that are the same for all commands of a cell: of the roles, and of the matrix."""
    variables = {}
    for role, members in roles.items():
        found = [address(node, addresses, trial.network) for node in members]
        variables[role] = found[0] if found else ""
        variables[f"{role}_all"] = " ".join(found)
    return {**variables, **cell.variables}


def own_variables(
    trial: Trial, step: TrialStep, node: str, index: int, addresses: Mapping[str, NodeAddresses]
) -> dict[str, str]:
    """Return the variables that a node has in a role, at this place in it."""
    return {
        "me": address(node, addresses, trial.network),
        "my_name": node,
        "my_role": step.role,
        "my_index": str(index),
    }


def repeat_variable(repeat: Repeat) -> dict[str, str]:
    """Return the variable that says which repeat this is; 0 in the reset that a node does alone."""
    return {"repeat": str(repeat.number)}


def environment(trial: Trial, step: TrialStep, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what is added to the agent's environment: the variables, then [env], then the step's own.

    The values of [env] and of the step may have `$names` of the variables, the step's of [env] too.  A
    variable that is a secret is not among them: see `fabric.trial.secrets.secret_variables`.
    """
    # Python programs buffer by the block when they write to a pipe; nobody would see them live.
    found = {"PYTHONUNBUFFERED": "1", **variables}
    found |= {name: expand(value, variables) for name, value in trial.env.items() if not secret_name(value)}
    known = dict(found)
    found |= {name: expand(value, known) for name, value in step.env.items()}
    return {name: value for name, value in found.items() if not secret_name(step.env.get(name, ""))}
