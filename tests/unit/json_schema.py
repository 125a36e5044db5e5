"""As much of JSON Schema, draft 7, as a schema of ours uses; an unknown keyword is an error."""

import re
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_SILENT = {"$schema", "title", "description", "default", "examples", "definitions"}
_INSIDE = {"properties", "patternProperties", "additionalProperties", "items"}
_COMBINED = {"allOf", "anyOf", "oneOf"}


def errors(value: Any, schema: Schema, root: Schema, where: str = "") -> Iterator[str]:
    """Yield what of a value does not fit: ``run.client[0]: type``."""
    for keyword, wanted in schema.items():
        if keyword in _SIMPLE and not _SIMPLE[keyword](value, wanted):
            yield f"{where}: {keyword}"
        elif keyword == "$ref":
            yield from errors(value, root["definitions"][wanted.removeprefix("#/definitions/")], root, where)
        else:
            assert keyword in {*_SIMPLE, *_COMBINED, *_SILENT, *_INSIDE}, keyword
    yield from _combined(value, schema, root, where)
    if isinstance(value, dict):
        yield from _keys(value, schema, root, where)
    for index, item in enumerate(value if isinstance(value, list) else []):
        yield from errors(item, schema.get("items", {}), root, f"{where}[{index}]")


def _combined(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for keyword in _COMBINED & schema.keys():
        misfits = [list(errors(value, one, root, where)) for one in schema[keyword]]
        if keyword == "allOf":
            yield from (error for found in misfits for error in found)
        elif misfits.count([]) == 0 or (keyword == "oneOf" and misfits.count([]) > 1):
            yield f"{where}: {keyword}"


def schemas(schema: Any) -> Iterator[Schema]:
    """Yield all schemas within a schema."""
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from schemas(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from schemas(inner)


def _keys(value: dict[str, Any], schema: Schema, root: Schema, where: str) -> Iterator[str]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    rest = schema.get("additionalProperties", True)
    for key, item in value.items():
        fitting = [known[key]] if key in known else []
        fitting += [one for pattern, one in patterns.items() if re.search(pattern, key)]
        if not fitting and rest is False:
            yield f"{where}.{key}: unknown"
        for one in fitting or ([rest] if isinstance(rest, dict) else []):
            yield from errors(item, one, root, f"{where}.{key}")


def _type(value: Any, wanted: Any) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    is_bool = isinstance(value, bool)
    return any((name == "boolean") if is_bool else isinstance(value, _TYPES[name]) for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SIMPLE: dict[str, Callable[[Any, Any], bool]] = {
    "type": _type,
    "required": lambda value, wanted: not isinstance(value, dict) or set(wanted) <= value.keys(),
    "enum": lambda value, wanted: value in wanted,
    "const": lambda value, wanted: bool(value == wanted),
    "pattern": lambda value, wanted: not isinstance(value, str) or bool(re.search(wanted, value)),
    "minLength": lambda value, wanted: not isinstance(value, str) or len(value) >= wanted,
    "maxLength": lambda value, wanted: not isinstance(value, str) or len(value) <= wanted,
    "minItems": lambda value, wanted: not isinstance(value, list) or len(value) >= wanted,
    "maxItems": lambda value, wanted: not isinstance(value, list) or len(value) <= wanted,
    "minProperties": lambda value, wanted: not isinstance(value, dict) or len(value) >= wanted,
    "uniqueItems": lambda value, _: not isinstance(value, list) or len(set(map(repr, value))) == len(value),
    "minimum": lambda value, wanted: not _is_number(value) or value >= wanted,
    "maximum": lambda value, wanted: not _is_number(value) or value <= wanted,
    "exclusiveMaximum": lambda value, wanted: not _is_number(value) or value < wanted,
}
"""Keywords that look at one value."""
