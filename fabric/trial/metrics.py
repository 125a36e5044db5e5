"""metric.NAME of a step: where a number is found, and that it is found in one step only."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fabric.protocol.names import WORD
from fabric.trial.layout import RawStep
from fabric.trial.model import MetricSpec
from fabric.trial.positions import Path
from fabric.trial.problems import Problems
from fabric.trial.settings import Order
from fabric.trial.tables import MetricTable

MAX_METRICS: Final = 200
"""Most metrics of a trial; each is a record of every node in every repeat."""

_KEYS: Final = frozenset(field.alias or key for key, field in MetricTable.model_fields.items())


def check_metrics(steps: Iterable[RawStep], order: Order, problems: Problems) -> dict[str, MetricSpec]:
    """Return the metrics of all steps by name, as far as their units are right, for the checks.

    Notes wrong names, names that are there twice, and metrics in phases that not every repeat goes through.
    """
    found: dict[str, MetricSpec] = {}
    for step in steps:
        tables = step.table.get("metric")
        if not isinstance(tables, dict):
            continue
        where: Path = (*step.where, "metric")
        _check_phase(where, step.phase, order, problems)
        for name, table in tables.items():
            one = _outline(name, (*where, name), table, problems)
            if first := found.get(name):
                message = f"the step on line {first.line} yields `{name}` too"
                problems.at_key((*where, name), "E046", message, "a metric comes from one step")
            elif len(found) == MAX_METRICS:
                message = f"the trial has more than {MAX_METRICS} metrics"
                problems.at_key((*where, name), "E022", message)
            found.setdefault(name, one)
    return found


def read_metrics(
    where: Path, tables: Mapping[str, MetricTable], problems: Problems
) -> tuple[MetricSpec, ...]:
    """Return the metrics of one step."""
    return tuple(
        _read_metric(name, (*where, "metric", name), table, problems) for name, table in tables.items()
    )


def _read_metric(name: str, where: Path, table: MetricTable, problems: Problems) -> MetricSpec:
    return MetricSpec(
        name=name,
        line=problems.positions.key(where).line,
        regex=table.regex or "",
        json=table.json_path or "",
        file=table.file or "",
        unit=table.unit or "",
        better=table.better,
        across=table.across,
    )


def _outline(name: str, where: Path, raw: Any, problems: Problems) -> MetricSpec:
    if not WORD.fullmatch(name):
        message = f"`{name}` cannot be the name of a metric"
        problems.at_key(where, "E035", message, "letters, digits, `.`, `_` and `-`, at most 63 of them")
    table = raw if isinstance(raw, dict) else {"regex": ""}  # else an error of its own
    if ("regex" in table) == ("json" in table) and not set(table).difference(_KEYS):
        how = (
            "it has both" if "regex" in table else "with `file` too" if "file" in table else "it has neither"
        )
        hint = f"write metric.{name} = {{ regex = '= ([0-9.]+)' }} or metric.{name} = {{ json = 'a.b' }}"
        problems.at_key(where, "E043", f"metric `{name}` needs either `regex` or `json`; {how}", hint)
    unit = table.get("unit")
    line = problems.positions.key(where).line
    return MetricSpec(name=name, line=line, unit=unit if isinstance(unit, str) else "")


def _check_phase(where: Path, phase: str, order: Order, problems: Problems) -> None:
    if phase == order.phases[-1]:
        hint = "move it to an earlier phase: the reset cleans up after the numbers are taken"
        problems.at_key(where, "E034", "a step of the reset yields no metric", hint)
    elif phase not in order.cycle:
        message = f"`{phase}` is not in `cycle`, so not every repeat would have this metric"
        problems.at_key(where, "E034", message, "move the step to a phase of the cycle")
