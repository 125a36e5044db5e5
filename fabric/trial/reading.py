"""Reads one table with its model, and says in the format's own words what pydantic finds wrong."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.tables import INNER_TABLES
from fabric.trial.vocabulary import VARIABLE

T = TypeVar("T", bound=BaseModel)

_WANTED: Final = {
    "int_type": "needs a whole number",
    "string_type": "needs a text in quotes",
    "bool_type": "needs true or false",
    "list_type": "needs a list",
    "dict_type": "needs a table",
    "model_type": "needs a table",
}
_TABLE_HINTS: Final = {
    "env": 'write env = { NAME = "value" }',
    "ready": "write ready.port = 5201, ready.log, ready.cmd or ready.file",
    "limits": 'write limits = { memory = "2 GiB", files = 1024 }',
    "metric": "write metric.NAME = { regex = '...' } or metric.NAME = { json = '...' }",
}


def read_table(model: type[T], raw: Mapping[str, Any], where: Path, problems: Problems) -> T | None:
    """Return a table that is in order, or None after noting everything that is wrong with it.

    ``raw`` has known keys only.
    """
    errors: list[ErrorDetails] = []
    table = None
    try:
        table = model.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for detail in errors:
        _note(detail, where, problems)
    env = raw.get("env")
    names_are_right = check_names((*where, "env"), env, problems) if isinstance(env, dict) else True
    return table if names_are_right else None


def check_names(where: Path, names: Iterable[str], problems: Problems) -> bool:
    """Note the names that cannot be variables; return whether there are none."""
    wrong = [name for name in names if not VARIABLE.fullmatch(name)]
    for name in wrong:
        hint = "letters, digits and `_`, not beginning with a digit"
        problems.at_key((*where, name), "E033", f"`{name}` cannot be the name of a variable", hint)
    return not wrong


def _note(detail: ErrorDetails, where: Path, problems: Problems) -> None:
    path = (*where, *detail["loc"])
    key = next(str(part) for part in reversed(path) if isinstance(part, str))
    context = detail.get("ctx", {})
    if detail["type"] == "missing":
        problems.at_key(where, "E015", f"`{key}` is missing", f'write {key} = "..."')
    elif detail["type"] == "extra_forbidden":
        _note_unknown(path, key, problems)
    elif detail["type"] == "trial":
        message, hint = f"`{key}` {context['message']}", context["hint"]
        # An item of a list is written without the key.
        hint = hint.replace("{key} = ", "") if isinstance(path[-1], int) else hint.replace("{key}", key)
        place = (*path, *context["at"])
        start = context["offset"]
        if start >= 0:
            text = detail["input"]
            problems.at_part(place, context["code"], message, hint, text=text, start=start, end=start + 1)
        else:
            problems.at_value(place, context["code"], message, hint)
    else:
        code, message, hint = _about(detail, key)
        problems.at_value(path, code, f"`{key}` {message}", hint)


def _note_unknown(path: Path, key: str, problems: Problems) -> None:
    table = next(name for name in reversed(path[:-1]) if isinstance(name, str) and name in INNER_TABLES)
    known = [field.alias or name for name, field in INNER_TABLES[table].model_fields.items()]
    hint = did_you_mean(key, known, f"known here: {', '.join(known)}")
    problems.at_key(path, "E013", f"unknown key `{key}` of `{table}`", hint)


def _about(detail: ErrorDetails, key: str) -> tuple[str, str, str]:
    """Say in the format's own words what pydantic found."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "literal_error" and key == "format":
        return "E019", f"{value!r:.20} is not known to this version", "this version reads format = 1"
    if kind == "literal_error":
        expected = context["expected"]
        return "E018", f"has to be {expected.replace(chr(39), chr(34))}", _closest(value, expected)
    if kind == "string_pattern_mismatch" and key == "quorum":
        return "E018", "needs a part of the nodes", 'write quorum = "95%"'
    if kind in _WANTED:
        return "E016", _WANTED[kind], _type_hint(kind, value, detail["loc"], key)
    limits = {"greater_than_equal": "ge", "less_than_equal": "le", "less_than": "lt"}
    if kind in limits:
        words = {"ge": "at least", "le": "at most", "lt": "less than"}
        return "E018", f"has to be {words[limits[kind]]} {context[limits[kind]]}", ""
    if kind == "too_short":
        return "E018", "is empty", ""
    if kind == "too_long":
        return (
            "E022",
            f"has {context['actual_length']} entries, over the limit of {context['max_length']}",
            "",
        )
    return "E016", f"cannot be used: {detail['msg']}", ""


def _type_hint(kind: str, value: Any, loc: tuple[int | str, ...], key: str) -> str:
    if kind in ("dict_type", "model_type"):
        return next(
            (_TABLE_HINTS[part] for part in loc if isinstance(part, str) and part in _TABLE_HINTS), ""
        )
    if kind == "list_type" and type(value) in (int, str):
        return f"write {key} = [{value}]" if type(value) is int else f'write {key} = ["{value}"]'
    if kind == "int_type" and isinstance(value, str) and value.isdecimal() and loc[-1] == key:
        return f"write {key} = {value}"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("true", "yes", "false", "no"):
        return f"write {key} = {'true' if value.lower() in ('true', 'yes') else 'false'}"
    if key == "quorum" and isinstance(value, int | float):
        percent = value * 100 if 0 < value < 1 else value
        return f'write quorum = "{percent:g}%"' if 0 < percent <= 100 else 'write quorum = "95%"'  # noqa: PLR2004
    return ""


def _closest(value: Any, expected: str) -> str:
    return did_you_mean(value, re.findall(r"'(\w+)'", expected)) if isinstance(value, str) else ""
