"""A settings file to checked values, or to all that is wrong with it."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fabric.errors import UsageError
from fabric.settings.checks import BadValue, Check
from fabric.settings.places import Place, Places
from fabric.tomltext import excess_of
from fabric.trial.diagnostics import MAX_SHOWN, Diagnostic
from fabric.trial.problems import did_you_mean

MAX_BYTES: Final = 64 << 10
"""Largest settings file: a longer one is another file by mistake; a megabyte can take half a minute."""

Section = Mapping[str, Check]
Sections = Mapping[str, Section]

_STOPPED: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


class SettingsError(UsageError):
    """A settings file is wrong.  Its text is all that is to be printed, several lines long."""

    is_rendered = True

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = sorted(diagnostics, key=lambda one: (one.line, one.col))
        super().__init__("\n".join(one.render() for one in self.diagnostics[:MAX_SHOWN]))


def load_settings(path: Path, sections: Sections) -> dict[str, dict[str, Any]]:
    """Return what a file says: by section and key, checked; what it does not say is not there.

    Paths are taken from the directory of the file.

    Args:
        path: The file.
        sections: What may be in it: by section and key the check for its value.

    Raises:
        SettingsError: If it is wrong, with all that is wrong.
        UsageError: If it cannot be read.
    """
    text = _read(path)
    if excess := excess_of(text):
        place = Place(excess.line, excess.col, excess.end_col)
        raise SettingsError([_diagnostic(str(path), place, excess.source, excess.message, excess.hint)])
    try:
        document = tomllib.loads(text)
        places = Places(text)
    except ValueError as error:
        raise SettingsError([_not_toml(path, text, error)]) from None
    reader = _Reader(path, places, sections)
    found = reader.read(document)
    if reader.wrong:
        raise SettingsError(reader.wrong)
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the settings file {path} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES // 1024} KiB", hint="is it a settings file?")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8", hint="save it as UTF-8") from None


def _not_toml(path: Path, text: str, error: ValueError) -> Diagnostic:
    """Say what `tomllib` stumbled over, where it says so."""
    lines = text.split("\n")
    stopped = _STOPPED.fullmatch(str(error))
    if stopped is None:
        return _diagnostic(str(path), Place(1, 1, 2), "", f"not TOML: {error}")
    if stopped[2] is None:  # the last line with something on it is where the eye looks
        line = max((number for number, one in enumerate(lines, 1) if one.strip()), default=1)
        col = len(lines[line - 1].rstrip()) + 1
    else:
        line, col = int(stopped[2]), int(stopped[3])
    what = stopped[1][:1].lower() + stopped[1][1:]
    hint = ""
    if what.startswith("invalid value"):
        hint = 'text stands in quotes: "..."'
    elif what.startswith("expected '='"):
        hint = "write: key = value"
    return _diagnostic(str(path), Place(line, col, col + 1), lines[line - 1], f"not TOML: {what}", hint)


def _diagnostic(path: str, place: Place, source: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(
        path=path,
        line=place.line,
        col=place.col,
        end_col=place.end_col,
        code="",
        message=message,
        hint=hint,
        source=source,
    )


class _Reader:
    """One file: what it says, and what is wrong with that."""

    def __init__(self, path: Path, places: Places, sections: Sections) -> None:
        self._path, self._places, self._sections = path, places, sections
        self.wrong: list[Diagnostic] = []

    def read(self, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found = {}
        for name, table in document.items():
            if name not in self._sections:
                self._unknown_section(name)
            elif isinstance(table, dict):
                found[name] = self._section(name, table)
            else:
                self._note(self._places.key((name,)), f"`{name}` is a section", f"write [{name}]")
        return found

    def _section(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        section, found = self._sections[name], {}
        for key, value in table.items():
            if key not in section:
                guess = did_you_mean(key, section) or self._belongs(key)
                hint = guess or f"known under [{name}]: {', '.join(section)}"
                self._note(self._places.key((name, key)), f"unknown key `{key}` under [{name}]", hint)
                continue
            try:
                found[key] = self._located(section[key](value))
            except BadValue as error:
                where = (name, key, *error.at)
                self._note(self._places.value(where), f"`{key}` {error}", error.hint)
        return found

    def _located(self, value: Any) -> Any:
        """Take paths from the directory of the file, wherever the program was started."""
        if isinstance(value, Path):
            return self._path.absolute().parent / value
        if isinstance(value, tuple):
            return tuple(self._located(one) for one in value)
        return value

    def _unknown_section(self, name: str) -> None:
        place = self._places.key((name,))
        if belongs := self._belongs(name):
            self._note(place, f"`{name}` stands under no section", belongs)
            return
        known = ", ".join(f"[{one}]" for one in self._sections)
        self._note(place, f"unknown section `{name}`", did_you_mean(name, self._sections, f"known: {known}"))

    def _belongs(self, key: str) -> str:
        home = next((name for name, section in self._sections.items() if key in section), "")
        return f"`{key}` belongs under [{home}]" if home else ""

    def _note(self, place: Place, message: str, hint: str = "") -> None:
        source = self._places.line(place.line)
        self.wrong.append(_diagnostic(str(self._path), place, source, message, hint))
