"""PURE.  What a run came to, for people: verdict and why, checks, metrics, skew, and where everything is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from fabric.report.quantities import beside, counted, duration, number, quantity
from fabric.report.sentences import skew
from fabric.report.style import Level, Palette, printable

WHYS: Final = 10
"""Most reasons that are shown; all are in result.json."""

ROWS: Final = 40
"""Most rows of a table."""

NS: Final = 1_000_000_000

_MIN_SPREAD: Final = 2


def summary(result: Mapping[str, Any], palette: Palette, *, told: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines of a result (as in result.json), but for the verdict, which stands last.

    Args:
        result: As in result.json; what is missing is left out.
        palette: Colours, or none.
        told: What the reasons begin with that need not be told again.
    """
    yield from _skews(result.get("phases", ()), palette)
    yield from _offsets(result.get("phases", ()))
    yield from _metrics(result.get("metrics", ()), result.get("cells", ()), palette)
    yield from _checks(result, palette)
    whys = untold(result, told)
    yield from (f"{printable(why)}" for why in whys[:WHYS])
    if len(whys) > WHYS:
        yield f"... and {counted(len(whys) - WHYS, 'more reason')} in result.json"


def untold(result: Mapping[str, Any], told: Sequence[str] = ()) -> list[str]:
    """Return the reasons of the verdict but for the verdict itself, and the checks that stand in a table.

    Args:
        result: As in result.json; what is missing is left out.
        told: What the reasons begin with that need not be told again.
    """
    heads = {
        f"{_source(result, check)}check {check['metric']}.{check['kind']}: " for check in _failed(result)
    }
    known = (*told, *heads)
    return [
        why for why in result.get("why", ()) if why != result.get("verdict") and not why.startswith(known)
    ]


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], palette: Palette, title: str = ""
) -> Iterator[str]:
    """Yield the lines of a table; only its last column may be wide."""
    cells = [list(head), *(list(map(printable, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    if title:
        yield title
    for place, row in enumerate(cells):
        line = "  " + "  ".join(map(str.ljust, row, widths)).rstrip()
        yield palette.faint(line) if place == 0 else line


def _skews(phases: Sequence[Mapping[str, Any]], palette: Palette) -> Iterator[str]:
    """Yield the skew of each phase, over all its repeats."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for phase in phases:
        if phase.get("skew_s") is not None:
            found.setdefault(phase["phase"], []).append(phase)
    rows = []
    for name, entries in found.items():
        worst = max(entries, key=lambda entry: entry["skew_s"])
        middle = median([entry["skew_s"] for entry in entries])
        where = f"repeat {_repeat(worst)}" if len(entries) > 1 else ""
        text = skew(round(worst["skew_s"] * NS), _ns(worst.get("skew_bound_s")))
        latest, why = worst.get("latest_node") or "", worst.get("delayed_by") or ""
        rows.append((name, text, duration(round(middle * NS)), where, latest, why))
    if rows:
        head = ("PHASE", "GREATEST SKEW", "MEDIAN", "IN", "LATEST", "WHY")
        columns = len(head) if any(row[-1] for row in rows) else len(head) - 1
        yield from table(head[:columns], [row[:columns] for row in rows], palette)


def _offsets(phases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield for each phase with `at` or `spread` how well that was kept, over all its repeats."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for phase in phases:
        if phase.get("at"):
            found.setdefault(phase["phase"], []).append(phase["at"])
    for name, entries in found.items():
        worst = max(entries, key=lambda entry: entry["max_late_s"])
        count = sum(entry["starts"] for entry in entries)
        late = f"at most {_late(worst['max_late_s'])} ({worst['step']} on {worst['node']})"
        middle = _late(median([entry["median_late_s"] for entry in entries]))
        yield f"  {name}: {count} starts after t0 as planned, median {middle}, {late}"


def _late(seconds: float) -> str:
    return f"{duration(max(0, round(seconds * NS)))} late"


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NS)


def _repeat(entry: Mapping[str, Any]) -> str:
    cell = entry.get("cell")
    return f"{cell}.{entry['repeat']}" if cell else str(entry["repeat"])


def _metrics(
    metrics: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]], palette: Palette
) -> Iterator[str]:
    """Yield each metric in each cell: median, spread and number of the repeats that count."""
    names = {cell["cell"]: _variables(cell) for cell in cells}
    rows = [
        (
            metric["name"],
            names.get(entry["cell"], ""),
            quantity(entry["median"], metric.get("unit", "")),
            _spread(entry, metric.get("unit", "")),
            str(entry["n"]),
        )
        for metric in metrics
        for entry in metric["cells"]
        if entry.get("median") is not None
    ]
    if rows:
        yield from table(("METRIC", "CELL", "MEDIAN", "SPREAD", "N"), rows[:ROWS], palette)
    if len(rows) > ROWS:
        yield f"  ... and {len(rows) - ROWS} more in result.json"


def _variables(cell: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in cell.get("variables", {}).items())


def _spread(entry: Mapping[str, Any], unit: str) -> str:
    """Return from the least to the greatest value, and how much that is of the median."""
    low, high, middle = entry.get("min"), entry.get("max"), entry["median"]
    if low is None or high is None or entry["n"] < _MIN_SPREAD:
        return ""
    part = f" ({number(100 * (high - low) / abs(middle))} %)" if middle else ""
    return f"{quantity(low, unit)} to {quantity(high, unit)}{part}"


def _checks(result: Mapping[str, Any], palette: Palette) -> Iterator[str]:
    """Yield how many checks held, and each that did not; it is not told again as a reason."""
    names = {cell["cell"]: _variables(cell) for cell in result.get("cells", ())}
    checks, failed = result.get("checks", ()), _failed(result)
    if not checks:
        return
    level: Level = "error" if failed else "good"
    yield palette.level(level, f"checks: {len(checks) - len(failed)} of {len(checks)} hold")
    for check in failed[:WHYS]:
        what = f"{_source(result, check)}{check['metric']}.{check['kind']} {check['limit_text']}"
        yield f"  {printable(what)}, {_place(check, names)}: {_value(check)}"
    if len(failed) > WHYS:
        yield f"  ... and {len(failed) - WHYS} more in result.json"


def _failed(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the checks that do not hold."""
    return [check for check in result.get("checks", ()) if not check["ok"]]


def _source(result: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    """Return ``trial.toml:40: ``, the line of a check, as editors find it."""
    return f"{result['file']}:{check['line']}: " if result.get("file") and check.get("line") else ""


def _place(check: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """Return in which cell, by what is varied, and which repeat."""
    name = names.get(check.get("cell") or 0, "")
    return f"repeat {_repeat(check)}" + (f" ({name})" if name else "")


def _value(check: Mapping[str, Any]) -> str:
    value = check.get("value")
    if value is None:
        return "no value"
    return (
        printable(value)
        if isinstance(value, str)
        else beside(value, check.get("limit", value), check.get("unit", ""))
    )


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two; of one value at least."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
