"""The tables of the format, [trial] and a step, checked key by key.

Each check says what is wrong and how to write it; pydantic finds all that is wrong at once.  Checks that
look at more than one key are in `steps`.
"""

import re
from collections.abc import Mapping
from datetime import time
from functools import partial
from signal import Signals
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from fabric.protocol.names import WORD
from fabric.trial import durations
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.vocabulary import VARIABLE

MAX_REPEAT: Final = 10_000
"""Most repeats of a trial: its bundle has a directory for each."""

MAX_COMMAND_BYTES: Final = 120 * 1024
"""Longest command line or argument: Linux takes 128 KiB for one string of exec."""

_ENDING: Final = ("HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "SEGV", "PIPE", "ALRM", "TERM")
SIGNALS: Final[Mapping[str, int]] = {name: int(Signals[f"SIG{name}"]) for name in _ENDING}
"""Signals that end a program unless it handles them."""

T = TypeVar("T", bound=BaseModel)


def _wrong(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """Make an error whose message continues "`key` ..."; ``{key}`` in the hint becomes the key."""
    # As context, not as template: the texts may have braces of their own.
    return PydanticCustomError("trial", "wrong", {"code": code, "message": message, "hint": hint})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("E016", "needs a text in quotes")
    if "\0" in value:
        raise _wrong("E018", "must not contain a NUL character")
    if len(value.encode()) > MAX_COMMAND_BYTES:
        raise _wrong("E018", f"is longer than the limit of {MAX_COMMAND_BYTES} bytes")
    return value


def _filled(value: Any) -> str:
    if not _text(value).strip():
        raise _wrong("E018", "is empty")
    return str(value)


def _name(value: Any) -> str:
    text = _text(value)
    if not WORD.fullmatch(text):
        fixed = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:63]
        hint = f'write {{key}} = "{fixed}"' if WORD.fullmatch(fixed) else ""
        raise _wrong("E035", "can only have letters, digits, `.`, `_` and `-`, at most 63 of them", hint)
    return text


def _duration(unit: str, smallest: str, value: Any) -> float:
    if isinstance(value, time):
        raise _wrong("E030", "is a time of day here", f"write {{key}} = {durations.suggestion(value, unit)}")
    if isinstance(value, str) and value.lstrip().startswith("-"):
        raise _wrong("E030", "cannot be negative")
    try:
        result = durations.seconds(value if isinstance(value, str) else "")
    except durations.NoDurationError as error:
        raise _wrong("E030", str(error), f"write {{key}} = {durations.suggestion(value, unit)}") from None
    except ValueError as error:
        raise _wrong("E030", str(error)) from None
    if result == 0 and smallest != "zero":
        raise _wrong("E030", "has to be longer than nothing")
    return result


def _command(value: Any) -> tuple[str, ...]:
    """Return the arguments of a list; a single text is a line for the shell."""
    if isinstance(value, str):
        return ("/bin/sh", "-c", _filled(value))
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(
            "E016", "needs a command line, or a list of texts", '{key} = "ls -l" or {key} = ["ls", "-l"]'
        )
    if not value or not value[0]:
        raise _wrong("E018", "is empty")
    return tuple(map(_text, value))


def _signal(value: Any) -> int:
    name = value.upper().removeprefix("SIG") if isinstance(value, str) else ""
    if name in SIGNALS:
        return SIGNALS[name]
    names = {number: name for name, number in SIGNALS.items()}
    guess = names.get(value) if type(value) is int else None
    hint = (
        f'write {{key}} = "{guess}"'
        if guess
        else did_you_mean(name, SIGNALS, f"signals: {', '.join(SIGNALS)}")
    )
    raise _wrong("E031", "needs the name of a signal that ends a program", hint)


def _env_value(value: Any) -> str:
    if not isinstance(value, str):
        shown = str(value).lower() if isinstance(value, bool) else value
        hint = f'write {{key}} = "{shown}"' if isinstance(value, int | float) else ""
        raise _wrong("E033", "needs a text in quotes: the environment has nothing else", hint)
    return _text(value)


def _duration_check(unit: str, smallest: str = "positive") -> PlainValidator:
    return PlainValidator(partial(_duration, unit, smallest))


Seconds = Annotated[float | None, _duration_check("s")]
FineSeconds = Annotated[float | None, _duration_check("ms")]
SecondsOrZero = Annotated[float | None, _duration_check("s", "zero")]
Name = Annotated[str, PlainValidator(_name)]
Command = Annotated[tuple[str, ...] | None, PlainValidator(_command)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class TrialTable(_Table):
    """[trial]."""

    name: Name
    repeat: Annotated[int, Field(ge=1, le=MAX_REPEAT)] = 1
    timeout: Seconds = None
    max_skew: FineSeconds = None
    lead: FineSeconds = None
    on_lost: Literal["stop", "continue"] = "stop"
    format: Literal[1] = 1


class StepTable(_Table):
    """A step, with its verb."""

    cmd: Command = None
    spawn: Command = None
    name: Annotated[str | None, PlainValidator(_name)] = None
    timeout: Seconds = None
    at: SecondsOrZero = None
    until: str | None = None
    env: dict[str, Annotated[str, PlainValidator(_env_value)]] = Field(default_factory=dict)
    dir: Annotated[str | None, PlainValidator(_filled)] = None
    ok: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1)] = [0]
    on_fail: Literal["stop", "continue"] = "stop"
    when: Literal["always", "passed", "failed"] | None = None
    signal: Annotated[int, PlainValidator(_signal)] = SIGNALS["TERM"]
    grace: SecondsOrZero = 5.0


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
    wrong_names = [name for name in env if not VARIABLE.fullmatch(name)] if isinstance(env, dict) else []
    for name in wrong_names:
        hint = "letters, digits and `_`, not beginning with a digit"
        problems.at_key((*where, "env", name), "E033", f"`{name}` cannot be the name of a variable", hint)
    return None if wrong_names else table


def _note(detail: ErrorDetails, where: Path, problems: Problems) -> None:
    path = (*where, *detail["loc"])
    key = next(str(part) for part in reversed(path) if isinstance(part, str))
    context = detail.get("ctx", {})
    if detail["type"] == "missing":
        problems.at_key(where, "E015", f"`{key}` is missing", f'write {key} = "..."')
        return
    if detail["type"] == "trial":
        code, message, hint = context["code"], context["message"], context["hint"]
    else:
        code, message, hint = _about(detail, key)
    problems.at_value(path, code, f"`{key}` {message}", hint.replace("{key}", key))


_WANTED: Final = {
    "int_type": "needs a whole number",
    "string_type": "needs a text in quotes",
    "list_type": "needs a list",
    "dict_type": "needs a table",
}


def _about(detail: ErrorDetails, key: str) -> tuple[str, str, str]:
    """Say in the format's own words what pydantic found."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "literal_error" and key == "format":
        return "E019", f"{value!r:.20} is not known to this version", "this version reads format = 1"
    if kind == "literal_error":
        return (
            "E018",
            f"has to be {context['expected'].replace(chr(39), chr(34))}",
            _closest(value, context["expected"]),
        )
    if kind in _WANTED:
        hint = f"write {key} = [{value}]" if kind == "list_type" and type(value) is int else ""
        hint = 'write env = { NAME = "value" }' if key == "env" else hint
        return "E016", _WANTED[kind], hint
    limits = {"greater_than_equal": ("ge", "least"), "less_than_equal": ("le", "most")}
    if kind in limits:
        limit, word = limits[kind]
        return "E018", f"has to be at {word} {context[limit]}", ""
    if kind == "too_short":
        return "E018", "is empty", ""
    return "E016", f"cannot be used: {detail['msg']}", ""


def _closest(value: Any, expected: str) -> str:
    return did_you_mean(value, re.findall(r"'(\w+)'", expected)) if isinstance(value, str) else ""
