"""PURE.  What the values of Conductor's files mean: ``%``, and comments behind addresses and numbers."""

import re
from dataclasses import dataclass, field
from typing import Final

from fabric.trial.importers.conductor_ini import Entry, IniFile, Section
from fabric.trial.importers.notes import Notes

MAX_DEPTH: Final = 10
"""How deep one ``%(name)s`` may lead to another one: configparser's own limit."""

MAX_VALUE_CHARS: Final = 128 * 1024
"""Longest value: ten levels of ``%(a)s%(a)s`` would otherwise fill the memory."""

_NAME: Final = re.compile(r"%\(([^)]+)\)s")
_COMMENT: Final = re.compile(r"\s*[#;].*$", re.DOTALL)
_COMMENT_BEHIND_PATH: Final = re.compile(r"\s+[#;].*$", re.DOTALL)


@dataclass(slots=True)
class _Expansion:
    names: dict[str, str]
    used: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    size: int = 0

    def expand(self, text: str, depth: int = 1) -> str:
        out, rest = [], text
        while rest:
            before, percent, behind = rest.partition("%")
            out.append(before)
            if not percent:
                break
            piece, rest = self._special("%" + behind, depth)
            out.append(piece)
            self.size += len(piece) + 1  # and of nothing, not too many
            if self.size > MAX_VALUE_CHARS:
                self.odd.append("it becomes too long")
                break
        return "".join(out)

    def _special(self, text: str, depth: int) -> tuple[str, str]:
        """Return what stands for the ``%`` at the beginning, and what follows it."""
        if text.startswith("%%"):
            return "%", text[2:]
        found = _NAME.match(text)
        if found is None:
            self.odd.append("a bare `%`")
            return "%", text[1:]
        key = found[1].lower()
        if key not in self.names or depth > MAX_DEPTH:
            self.odd.append(
                f"`{found[0]}` stands for nothing" if depth <= MAX_DEPTH else "it leads to itself"
            )
            return found[0], text[found.end() :]
        self.used.add(key)
        value = self.names[key]
        return (self.expand(value, depth + 1) if "%" in value else value), text[found.end() :]


def expanded(file: IniFile, section: Section, entry: Entry, notes: Notes) -> str:
    """Return a value with its ``%%`` and ``%(name)s`` replaced; what would end Conductor stays as written."""
    if "%" not in entry.raw:
        return entry.raw
    expansion = _Expansion(_names(file, section))
    value = expansion.expand(entry.raw)
    for odd in dict.fromkeys(expansion.odd):
        hint = "Conductor ends with an error here, and wants %% for a percent sign"
        notes.add(entry.place, "W102", f"{odd}: it is taken as it stands", hint, about="%")
    return value


def used_names(file: IniFile) -> set[str]:
    """Return the keys that some ``%(name)s`` of the file names."""
    sections = [file.defaults, *file.sections.values()]
    return {
        name.lower()
        for section in sections
        for entry in section.entries
        for name in _NAME.findall(entry.raw.replace("%%", ""))
    }


def _names(file: IniFile, section: Section) -> dict[str, str]:
    return {entry.key: entry.raw for entry in (*file.defaults.entries, *section.entries)}


def without_comment(text: str, *, is_path: bool = False) -> str:
    """Return a value without the comment behind it: an address or a number has no `#`, a path may."""
    return (_COMMENT_BEHIND_PATH if is_path else _COMMENT).sub("", text).strip()


class Settings:
    """The settings of one section, with those of [DEFAULT] behind them."""

    def __init__(self, file: IniFile, section: Section | None, notes: Notes) -> None:
        self._file = file
        self._section = section if section is not None else Section("", 0)
        self._notes = notes

    def entry(self, key: str) -> Entry | None:
        """Return where a setting stands, if it does."""
        return self._section.last(key) or self._file.defaults.last(key)

    def text(self, key: str) -> str:
        """Return a setting without its comment; "" if it is not there."""
        entry = self.entry(key)
        if entry is None:
            return ""
        value = expanded(self._file, self._section, entry, self._notes)
        plain = without_comment(value)
        if plain != value.strip():
            message = f"`{key}` is {plain!r}: what stands behind it is taken for a comment"
            self._notes.add(entry.place, "W106", message, "to Conductor it is a part of the value")
        return plain
