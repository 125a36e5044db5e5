"""PURE.  What a line of a phase in a Conductor file asks for: spawn, a limit, or neither.

Conductor throws the key away but for its prefix, and heeds a prefix in some phases only.  Where it does not,
what its author meant is imported, and said.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from fabric.trial.importers.conductor_ini import Entry
from fabric.trial.importers.notes import Notes

PHASES: Final = {"Startup": "startup", "Run": "run", "Collect": "collect", "Reset": "reset"}
"""The phases of the format by the sections of a worker file; sections are exact."""

TIMEOUT_S: Final = 30
"""Limit of an ordinary step in Conductor."""

MAX_TIMEOUT_S: Final = 7 * 86_400
"""Longest duration of a trial."""

_KEY: Final = re.compile(r"(?P<spawn>spawn)|timeout(?P<limit>\d*)(?P<rest>.*)", re.DOTALL)
_VALUE: Final = re.compile(r"\s*(?:(?P<spawn>spawn)|timeout\s*(?P<limit>\d+))\s*:\s*", re.IGNORECASE)
_EXACT: Final = re.compile(r"spawn:|timeout\d+:")
_KILLS: Final = re.compile(r"(?:^|[;&|(]\s*|\bsudo\s+)(?:pkill|killall)\b")
_IGNORED: Final = "Conductor heeds it in [{}] only, and {} here"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductorStep:
    """One step as it is imported."""

    phase: str  # of the format
    key: str
    path: str
    line: int
    command: str
    is_spawn: bool = False
    timeout_s: int = TIMEOUT_S  # of an ordinary step
    finds_nothing: bool = False  # it kills what the fabric has ended already


@dataclass(slots=True)
class _Prefixes:
    """What the prefixes of one line say, the later over the earlier."""

    is_spawn: bool = False
    limit_s: int | None = None
    count: int = 0
    ignored: list[tuple[str, str]] = field(default_factory=list)  # as written, and what Conductor does

    def take(self, written: str, limit: str | None, ignored: str) -> None:
        self.count += 1
        if limit is None:
            self.is_spawn = True
        else:
            self.limit_s = int(limit[:9])
        if ignored:
            self.ignored.append((written, ignored))


def read_step(section: str, entry: Entry, value: str, notes: Notes) -> ConductorStep | None:
    """Return what a line of a phase asks for; None if it is nothing.

    Args:
        section: As in the file, one of `PHASES`.
        entry: The line.
        value: Its value, with ``%`` replaced.
        notes: Where to say what is odd.
    """
    prefixes = _Prefixes()
    _take_key(section, entry, prefixes, notes)
    command = _take_value(section, value, prefixes)
    for written, hint in prefixes.ignored:
        message = f"`{written}` is imported as it was meant"
        notes.add(entry.place, "W104", message, hint, about=written)
    if prefixes.count > 1:
        message = f"`{entry.key}` has {prefixes.count} prefixes: all of them are heeded"
        notes.add(entry.place, "W105", message, "Conductor heeds one, and runs the other as a command")
    if not command.strip():
        notes.add(entry.place, "W111", f"`{entry.key}` has no command and is left out")
        return None
    return _step(section, entry, command, prefixes, notes)


def _take_key(section: str, entry: Entry, prefixes: _Prefixes, notes: Notes) -> None:
    found = _KEY.match(entry.key)
    if found is None:
        return
    if found["spawn"]:
        heeded = section in ("Startup", "Run")
        ignored = "" if heeded else _IGNORED.format("Startup] and [Run", "runs an ordinary step")
        prefixes.take("spawn", None, ignored)
        return
    if not found["limit"]:
        message = f"`{entry.key}` names no seconds: the limit is {TIMEOUT_S} s"
        notes.add(entry.place, "W105", message, "a limit is written `timeout60 = command`")
        return
    ignored = "" if section == "Run" else _IGNORED.format("Run", f"has a limit of {TIMEOUT_S} s")
    prefixes.take(f"timeout{found['limit']}", found["limit"], ignored)


def _take_value(section: str, value: str, prefixes: _Prefixes) -> str:
    """Return the command behind all prefixes of a value."""
    while found := _VALUE.match(value):
        written = found[0].strip()
        ignored = ""
        if section != "Run":
            ignored = _IGNORED.format("Run", "runs it as a part of the command, which fails with 127,")
        elif not _EXACT.fullmatch(written):
            ignored = (
                "Conductor wants exactly `spawn:` or `timeoutN:`, and runs this as a part of the command"
            )
        prefixes.take(written, found["limit"], ignored)
        value = value[found.end() :]
    return value


def _step(section: str, entry: Entry, command: str, prefixes: _Prefixes, notes: Notes) -> ConductorStep:
    is_spawn, limit_s = prefixes.is_spawn, prefixes.limit_s
    if is_spawn and section == "Reset":
        message = "nothing can be spawned in [Reset], which is the end: it is an ordinary step"
        notes.add(entry.place, "W104", message, f"its limit is {limit_s or TIMEOUT_S} s", about="spawn")
        is_spawn = False
    if is_spawn and limit_s is not None:
        message = f"the limit of {limit_s} s is left out: a spawned step lives until the reset"
        notes.add(entry.place, "W105", message, f"write `timeout {limit_s} ...` in the command to keep it")
    finds_nothing = section == "Reset" and _KILLS.search(command) is not None
    if finds_nothing:
        message = "spawned steps are ended before the reset: that nothing is left to kill is no failure here"
        notes.add(entry.place, "W110", message, "its exit code 1 counts as success (`ok`)")
    return ConductorStep(
        phase=PHASES[section],
        key=entry.key,
        path=entry.path,
        line=entry.line,
        command=command,
        is_spawn=is_spawn,
        timeout_s=_limit(entry, limit_s, notes),
        finds_nothing=finds_nothing,
    )


def _limit(entry: Entry, limit_s: int | None, notes: Notes) -> int:
    if limit_s is None:
        return TIMEOUT_S
    if 0 < limit_s <= MAX_TIMEOUT_S:
        return limit_s
    nearest = min(max(limit_s, 1), MAX_TIMEOUT_S)
    hint = "a limit is between 1 s and 7 days"
    notes.add(entry.place, "W105", f"a limit of {limit_s} s cannot be kept: it is {nearest} s", hint)
    return nearest
