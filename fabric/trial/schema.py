"""The JSON Schema of trial.toml, for editors: made of the tables that the reader checks with.

It says less than the reader: a file that fits it may still be wrong in what its parts say about each other.
Draft 7, which is what the editors' TOML plugins know.
"""

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from fabric.protocol.names import WORD
from fabric.trial.tables import CheckTable, StepTable, TrialTable
from fabric.trial.vocabulary import MAX_ROLE_CHARS, PHASES, VARIABLE, VERBS

Schema = dict[str, Any]

_REF: Final = "#/definitions/{model}"
_VARIABLE: Final = f"^{VARIABLE.pattern}$"
_ROLE: Final = rf"^[A-Za-z_][A-Za-z0-9_]{{0,{MAX_ROLE_CHARS - 1}}}$"
_WORD: Final = f"^{WORD.pattern}$"
_FILLED: Final[Schema] = {"type": "string", "minLength": 1}

_ABOUT_PHASES: Final = {
    "startup": "Bring things up.",
    "run": "The test itself.",
    "collect": "Look at what it left, and bring it home.",
    "reset": "Clean up.  Always runs, even after a failure.",
}


def schema() -> Schema:
    """Return the schema of a whole file."""
    _, made = models_json_schema(
        [(TrialTable, "validation"), (StepTable, "validation"), (CheckTable, "validation")], ref_template=_REF
    )
    definitions = {name: _plain(one) for name, one in made["$defs"].items() if name.endswith("Table")}
    definitions["StepTable"]["oneOf"] = [{"required": [verb]} for verb in VERBS]
    conditions = [key for key in definitions["ReadyTable"]["properties"] if key != "within"]
    definitions["ReadyTable"]["oneOf"] = [{"required": [key]} for key in conditions]
    definitions["MetricTable"]["oneOf"] = [{"required": [key]} for key in ("regex", "json")]
    _named(definitions["StepTable"]["properties"]["metric"], _WORD)
    _named(definitions["StepTable"]["properties"]["env"], _VARIABLE)
    definitions |= {"Steps": _steps(), "Phase": _phase()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "trial.toml",
        "description": "A trial: what is to be done, and on which nodes.",
        "type": "object",
        "required": ["trial", "nodes"],
        "properties": {
            **_settings(),
            **{phase: _reference("Phase", _ABOUT_PHASES[phase]) for phase in PHASES},
        },
        "additionalProperties": _reference("Phase", "A phase that [trial] phases names."),
        "definitions": dict(sorted(definitions.items())),
    }


def _settings() -> Schema:
    """Return the sections that are no phases."""
    value: Schema = {"type": ["string", "number", "boolean"]}
    return {
        "trial": _reference("TrialTable", "What is to be done, how often, within which limits."),
        "nodes": _table(
            "Who takes part: the nodes of each role.",
            _ROLE,
            _either(
                _FILLED, {"type": "array", "items": _FILLED, "minItems": 1}, text="The nodes of this role."
            ),
            minProperties=1,
        ),
        "matrix": _table(
            "Variables with several values; the trial is done for every combination.",
            _ROLE,
            _either(
                _FILLED,
                {"type": "array", "items": value, "minItems": 1, "uniqueItems": True},
                text="Its values, or a range of nodes.",
            ),
            minProperties=1,
        ),
        "env": _table(
            "Variables for every command.", _VARIABLE, {"type": "string", "description": "Its value."}
        ),
        "check": _table(
            "What the metrics have to be.",
            _WORD,
            _reference("CheckTable", "Limits of the metric of this name."),
        ),
    }


def _steps() -> Schema:
    command: Schema = {**_FILLED, "description": "A cmd: a line for sh."}
    step = _reference("StepTable", "A step, with its verb.")
    steps = {"type": "array", "items": _either(command, step, text="A step."), "minItems": 1}
    return _either(command, step, steps, text="What the nodes of this role do, one step after another.")


def _phase() -> Schema:
    return _table("What each role does in this phase.", _ROLE, {"$ref": _REF.format(model="Steps")})


def _plain(value: Any) -> Any:
    """Return a schema without what TOML has not: null; and without pydantic's titles."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    options = value.get("anyOf", [])
    filled = [option for option in options if option != {"type": "null"}]
    plain = {
        key: {name: _plain(inner) for name, inner in item.items()} if key == "properties" else _plain(item)
        for key, item in value.items()
        if not (key == "title" or (key == "default" and item is None) or (key == "anyOf" and len(filled) < 2))  # noqa: PLR2004
    }
    if len(filled) == 1 and "$ref" in filled[0]:
        plain["allOf"] = [filled[0]]  # draft 7 ignores what stands beside a $ref
    elif len(filled) == 1:
        plain = {**_plain(filled[0]), **plain}
    elif filled:
        plain["anyOf"] = [_plain(option) for option in filled]
    if "$ref" in plain and len(plain) > 1:
        plain["allOf"] = [{"$ref": plain.pop("$ref")}]
    return plain


def _named(table: Schema, pattern: str) -> None:
    """Let a table of anything have only keys of a pattern."""
    table["patternProperties"] = {pattern: table.pop("additionalProperties")}
    table["additionalProperties"] = False


def _table(text: str, pattern: str, value: Schema, **more: Any) -> Schema:
    keys = {"patternProperties": {pattern: value}, "additionalProperties": False}
    return {"description": text, "type": "object", **keys, **more}


def _either(*options: Schema, text: str) -> Schema:
    return {"description": text, "anyOf": list(options)}


def _reference(model: str, text: str) -> Schema:
    return {"description": text, "allOf": [{"$ref": _REF.format(model=model)}]}
