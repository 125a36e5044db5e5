"""Single values of the format: a check returns what is meant, or says what is wrong and how to write it."""

import re
from collections.abc import Mapping
from datetime import time
from functools import partial
from math import inf, isfinite
from signal import Signals
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from fabric.protocol.names import WORD
from fabric.protocol.numbers import MAX_COUNT
from fabric.trial import durations, jsonpath, patterns, units
from fabric.trial.problems import did_you_mean

MAX_COMMAND_BYTES: Final = 120 * 1024
"""Longest command line or argument: Linux takes 128 KiB for one string of exec."""

_ENDING: Final = ("HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "SEGV", "PIPE", "ALRM", "TERM")
SIGNALS: Final[Mapping[str, int]] = {name: int(Signals[f"SIG{name}"]) for name in _ENDING}
"""Signals that end a program unless it handles them."""


def wrong(
    code: str, message: str, hint: str = "", *, at: tuple[str | int, ...] = (), offset: int = -1
) -> PydanticCustomError:
    """Make an error whose message continues "`key` ..."; ``{key}`` in the hint becomes the key.

    Args:
        code: Of the diagnostic.
        message: What is wrong.
        hint: How to write it.
        at: Where in the value, as keys and indices.
        offset: Which character of the text is to blame; -1: all of it.
    """
    # As context, not as template: the texts may have braces of their own.
    context = {"code": code, "message": message, "hint": hint, "at": at, "offset": offset}
    return PydanticCustomError("trial", "wrong", context)


def text(value: Any) -> str:
    """Return any text that a program can be given."""
    if not isinstance(value, str):
        raise wrong("E016", "needs a text in quotes")
    if "\0" in value:
        raise wrong("E018", "must not contain a NUL character")
    if len(value.encode()) > MAX_COMMAND_BYTES:
        raise wrong("E018", f"is longer than the limit of {MAX_COMMAND_BYTES} bytes")
    return value


def filled(value: Any) -> str:
    """Return a text with something in it."""
    if not text(value).strip():
        raise wrong("E018", "is empty")
    return str(value)


def path(value: Any) -> str:
    """Return a path on the node, with its `$names` not yet expanded."""
    if filled(value).startswith("~"):
        hint = "`~` is for shells: write the whole path, or one relative to the step's directory"
        raise wrong("E024", "begins with `~`, which nobody expands here", hint)
    return str(value)


def name(value: Any) -> str:
    """Return a name that can be a part of an id and of a path."""
    if not WORD.fullmatch(text(value)):
        fixed = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-.")[:63]
        hint = f'write {{key}} = "{fixed}"' if WORD.fullmatch(fixed) else ""
        raise wrong("E035", "can only have letters, digits, `.`, `_` and `-`, at most 63 of them", hint)
    return str(value)


def _duration(unit: str, smallest: str, value: Any) -> float:
    suggested = f"write {{key}} = {durations.suggestion(value, unit)}"
    if isinstance(value, time):
        raise wrong("E030", "is a time of day here", suggested)
    if isinstance(value, str) and "$" in value:
        raise wrong("E030", "needs a duration with its unit; no `$name` is expanded here", suggested)
    if isinstance(value, str) and value.lstrip().startswith("-"):
        raise wrong("E030", "cannot be negative")
    try:
        result = durations.seconds(value if isinstance(value, str) else "")
    except durations.NoDurationError as error:
        known = f"; units: {', '.join(durations.UNITS_S)}" if durations.has_a_strange_unit(value) else ""
        raise wrong("E030", str(error), suggested + known) from None
    except ValueError as error:
        raise wrong("E030", str(error)) from None
    if result == 0 and smallest != "zero":
        raise wrong("E030", "has to be longer than nothing")
    return result


def command(value: Any) -> tuple[str, ...]:
    """Return the arguments of a list; a single text is a line for the shell."""
    if isinstance(value, str):
        return ("/bin/sh", "-c", filled(value))
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        hint = '{key} = "ls -l" or {key} = ["ls", "-l"]'
        raise wrong("E016", "needs a command line, or a list of texts", hint)
    if not value or not value[0]:
        raise wrong("E018", "is empty")
    return tuple(map(text, value))


def _signal(value: Any) -> int:
    if isinstance(value, str) and value in SIGNALS:
        return SIGNALS[value]
    plain = value.upper().removeprefix("SIG") if isinstance(value, str) else ""
    numbers = {number: name for name, number in SIGNALS.items()}
    guess = plain if plain in SIGNALS else numbers.get(value) if type(value) is int else None
    known = f"signals: {', '.join(SIGNALS)}"
    hint = f'write {{key}} = "{guess}"' if guess else did_you_mean(plain, SIGNALS, known)
    raise wrong("E031", "needs the name of a signal that ends a program", hint)


def env_value(value: Any) -> str:
    """Return the value of a variable."""
    if not isinstance(value, str):
        shown = str(value).lower() if isinstance(value, bool) else value
        hint = f'write {{key}} = "{shown}"' if isinstance(value, int | float) else ""
        raise wrong("E033", "needs a text in quotes: the environment has nothing else", hint)
    return text(value)


def _regex(groups: int | None, value: Any) -> str:
    try:
        patterns.check(filled(value), groups)
    except patterns.PatternError as error:
        raise wrong("E044", str(error), error.hint, offset=error.offset) from None
    return str(value)


def _json_path(value: Any) -> str:
    try:
        jsonpath.parse(text(value))
    except jsonpath.PathError as error:
        raise wrong("E045", str(error), error.hint, offset=error.offset) from None
    return str(value)


def _unit(value: Any) -> str:
    hint = 'like {key} = "ms" or {key} = "Gbit/s"'
    if not text(value).strip():
        raise wrong("E047", "is empty", "leave it out for a plain number")
    if not units.is_unit(value):
        raise wrong("E047", "cannot be a unit", hint)
    return str(value)


def limit(value: Any) -> units.Quantity:
    """Return what a check asks for; a bare number is in the unit of the metric."""
    if isinstance(value, str):
        try:
            return units.parse(value)
        except units.UnitError as error:
            raise wrong("E048", str(error), 'like {key} = 0.5 or {key} = "9 Gbit/s"') from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("E016", "needs a number, or a number with its unit in quotes", 'like {key} = "9 Gbit/s"')
    try:
        number = float(value)
    except OverflowError:
        number = inf
    if not isfinite(number):
        raise wrong("E048", "has to be a number that something can be held against")
    return units.Quantity(number, "")


def size_bytes(value: Any) -> int:
    """Return an amount of data."""
    hint = 'like {key} = "100 MB" or {key} = "2 GiB"'
    if not isinstance(value, str):
        raise wrong("E027", "needs an amount of data with its unit", hint)
    try:
        found = units.to_bytes(value)
    except units.UnitError as error:
        raise wrong("E027", str(error), hint) from None
    if found > MAX_COUNT:
        raise wrong("E027", "is more than 8 PiB, which no step could use")
    return found


def _duration_check(unit: str, smallest: str = "positive") -> PlainValidator:
    written = Annotated[
        str, Field(min_length=2, pattern=durations.PATTERN, examples=["30s", "200ms", "1h30m"])
    ]
    return PlainValidator(partial(_duration, unit, smallest), json_schema_input_type=written)


_WORD: Final = Annotated[str, Field(pattern=f"^{WORD.pattern}$")]
_SIZE: Final = Annotated[str, Field(examples=["100 MB", "2 GiB"])]
_COMMAND: Final = str | Annotated[list[str], Field(min_length=1)]

Seconds = Annotated[float, _duration_check("s")]
FineSeconds = Annotated[float, _duration_check("ms")]
SecondsOrZero = Annotated[float, _duration_check("s", "zero")]
Name = Annotated[str, PlainValidator(name, json_schema_input_type=_WORD)]
Text = Annotated[str, PlainValidator(text, json_schema_input_type=str)]
Filled = Annotated[str, PlainValidator(filled, json_schema_input_type=Annotated[str, Field(min_length=1)])]
NodePath = Annotated[str, PlainValidator(path, json_schema_input_type=Annotated[str, Field(min_length=1)])]
Command = Annotated[tuple[str, ...], PlainValidator(command, json_schema_input_type=_COMMAND)]
EnvValue = Annotated[str, PlainValidator(env_value, json_schema_input_type=str)]
Signal = Annotated[
    int,
    PlainValidator(
        _signal, json_schema_input_type=Annotated[str, Field(json_schema_extra={"enum": [*_ENDING]})]
    ),
]
Regex = Annotated[str, PlainValidator(partial(_regex, None), json_schema_input_type=str)]
RegexWithGroup = Annotated[str, PlainValidator(partial(_regex, 1), json_schema_input_type=str)]
JsonPath = Annotated[str, PlainValidator(_json_path, json_schema_input_type=str)]
Unit = Annotated[
    str, PlainValidator(_unit, json_schema_input_type=Annotated[str, Field(max_length=units.MAX_UNIT_CHARS)])
]
Size = Annotated[int, PlainValidator(size_bytes, json_schema_input_type=_SIZE)]
Limit = Annotated[units.Quantity, PlainValidator(limit, json_schema_input_type=float | str)]
