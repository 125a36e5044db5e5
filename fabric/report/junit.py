"""PURE.  junit.xml: a result document in the form that Jenkins, GitLab and GitHub's viewers show.

One suite for each execution of a phase, one case for each step on each node; names are the same from run to
run, so that a viewer can tell a history.  The form is that of the Jenkins plugin's schema: no attributes and
no elements but those, in its order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

from fabric.report.quantities import beside
from fabric.report.results import (
    PhaseKey,
    Result,
    StepResult,
    instant,
    number,
    phases_of,
    repeats_of,
    steps_of,
    variables_of,
    whys_of,
)

MAX_CASES: Final = 20_000
"""Most cases that are written; viewers load them all.  Those that did not pass come first."""

MAX_TEXT_CHARS: Final = 16 * 1024
"""Longest text of one case: what is cut is in the bundle."""

Outcome = Literal["pass", "failure", "error", "skipped"]

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VERDICTS: Final[Mapping[str, Outcome]] = {"pass": "pass", "fail": "failure", "invalid": "failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    classname: str
    name: str
    time_s: float = 0.0
    outcome: Outcome = "pass"
    kind: str = ""  # of the failure
    message: str = ""
    text: str = ""


@dataclass(slots=True)
class _Suite:
    name: str
    started: float | None = None
    properties: dict[str, str] = field(default_factory=dict)
    cases: list[_Case] = field(default_factory=list)


def junit_text(result: Result) -> str:
    """Return the content of junit.xml."""
    root = ET.Element("testsuites")
    suites = [suite for suite in _Maker(result).suites() if suite.cases]
    _shorten(suites)
    cases = [case for suite in suites for case in suite.cases]
    _count(root, str(result.get("name") or "trial"), cases, with_skipped=False)
    for suite in suites:
        _write_suite(root, suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


class _Maker:
    """Makes the suites of one result."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._trial = str(result.get("name") or "trial")
        self._variables = variables_of(result)
        repeats = repeats_of(result)
        self._is_repeated = any(repeat > 1 for _, repeat in repeats) or (result.get("repeats") or 1) > 1

    def suites(self) -> Iterator[_Suite]:
        """Yield one for each execution of a phase, one for each repeat's checks, and one for the verdict."""
        steps: dict[PhaseKey, list[StepResult]] = {}
        for step in steps_of(self._result):
            steps.setdefault(step.key, []).append(step)
        phases = phases_of(self._result)
        for key in dict.fromkeys([*phases, *steps]):
            yield self._phase(key, phases.get(key, {}), steps.get(key, []))
        yield from self._checks()
        yield self._verdict()

    def _phase(self, key: PhaseKey, phase: Mapping[str, Any], steps: Sequence[StepResult]) -> _Suite:
        suite = _Suite(self._called(key.cell, key.repeat, key.phase), phase.get("t0"))
        for name in ("skew_s", "skew_bound_s", "latest_node", "earliest_node", "delayed_by", "way"):
            if phase.get(name) is not None:
                suite.properties[name] = str(phase[name])
        where = self._where(key.cell, key.repeat)
        suite.cases += [self._step(step, where) for step in steps]
        suite.cases += self._skew(key, phase, where)
        return suite

    def _step(self, step: StepResult, where: str) -> _Case:
        outcome: Outcome = "pass"
        if step.skipped or step.void:
            outcome = "skipped"
        elif step.failed:
            outcome = "error" if step.is_error else "failure"
        place = step.place(self._result)
        lines = [f"{place}: {step.what()}: {step.message}" if place else f"{step.what()}: {step.message}"]
        if step.last.get("command"):
            lines.append(f"$ {step.last['command']}")
        return _Case(
            classname=f"{self._trial}.{step.key.phase}.{step.role}",
            name=f"{step.label} on {step.node}{where}",
            time_s=step.duration_s,
            outcome=outcome,
            kind=str(step.last.get("reason") or ""),
            message=step.skipped or step.void or step.message,
            text="\n".join([*lines, *step.tail]),
        )

    def _skew(self, key: PhaseKey, phase: Mapping[str, Any], where: str) -> Iterator[_Case]:
        """Yield a case for the skew, if the trial has a limit for it."""
        beginning = f"phase {key.phase_id}: skew "
        over = [text for _, _, text in whys_of(self._result) if text.startswith(beginning)]
        if not over and (self._result.get("max_skew_s") is None or phase.get("skew_s") is None):
            return
        yield _Case(
            classname=f"{self._trial}.{key.phase}",
            name=f"skew{where}",
            outcome="failure" if over else "pass",
            kind="max_skew",
            message=over[0] if over else "",
            text=_skew_text(phase),
        )

    def _checks(self) -> Iterator[_Suite]:
        suites: dict[tuple[int, int], _Suite] = {}
        for check in self._result.get("checks") or ():
            cell, repeat = check.get("cell") or 0, check.get("repeat") or 0
            suite = suites.setdefault((cell, repeat), _Suite(self._called(cell, repeat, "checks")))
            suite.cases.append(self._check(check, self._where(cell, repeat)))
        yield from suites.values()

    def _check(self, check: Mapping[str, Any], where: str) -> _Case:
        metric, kind = str(check.get("metric", "")), str(check.get("kind", ""))
        value, unit = check.get("value"), str(check.get("unit") or "")
        limit = str(check.get("limit_text") or number(check.get("limit")))
        found = beside(value, check.get("limit", value), unit) if value is not None else "not found"
        return _Case(
            classname=f"{self._trial}.check",
            name=f"{metric} {kind} {limit}{where}",
            outcome="pass" if check.get("ok") else "failure",
            kind=f"check.{kind}",
            message=f"{metric} is {found}, wanted {kind} {limit}",
        )

    def _verdict(self) -> _Suite:
        """Return a suite that is red whenever the exit code is: a lost node is no step's fault."""
        verdict = str(self._result.get("verdict") or "error")
        whys = [f"{file}:{line}: {text}" if file else text for file, line, text in whys_of(self._result)]
        suite = _Suite(f"{self._trial} verdict", self._result.get("started"))
        for name in ("run", "seed"):
            if self._result.get(name) is not None:
                suite.properties[name] = str(self._result[name])
        if missing := [str(one.get("node")) for one in self._result.get("missing_nodes") or ()]:
            suite.properties["missing_nodes"] = " ".join(missing)
        suite.cases.append(
            _Case(
                classname=self._trial,
                name="verdict",
                outcome=_VERDICTS.get(verdict, "error"),
                kind=verdict,
                message=f"{verdict}: {whys[0]}" if whys and whys[0] != verdict else verdict,
                text="\n".join(whys),
            )
        )
        return suite

    def _called(self, cell: int, repeat: int, part: str) -> str:
        return f"{self._trial} {part}{self._where(cell, repeat)}"

    def _where(self, cell: int, repeat: int) -> str:
        """Return what tells this cell and repeat from the others; "" if there is one only."""
        parts = [f"[{self._variables.get(cell, f'cell {cell}')}]"] if cell else []
        parts += [f"#{repeat}"] if self._is_repeated and repeat else []
        return "".join(f" {part}" for part in parts)


def _shorten(suites: Sequence[_Suite]) -> None:
    """Leave cases that passed out of the largest results, and say how many."""
    room = MAX_CASES - sum(case.outcome != "pass" for suite in suites for case in suite.cases)
    for suite in suites:
        kept = []
        for case in suite.cases:
            if case.outcome == "pass":
                room -= 1
            if case.outcome != "pass" or room >= 0:
                kept.append(case)
        if len(kept) < len(suite.cases):
            suite.properties["left_out"] = f"{len(suite.cases) - len(kept)} that passed"
        suite.cases = kept


def _write_suite(root: ET.Element, suite: _Suite) -> None:
    element = ET.SubElement(root, "testsuite")
    _count(element, suite.name, suite.cases)
    stamp = instant(suite.started)
    if stamp is not None:
        element.set("timestamp", stamp[:19])  # the schema has neither fractions nor a zone
    if suite.properties:
        properties = ET.SubElement(element, "properties")
        for name, value in suite.properties.items():
            ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    for case in suite.cases:
        _write_case(element, case)


def _write_case(suite: ET.Element, case: _Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        name=_clean(case.name),
        classname=_clean(case.classname),
        time=f"{case.time_s:.3f}",
    )
    if case.outcome == "pass":
        return
    found = ET.SubElement(element, case.outcome, message=_clean(case.message))
    if case.outcome != "skipped":
        found.set("type", _clean(case.kind or case.outcome))
        found.text = _clean(case.text)


def _skew_text(phase: Mapping[str, Any]) -> str:
    """Say which nodes were the first and the last, and what delayed that one."""
    if phase.get("skew_s") is None:
        return ""
    why = f": {phase['delayed_by']}" if phase.get("delayed_by") else ""
    return f"earliest {phase.get('earliest_node')}, latest {phase.get('latest_node')}{why}"


def _count(element: ET.Element, name: str, cases: Sequence[_Case], *, with_skipped: bool = True) -> None:
    element.set("name", _clean(name))
    element.set("tests", str(len(cases)))
    counts = [("failures", "failure"), ("errors", "error"), *([("skipped", "skipped")] * with_skipped)]
    for attribute, outcome in counts:
        element.set(attribute, str(sum(case.outcome == outcome for case in cases)))
    element.set("time", f"{sum(case.time_s for case in cases):.3f}")


def _clean(text: str) -> str:
    """Return a text that XML can carry, of bounded length: what a node wrote may be anything."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[: MAX_TEXT_CHARS // 2] + "\n[...]\n" + text[-MAX_TEXT_CHARS // 2 :]
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
