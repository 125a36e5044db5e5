"""PURE.  Reads a result document (result.json) for the reports that are made of it.

Every field may be missing: a run that ended early has less to tell, and a report must not fail for that.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from fabric.report.quantities import after

Result = Mapping[str, Any]

INFRASTRUCTURE: Final = frozenset({"lost", "not_started", "unknown"})
"""Ends of a step that say nothing about what was tested."""

_PLACED: Final = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+): (?P<text>.*)", re.DOTALL)


class PhaseKey(NamedTuple):
    """One execution of a phase."""

    cell: int
    repeat: int
    phase: str

    @property
    def phase_id(self) -> str:
        """As messages name it: ``1/run``, ``2.3/run``."""
        return f"{self.cell}.{self.repeat}/{self.phase}" if self.cell else f"{self.repeat}/{self.phase}"


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step on one node, with all of its attempts."""

    key: PhaseKey
    role: str
    label: str
    node: str
    attempts: tuple[Mapping[str, Any], ...]  # the last one decides
    is_passed_over: bool = False  # its node was lost, and the quorum held without it

    @property
    def last(self) -> Mapping[str, Any]:
        """The attempt that decides."""
        return self.attempts[-1]

    @property
    def skipped(self) -> str:
        """Why it was not run; "" if it was."""
        entry = self.last
        if entry.get("state") != "skipped" and not entry.get("skipped"):
            return ""
        why = entry.get("why") or entry.get("skipped")
        return why if isinstance(why, str) else "skipped"

    @property
    def failed(self) -> bool:
        """Whether its last attempt failed, or nobody knows how it ended."""
        if self.skipped:
            return False
        return bool(self.last.get("failed", self.last.get("state") == "unknown"))

    @property
    def void(self) -> str:
        """Why it has no result that counts, though it was run; "" if it has one."""
        if self.is_passed_over and self._is_lost:
            return f"{self.node} was lost, and the quorum held without it: {message_of(self.last)}"
        return f"cut before its end: {message_of(self.last)}" if self.is_cut else ""

    @property
    def is_cut(self) -> bool:
        """Whether an interrupt, a limit or a failure elsewhere has ended it, as nobody had planned."""
        entry = self.last
        is_asked = entry.get("verb") == "spawn"  # that is how it ends in any case
        return entry.get("reason") == "stopped" and not is_asked and not entry.get("failed")

    @property
    def _is_lost(self) -> bool:
        return str(self.last.get("reason", "lost")) in INFRASTRUCTURE

    @property
    def is_error(self) -> bool:
        """Whether it failed for reasons of the lab."""
        return self.failed and self._is_lost

    @property
    def message(self) -> str:
        """How it ended, in one line."""
        late_s = float(self.last.get("seen_late_s") or 0)
        seconds = after(str(self.last.get("reason", "")), round(self.duration_s * 1e9), round(late_s * 1e9))
        text = message_of(self.last) or "its end is not known"
        again = f" (attempt {self.last.get('attempt', 1)})" if len(self.attempts) > 1 else ""
        return f"{text}{seconds}{again}{missing_metrics(self.last)}"

    @property
    def duration_s(self) -> float:
        """Of all attempts."""
        return float(sum(attempt.get("duration_s") or 0 for attempt in self.attempts))

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that it wrote, as far as they were kept."""
        lines = self.last.get("last") or ()
        return tuple(map(str, lines)) if isinstance(lines, list | tuple) else (str(lines),)

    def place(self, result: Result) -> str:
        """Return ``file:line`` of the step, or "" if it is not known."""
        if origin := self.last.get("origin"):
            return str(origin)
        file, line = result.get("file"), self.last.get("line")
        return f"{file}:{line}" if file and line else ""

    def what(self) -> str:
        """Return ``run/client step client-1 on lab3``."""
        return f"{self.key.phase}/{self.role} step {self.label} on {self.node}"


def message_of(entry: Mapping[str, Any]) -> str:
    """Return how an attempt ended, in a few words."""
    return str(entry.get("message") or entry.get("reason") or "")


def missing_metrics(entry: Mapping[str, Any]) -> str:
    """Return what is said behind how an attempt ended, of metrics that were not found."""
    missing = entry.get("missing_metrics") or ()
    return "".join(f"; metric {metric.get('name')}: {metric.get('why')}" for metric in missing)


def steps_of(result: Result) -> list[StepResult]:
    """Return all steps with their attempts folded, in the order of the document."""
    found: dict[tuple[PhaseKey, str, str, str], list[Mapping[str, Any]]] = {}
    for entry in result.get("steps") or ():
        role, label, node = (str(entry.get(name, "")) for name in ("role", "step", "node"))
        found.setdefault((phase_key(entry), role, label, node), []).append(entry)
    spared = {name for name, node in (result.get("nodes") or {}).items() if node.get("passed_over")}
    return [
        StepResult(key, role, label, node, _in_order(attempts), node in spared)
        for (key, role, label, node), attempts in found.items()
    ]


def _in_order(attempts: list[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(sorted(attempts, key=lambda one: one.get("attempt") or 1))


def phases_of(result: Result) -> dict[PhaseKey, Mapping[str, Any]]:
    """Return what is told of each execution of a phase."""
    return {phase_key(entry): entry for entry in result.get("phases") or ()}


def phase_key(entry: Mapping[str, Any]) -> PhaseKey:
    """Return which execution of a phase an entry is about."""
    return PhaseKey(entry.get("cell") or 0, entry.get("repeat") or 0, str(entry.get("phase", "")))


def variables_of(result: Result) -> dict[int, str]:
    """Return the variables of each cell as text: ``a=lab1, streams=8``."""
    return {
        cell["cell"]: ", ".join(f"{name}={value}" for name, value in cell["variables"].items())
        for cell in result.get("cells") or ()
        if cell.get("variables")
    }


def repeats_of(result: Result) -> list[tuple[int, int]]:
    """Return the repeats (cell, repeat) that were begun, in their order."""
    keys = [*phases_of(result), *(step.key for step in steps_of(result))]
    return list(dict.fromkeys((key.cell, key.repeat) for key in keys if key.repeat))


def whys_of(result: Result) -> Iterator[tuple[str, int, str]]:
    """Yield file ("" if none), line and text of everything that the verdict names."""
    for why in result.get("why") or ():
        found = _PLACED.fullmatch(str(why))
        # A time in a sentence is no place: a file has no spaces before its line here.
        yield (found["file"], int(found["line"]), found["text"]) if found else ("", 0, str(why))


def number(value: float | None) -> str:
    """Return a number for a table."""
    return "-" if value is None else f"{value:.6g}"


def instant(seconds: float | None) -> str | None:
    """Return an instant of fabric time (seconds since 1970) in ISO 8601, UTC."""
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    )
