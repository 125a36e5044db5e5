"""[check]: what the metrics of a trial have to be."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from fabric.trial import units
from fabric.trial.keys import split_keys
from fabric.trial.model import CheckSpec, MetricSpec
from fabric.trial.positions import Path
from fabric.trial.problems import Problems, did_you_mean
from fabric.trial.reading import read_table
from fabric.trial.tables import CheckTable
from fabric.trial.vocabulary import LATER_CHECK_KEYS

Kind = Literal["min", "max", "equals"]

KINDS: Final[tuple[Kind, ...]] = ("min", "max", "equals")

_EXAMPLE: Final = 'like rtt.max = "2 ms"'


def read_checks(raw: Any, metrics: Mapping[str, MetricSpec], problems: Problems) -> tuple[CheckSpec, ...]:
    """Return all checks, after noting what is wrong.

    Args:
        raw: [check] as read, or None.
        metrics: Those of the trial's steps by name, also of steps that are wrong otherwise.
        problems: Where to note.
    """
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        problems.at_value(
            ("check",), "E016", "`check` needs a table of metrics", f"below [check], {_EXAMPLE}"
        )
        return ()
    checks: list[CheckSpec] = []
    for name, table in raw.items():
        where: Path = ("check", name)
        if name not in metrics:
            known = f"metrics: {', '.join(metrics)}" if metrics else "a step yields one by metric.NAME"
            problems.at_key(
                where, "E050", f"no step yields a metric `{name}`", did_you_mean(name, metrics, known)
            )
        if isinstance(table, dict):
            checks += _read_check(where, table, metrics.get(name), problems)
        else:
            shown = f'"{table}"' if isinstance(table, str) else table
            hint = f"write {name}.max = {shown}, or min, or equals"
            problems.at_value(where, "E016", f"`{name}` needs a table of limits", hint)
    return tuple(checks)


def _read_check(
    where: Path, raw: Mapping[str, Any], metric: MetricSpec | None, problems: Problems
) -> list[CheckSpec]:
    known, others = split_keys(raw, where, KINDS, LATER_CHECK_KEYS, problems)
    if not known and not others:
        problems.at_key(where, "E015", f"the check of `{where[-1]}` has no limit", _EXAMPLE)
    table = read_table(CheckTable, known, where, problems)
    if table is None or metric is None:
        return []
    found: dict[Kind, CheckSpec] = {}
    for kind in KINDS:
        quantity: units.Quantity | None = getattr(table, kind)
        if quantity is not None and (check := _in_unit(where, kind, quantity, metric, problems)):
            found[kind] = check
    _check_against_each_other(where, found, problems)
    return list(found.values())


def _in_unit(
    where: Path, kind: Kind, quantity: units.Quantity, metric: MetricSpec, problems: Problems
) -> CheckSpec | None:
    unit = quantity.unit or metric.unit
    if not units.can_convert(unit, metric.unit):
        message = f"`{kind}` is in `{unit}`, but `{metric.name}` {_is_in(metric)}"
        hint = "write both in the same unit, or in units of one kind"
        if not metric.unit:
            hint = f'give the metric its unit on line {metric.line}, as in unit = "{unit}"'
        problems.at_value((*where, kind), "E051", message, hint)
        return None
    return CheckSpec(
        metric=metric.name,
        kind=kind,
        line=problems.positions.key((*where, kind)).line,
        limit=units.convert(quantity.value, unit, metric.unit),
        text=f"{quantity.value:.12g} {unit}".strip(),
    )


def _is_in(metric: MetricSpec) -> str:
    return f"is in `{metric.unit}`" if metric.unit else "has no unit"


def _check_against_each_other(where: Path, found: Mapping[Kind, CheckSpec], problems: Problems) -> None:
    low, high = found.get("min"), found.get("max")
    if low and high and low.limit > high.limit:
        message = f"nothing is at least {low.text} and at most {high.text}"
        problems.at_value((*where, "min"), "E052", message)
    if "equals" in found and (low or high):
        message = "`equals` says what `min` and `max` could say"
        problems.at_key((*where, "equals"), "E052", message, "leave out the others")
