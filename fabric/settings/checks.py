"""What a key of a settings file may be.

A check takes the value as TOML has it and returns it as the program wants it, or raises `BadValue`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fabric.errors import UsageError
from fabric.settings.places import Path as Where
from fabric.trial.problems import did_you_mean
from fabric.trial.units import UnitError, to_bytes

Check = Callable[[Any], Any]


class BadValue(ValueError):  # noqa: N818 - what it is about, not that it is one
    """A value that a key cannot have.

    The message continues "`key` ...": "needs text".  ``at`` leads to the part of the value that is wrong.
    """

    def __init__(self, message: str, hint: str = "", at: Where = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.at = at


def text(value: Any) -> str:
    """Return a text that is not empty and can be shown."""
    if not isinstance(value, str):
        hint = f'write "{value}"' if isinstance(value, int | float) else 'text stands in quotes: "..."'
        raise BadValue("needs text", hint.replace("True", "true").replace("False", "false"))
    if not value.strip():
        raise BadValue("is empty", "leave the line out")
    if not value.isprintable():
        raise BadValue("has a control character in it")
    return value


def flag(value: Any) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise BadValue("needs true or false", "without quotes")


def whole(low: int, high: int) -> Check:
    """Return a check for whole numbers from ``low`` to ``high``."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValue("needs a whole number", "without quotes" if isinstance(value, str) else "")
        if not low <= value <= high:
            raise BadValue(f"has to be from {low} to {high}")
        return value

    return check


def size(low: int, high: int) -> Check:
    """Return a check for amounts of data such as "64 MiB", from ``low`` to ``high``; a number is bytes."""

    def check(value: Any) -> int:
        try:
            found = value if isinstance(value, int) and not isinstance(value, bool) else to_bytes(text(value))
        except UnitError as error:
            raise BadValue(str(error), 'like "64 MiB" or "2 GB"') from None
        if not low <= found <= high:
            raise BadValue(f"has to be from {low:,} to {high:,} bytes".replace(",", "_"))
        return found

    return check


def choice(*words: str) -> Check:
    """Return a check for one of some words."""

    def check(value: Any) -> str:
        if value not in words:
            known = " or ".join(f'"{word}"' for word in words)
            raise BadValue(f"has to be {known}", did_you_mean(value, words) if isinstance(value, str) else "")
        return str(value)

    return check


def path(value: Any) -> Path:
    """Return a path; `load_settings` takes one that is not absolute from the directory of the file."""
    found = text(value)
    if found.startswith("~"):
        raise BadValue("cannot begin with ~", "a service has no home: write the whole path")
    return Path(found)


def items(check: Check) -> Check:
    """Return a check for lists whose items pass another check."""

    def checked(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise BadValue("needs a list", f'write ["{value}"]' if isinstance(value, str) else "like []")
        found = []
        for index, one in enumerate(value):
            try:
                found.append(check(one))
            except BadValue as error:
                raise BadValue(str(error), error.hint, (index, *error.at)) from None
        return tuple(found)

    return checked


def table(check: Check) -> Check:
    """Return a check for tables of names and values that pass another check."""

    def checked(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadValue("needs a table", 'like { name = "..." }')
        found = {}
        for name, one in value.items():
            try:
                found[name] = check(one)
            except BadValue as error:
                raise BadValue(str(error), error.hint, (name, *error.at)) from None
        return found

    return checked


def accepted_by(read: Callable[[str], object]) -> Check:
    """Return a check for texts that a function takes, which raises `UsageError` if it does not."""

    def check(value: Any) -> str:
        found = text(value)
        try:
            read(found)
        except UsageError as error:
            raise BadValue(f"is wrong: {error}", error.hint) from None
        return found

    return check
