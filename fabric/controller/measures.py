"""PURE.  The metrics of a run: over the nodes of a role, over the repeats, and against the checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fabric.report.quantities import beside
from fabric.trial.cells import Repeat
from fabric.trial.model import Across, CheckSpec, MetricSpec, Trial, TrialStep


# statistics is imported late, with fractions and decimal: most runs have no metrics.
def _mean(values: Sequence[float]) -> float:
    from statistics import fmean

    return fmean(values)


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return median(values)


_ACROSS: Final[Mapping[Across, Callable[[Sequence[float]], float]]] = {
    "mean": _mean,
    "median": _median,
    "sum": sum,
    "min": min,
    "max": max,
}

Place = tuple[int, int]
"""Cell and repeat."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an attempt of a step on a node came to."""

    node: str
    step: str
    attempt: int
    spec: MetricSpec
    value: float | None
    why: str
    """Why there is no value."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of a check in one repeat."""

    check: CheckSpec
    place: Place
    value: float | None
    """In the unit of the metric; None: there is none."""

    ok: bool


@dataclass(slots=True)
class Measures:
    """All values of the metrics of a trial."""

    trial: Trial
    missing: dict[tuple[str, str, int], list[tuple[str, str]]] = field(default_factory=dict)
    """By node, step and attempt: the metrics that it should have had, each with why it has none."""
    _values: dict[tuple[str, Place], dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, place: Place, node: str, value: float) -> None:
        """Take the value of a metric that a node came to; of several attempts the last one counts."""
        self._values.setdefault((name, place), {})[node] = value

    def miss(self, measured: Measured) -> None:
        """Take in that a metric was not found."""
        key = (measured.node, measured.step, measured.attempt)
        self.missing.setdefault(key, []).append((measured.spec.name, measured.why))

    def value(self, spec: MetricSpec, place: Place) -> float | None:
        """Return the value of a metric in a repeat, over the nodes."""
        nodes = self._values.get((spec.name, place))
        return _ACROSS[spec.across](list(nodes.values())) if nodes else None

    def check(self, repeats: Sequence[Repeat]) -> list[CheckResult]:
        """Return what became of all checks in the repeats that count."""
        specs = {spec.name: spec for _, spec in metrics_of(self.trial)}
        results = []
        for check in self.trial.checks:
            for repeat in _by_cell(repeats):
                if not repeat.is_warmup:
                    place = (repeat.cell.number, repeat.number)
                    value = self.value(specs[check.metric], place)
                    results.append(CheckResult(check, place, value, ok=_holds(check, value)))
        return results

    def describe(self, repeats: Sequence[Repeat]) -> list[dict[str, Any]]:
        """Return the metrics as they stand in result.json."""
        return [
            {
                "name": spec.name,
                "unit": spec.unit,
                "better": spec.better,
                "across": spec.across,
                "step": f"{step.phase}/{step.role}/{step.label}",
                "cells": self._cells(spec, repeats),
            }
            for step, spec in metrics_of(self.trial)
        ]

    def _cells(self, spec: MetricSpec, repeats: Sequence[Repeat]) -> list[dict[str, Any]]:
        cells: dict[int, list[dict[str, Any]]] = {}
        for repeat in _by_cell(repeats):
            place = (repeat.cell.number, repeat.number)
            nodes = self._values.get((spec.name, place), {})
            if nodes and not repeat.is_warmup:
                entry = {"repeat": repeat.number, "value": self.value(spec, place), "nodes": dict(nodes)}
                cells.setdefault(repeat.cell.number, []).append(entry)
        return [
            {"cell": cell, "repeats": entries} | summary([entry["value"] for entry in entries])
            for cell, entries in cells.items()
        ]


def _by_cell(repeats: Sequence[Repeat]) -> list[Repeat]:
    """Return repeats in the order in which people compare them, whatever the one in which they were done."""
    return sorted(repeats, key=lambda repeat: (repeat.cell.number, repeat.number))


def metrics_of(trial: Trial) -> list[tuple[TrialStep, MetricSpec]]:
    """Return all metrics of a trial, each with its step."""
    return [(step, spec) for step in trial.steps for spec in step.metrics]


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return count, centre and spread of values; the standard deviation is the sample's."""
    from statistics import stdev

    return {
        "n": len(values),
        "median": _median(values),
        "mean": _mean(values),
        "min": min(values),
        "max": max(values),
        "stdev": stdev(values) if len(values) > 1 else None,
    }


def describe_check(trial: Trial, result: CheckResult, where: str) -> str:
    """Return ``trial.toml:40: check rtt.max: 3.1 ms in repeat 2 is not at most 2 ms``."""
    check = result.check
    head = f"{trial.path}:{check.line}: check {check.metric}.{check.kind}"
    if result.value is None:
        return f"{head}: there is no value in {where}"
    words = {"min": "at least", "max": "at most", "equals": "equal to"}
    return f"{head}: {_shown(trial, check, result.value)} in {where} is not {words[check.kind]} {check.text}"


def _shown(trial: Trial, check: CheckSpec, value: float) -> str:
    """Return a value as people see it everywhere."""
    unit = next(spec.unit for _, spec in metrics_of(trial) if spec.name == check.metric)
    return beside(value, check.limit, unit)


def _holds(check: CheckSpec, value: float | None) -> bool:
    if value is None:
        return False
    if check.kind == "min":
        return value >= check.limit
    if check.kind == "max":
        return value <= check.limit
    return value == check.limit
