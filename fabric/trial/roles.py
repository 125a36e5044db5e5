"""[nodes]: which nodes play which role."""

from typing import Any, Final

from fabric.trial.nodespec import MAX_NODES, SpecError, expand
from fabric.trial.problems import Problems
from fabric.trial.tables import TrialTable
from fabric.trial.vocabulary import MAX_ROLE_CHARS, VARIABLE, is_well_known

MAX_ROLES: Final = 200
"""Most roles of a trial; each is two variables in the environment of every command."""

_EXAMPLE: Final = 'write client = "lab1", client = "lab[1-4]" or client = ["lab1", "lab7"]'


def read_roles(raw: Any, problems: Problems) -> dict[str, tuple[str, ...]]:
    """Return the nodes of every role; of one that is wrong only the name, after noting what is wrong."""
    if not isinstance(raw, dict):
        problems.at_value(
            ("nodes",), "E016", "`nodes` needs a table of roles", "write [nodes] and a role on each line"
        )
        return {}
    if not raw:
        problems.at_key(("nodes",), "E015", "[nodes] names no role", _EXAMPLE)
    if len(raw) > MAX_ROLES:
        problems.at_key(("nodes",), "E022", f"the trial has {len(raw)} roles, over the limit of {MAX_ROLES}")
    for role in raw:
        _check_name(role, raw, problems)
    roles = {role: _read_nodes(role, spec, problems) for role, spec in raw.items()}
    count = len({node for nodes in roles.values() for node in nodes})
    if count > MAX_NODES:
        problems.at_key(("nodes",), "E022", f"the trial has {count} nodes, over the limit of {MAX_NODES}")
    return roles


def _check_name(role: str, roles: dict[str, Any], problems: Problems) -> None:
    """A role is a variable in the environment of every command, so it must be able to be one."""
    where = ("nodes", role)
    if not VARIABLE.fullmatch(role):
        fixed = "".join(char if VARIABLE.fullmatch(f"_{char}") else "_" for char in role)
        hint = (
            f"write `{fixed}`"
            if VARIABLE.fullmatch(fixed)
            else "letters, digits and `_`, not beginning with a digit"
        )
        problems.at_key(
            where, "E023", f"`{role}` cannot be a role: its name is a variable of the commands", hint
        )
    elif len(role) > MAX_ROLE_CHARS:
        problems.at_key(where, "E023", f"the name of a role has at most {MAX_ROLE_CHARS} characters")
    elif is_well_known(role):
        belongs = role in TrialTable.model_fields
        hint = f"`{role}` as a setting belongs under [trial]" if belongs else "take another name"
        problems.at_key(where, "E023", f"a role called `{role}` would hide the variable ${role}", hint)
    elif role.endswith("_all") and role.removesuffix("_all") in roles:
        other = role.removesuffix("_all")
        problems.at_key(
            where, "E023", f"${role} has the addresses of role `{other}` already", "take another name"
        )


def _read_nodes(role: str, spec: Any, problems: Problems) -> tuple[str, ...]:
    where = ("nodes", role)
    is_list = isinstance(spec, list)
    specs = spec if is_list else [spec]
    if not specs:
        problems.at_value(where, "E020", f"role `{role}` has no node", _EXAMPLE)
    nodes: dict[str, None] = {}
    for index, one in enumerate(specs):
        place = (*where, index) if is_list else where
        if not isinstance(one, str):
            problems.at_value(
                place, "E016", f"`{role}` needs the name of a node, or a list of names", _EXAMPLE
            )
            continue
        try:
            named = expand(one)
        except SpecError as error:
            code = "E014" if error.later else "E020"
            problems.at_part(place, code, str(error), error.hint, text=one, start=error.start, end=error.end)
            continue
        if twice := next((node for node in named if node in nodes), None):
            problems.at_value(place, "E021", f"node `{twice}` is in role `{role}` twice")
        nodes.update(dict.fromkeys(named))
    return tuple(nodes)
