"""Small plots as SVG, drawn from numbers alone; every text in them is escaped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from fabric.report.quantities import quantity

WIDTH: Final = 720
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 28, 12, 34
_TICKS: Final = 5
_LABEL_CHARS: Final = 18
"""Longest label below a plot."""

_CHAR: Final = 6.2
"""About how wide a character is; labels that would lie on one another are left out."""

_Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Column:
    """The values that stand above one place of the x axis."""

    label: str
    values: Sequence[float]
    bounds: Sequence[float] = ()
    """Half-widths of the values, if they have any."""


def dots(columns: Sequence[Column], unit: str) -> str:
    """Return a plot with a dot for each value and a bar at each column's median; "" without values."""
    values = [value for column in columns for value in column.values if math.isfinite(value)]
    if not values:
        return ""
    ticks = nice_ticks(min(0.0, *values), max(values))
    low, high = ticks[0], ticks[-1]

    def y_of(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    room = (WIDTH - _LEFT - _RIGHT) / len(columns)
    parts = [_axis(ticks, y_of, unit)]
    widest = max(len(_short(column.label)) for column in columns) * _CHAR + 8
    every = math.ceil(widest / room)
    for index, column in enumerate(columns):
        x = _LEFT + room * (index + 0.5)
        parts += _column(column, x, min(room, 40.0), y_of)
        if index % every == 0:
            text = escape(_short(column.label))
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="middle">{text}</text>')
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Return round numbers that span from ``low`` to ``high``, at least two."""
    span = high - low or abs(high) or 1.0
    raw = span / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [number * step for number in range(first, last + 1)]


def _column(column: Column, x: float, width: float, y_of: _Scale) -> list[str]:
    parts = []
    finite = sorted(value for value in column.values if math.isfinite(value))
    if len(finite) > 1:
        y, half = y_of(finite[len(finite) // 2]), width / 3
        parts.append(
            f'<line class="median" x1="{x - half:.1f}" y1="{y:.1f}" x2="{x + half:.1f}" y2="{y:.1f}"/>'
        )
    for index, value in enumerate(column.values):
        if not math.isfinite(value):
            continue
        if index < len(column.bounds):
            bound = column.bounds[index]
            ends = f'y1="{y_of(value - bound):.1f}" x2="{x:.1f}" y2="{y_of(value + bound):.1f}"'
            parts.append(f'<line class="bound" x1="{x:.1f}" {ends}/>')
        title = f"<title>{escape(column.label)}: {value:.6g}</title>"
        parts.append(f'<circle cx="{x:.1f}" cy="{y_of(value):.1f}" r="3">{title}</circle>')
    return parts


def _axis(ticks: Sequence[float], y_of: _Scale, unit: str) -> str:
    parts = []
    for tick in ticks:
        y = y_of(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        text = escape(quantity(tick, unit))
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return "".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= _LABEL_CHARS else text[: _LABEL_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"
