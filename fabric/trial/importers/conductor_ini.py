"""PURE.  Reads the lines of a Conductor file as Python's configparser does, and keeps what that throws away.

Conductor reads its files by a ``configparser.ConfigParser()`` with its defaults.  This reader makes the same
of each line: full-line comments, the first of ``=`` and ``:``, keys in small letters, values that go on in
indented lines.  But it also keeps the line numbers, keys that are there twice and sections that are there
twice, which would end Conductor, and says so.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fabric.trial.importers.notes import Notes

DEFAULT: Final = "DEFAULT"
"""The section whose keys are in every other section too."""

BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
_SECTION: Final = re.compile(r"\[(?P<header>.+)\]")
_ENTRY: Final = re.compile(r"(?P<key>.*?)\s*[=:]\s*(?P<value>.*)$")
_STEP_LIKE: Final = re.compile(
    r"\[[A-Z]\w*\]"  # a section
    r"|(?:step|spawn|timeout)\w*\s*[=:]"
    r"|[A-Za-z]\w*(?:\s+=|\s*=\s|\s*:\s)",  # X=1 without spaces is an assignment of the shell
    re.IGNORECASE,
)


@dataclass(slots=True)
class Entry:
    """A key and its value, before ``%`` in it is looked at."""

    key: str  # in small letters
    path: str
    line: int  # of the key, from 1
    parts: list[str]  # lines of the value, without their indentation

    @property
    def raw(self) -> str:
        """The value as configparser stores it."""
        return "\n".join(self.parts).rstrip()

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands."""
        return self.path, self.line


@dataclass(slots=True)
class Section:
    """A section and its entries, in the order of the file."""

    name: str
    line: int
    entries: list[Entry] = field(default_factory=list)

    def last(self, key: str) -> Entry | None:
        """Return the entry with a key; of several the last one."""
        return next((entry for entry in reversed(self.entries) if entry.key == key), None)


@dataclass(slots=True)
class IniFile:
    """A file as it was read."""

    path: str
    sections: dict[str, Section] = field(default_factory=dict)
    defaults: Section = field(default_factory=lambda: Section(DEFAULT, 0))

    def first_of(self, *names: str) -> Section | None:
        """Return the first section of these names that is there."""
        return next((self.sections[name] for name in names if name in self.sections), None)


def read_ini(path: str, text: str, notes: Notes) -> IniFile:
    """Read a file; what cannot be read is noted as an error and left out.

    Args:
        path: As messages name it.
        text: Its content; bytes that are not UTF-8 stand as lone surrogates.
        notes: Where to note.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    notes.add_file(path, text.encode(errors="replace").decode())
    if text.startswith(BOM):
        notes.add((path, 1), "W112", "the byte order mark at the beginning was taken off", _FATAL)
        text = text.removeprefix(BOM)
    reader = _Reader(path, notes)
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line)
    return reader.file


_FATAL: Final = "Conductor itself ends with an error here"


class _Reader:
    """Goes through the lines of one file."""

    def __init__(self, path: str, notes: Notes) -> None:
        self.file = IniFile(path)
        self._notes = notes
        self._section: Section | None = None
        self._entry: Entry | None = None
        self._indent = 0
        self._is_lost = False  # no section yet, and that was said

    def take(self, number: int, line: str) -> None:
        """Take the next line."""
        value = line.strip()
        if value.startswith(("#", ";")):
            return  # also within a value
        if not value:
            if self._entry is not None:
                self._entry.parts.append("")
            return
        if not self._is_text(number, value):
            return
        indent = len(line) - len(line.lstrip())
        if self._entry is not None and indent > self._indent:
            self._continue(number, value)
            return
        self._indent = indent
        if header := _SECTION.match(value):
            self._begin(number, header["header"])
        elif self._section is None:
            self._before_sections(number)
        else:
            self._add(number, value, self._section)

    def _is_text(self, number: int, value: str) -> bool:
        if "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value):
            return True
        what = "a NUL character" if "\0" in value else "bytes that are not UTF-8"
        self._notes.add((self.file.path, number), "E102", f"the line has {what}", "save the file as UTF-8")
        return False

    def _continue(self, number: int, value: str) -> None:
        assert self._entry is not None
        self._entry.parts.append(value)
        if _STEP_LIKE.match(value):
            self._notes.add(
                (self.file.path, number),
                "W103",
                f"this line is indented, so it is a part of `{self._entry.key}` on line {self._entry.line}",
                "as in Conductor; if it is meant to stand for itself, begin it where the others begin",
            )

    def _begin(self, number: int, name: str) -> None:
        self._entry = None
        if name == DEFAULT:
            self._section = self.file.defaults
            self._section.line = self._section.line or number
            return
        known = self.file.sections.get(name)
        if known is not None:
            self._notes.add(
                (self.file.path, number),
                "W101",
                f"section [{name}] is there already, on line {known.line}: both are taken, in order",
                _FATAL,
            )
        self._section = self.file.sections.setdefault(name, Section(name, number))

    def _before_sections(self, number: int) -> None:
        if not self._is_lost:
            hint = "a Conductor file begins with [Test], [Workers] or [Coordinator]"
            self._notes.add((self.file.path, number), "E102", "this line stands in no section", hint)
        self._is_lost = True

    def _add(self, number: int, value: str, section: Section) -> None:
        place = (self.file.path, number)
        found = _ENTRY.match(value)
        if found is None or not found["key"]:
            hint = "a line is `key = value` or `key: value`; indent it if it goes on with the line before"
            self._notes.add(place, "E102", "this line has no key" if found else "this line has no `=`", hint)
            return
        key = found["key"].rstrip().lower()
        if (first := section.last(key)) is not None:
            self._notes.add(
                place,
                "W101",
                f"`{key}` is there already, on line {first.line}: both are taken, in order",
                _FATAL,
                about=found["key"],
            )
        self._entry = Entry(key, self.file.path, number, [found["value"].strip()])
        section.entries.append(self._entry)


def with_defaults(file: IniFile, section: Section) -> Iterator[Entry]:
    """Yield the entries of a section as configparser's ``items`` does: those of [DEFAULT] stand first."""
    own = {entry.key for entry in section.entries}
    yield from (entry for entry in file.defaults.entries if entry.key not in own)
    yield from section.entries
