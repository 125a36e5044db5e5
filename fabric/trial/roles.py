"""[nodes]: which nodes play which role."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fabric.trial.nodespec import MAX_NODES, Names, SpecError, parse
from fabric.trial.positions import Path
from fabric.trial.problems import Problems
from fabric.trial.rolespec import UnsetError, check_spec
from fabric.trial.tables import TrialTable
from fabric.trial.vocabulary import MAX_ROLE_CHARS, VARIABLE, is_well_known

MAX_ROLES: Final = 200
"""Most roles of a trial; each is two variables in the environment of every command."""

_EXAMPLE: Final = 'write client = "lab1", client = "lab[1-4]" or client = ["lab1", "lab7"]'


def read_roles(raw: Any, problems: Problems) -> dict[str, tuple[str, ...]]:
    """Return the specs of every role; of one that is wrong only the name, after noting what is wrong.

    What depends on the variables of the matrix is left to `check_roles`, for it needs these.
    """
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
    return {role: _read_specs(role, spec, problems) for role, spec in raw.items()}


def check_roles(
    raw: Any, roles: Mapping[str, tuple[str, ...]], matrix: Mapping[str, tuple[str, ...]], problems: Problems
) -> dict[str, tuple[str, ...]]:
    """Return the nodes of the roles whose specs just name them, after noting what is wrong with any spec."""
    named: dict[str, tuple[str, ...]] = {}
    for role, specs in roles.items():
        is_list = isinstance(raw[role], list)
        places: list[Path] = [
            ("nodes", role, index) if is_list else ("nodes", role) for index in range(len(specs))
        ]
        right = [_is_right(spec, place, matrix, problems) for spec, place in zip(specs, places, strict=True)]
        if all(right):
            named[role] = _named(role, specs, places, problems)
    count = len({node for nodes in named.values() for node in nodes})
    if count > MAX_NODES:
        problems.at_key(("nodes",), "E022", f"the trial has {count} nodes, over the limit of {MAX_NODES}")
    return {role: nodes for role, nodes in named.items() if nodes}


def _is_right(spec: str, place: Path, matrix: Mapping[str, tuple[str, ...]], problems: Problems) -> bool:
    try:
        check_spec(spec, matrix)
    except SpecError as error:
        code = "E037" if isinstance(error, UnsetError) else "E020"
        problems.at_part(place, code, str(error), error.hint, text=spec, start=error.start, end=error.end)
        return False
    return True


def _named(role: str, specs: Sequence[str], places: Sequence[Path], problems: Problems) -> tuple[str, ...]:
    """Return the nodes of a role that names them all, else none; note a node that is named twice."""
    nodes: dict[str, None] = {}
    is_whole = True
    for spec, place in zip(specs, places, strict=True):
        parts = () if "$" in spec else parse(spec)
        is_whole = is_whole and bool(parts) and all(isinstance(part, Names) for part in parts)
        for name in (name for part in parts if isinstance(part, Names) for name in part.names):
            if name in nodes:
                problems.at_value(place, "E021", f"node `{name}` is in role `{role}` twice")
            nodes[name] = None
    return tuple(nodes) if is_whole else ()


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


def _read_specs(role: str, spec: Any, problems: Problems) -> tuple[str, ...]:
    where = ("nodes", role)
    is_list = isinstance(spec, list)
    specs = spec if is_list else [spec]
    if not specs:
        problems.at_value(where, "E020", f"role `{role}` has no node", _EXAMPLE)
    wrong = [index for index, one in enumerate(specs) if not isinstance(one, str)]
    for index in wrong:
        place = (*where, index) if is_list else where
        problems.at_value(place, "E016", f"`{role}` needs the name of a node, or a list of names", _EXAMPLE)
    return () if wrong else tuple(specs)
