"""PURE.  Numbers as a person reads them: few digits, and a unit that fits."""

import math
from typing import Final

_SECOND_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _SECOND_NS
_HOUR_MIN: Final = 60

_SCALED: Final = frozenset({"B", "bit", "B/s", "bit/s", "Hz", "W", "lines/s"})
"""Units that are written with a prefix where the number is large."""

_PREFIXES: Final = ("", "k", "M", "G", "T", "P")
_THOUSAND: Final = 1000.0
_SEEN_AT_ONCE: Final = 20
"""An end that was seen later than by this part of the duration makes that one an upper limit for people."""

_EXACT: Final = 100_000
"""Whole numbers below it are written in full."""


def duration(ns: int) -> str:
    """Return a duration with a unit that fits: ``0.31 ms``, ``2.1 s``, ``3 min 20 s``."""
    if ns < _SECOND_NS:
        return f"{ns / 1e6:.3g} ms" if ns < _SECOND_NS - 500_000 else "1.0 s"  # not "1e+03 ms"
    if ns < _MINUTE_NS:
        return f"{ns / 1e9:.1f} s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    return f"{minutes} min {seconds} s"


def counted(count: int, name: str) -> str:
    """Return so many of something: ``1 node``, ``3 nodes``."""
    return f"{count} {name}{'s' * (count != 1)}"


def lasted(ns: int, late_ns: int = 0) -> str:
    """Return how long a step took: ``2.1 s``, ``at most 14 ms`` if its end was seen late."""
    return f"at most {duration(ns)}" if late_ns * _SEEN_AT_ONCE > ns else duration(ns)


def after(reason: str, ns: int, late_ns: int = 0) -> str:
    """Return what stands behind how a step ended: `` after 14 ms``; "" where the words before tell a time."""
    return f" after {lasted(ns, late_ns)}" if ns and reason not in ("timeout", "not_ready") else ""


def about(ns: int) -> str:
    """Return a duration that nobody knows exactly: ``40 s``, ``12 min``, ``3 h 10 min``."""
    seconds = max(0, round(ns / 1e9))
    if seconds < 100:  # noqa: PLR2004 - then minutes are as good
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 2 * _HOUR_MIN:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def clock(ns: int) -> str:
    """Return a duration that is going on, in whole seconds: ``12 s``, ``3:05``, ``1:02:03``."""
    seconds = max(0, ns // _SECOND_NS)
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def size(count: int) -> str:
    """Return a number of bytes: ``512 B``, ``1.2 kB``."""
    return quantity(count, "B")


def quantity(value: float, unit: str = "") -> str:
    """Return a value with its unit, three digits and a prefix where one is usual: ``9.41 Gbit/s``."""
    if not math.isfinite(value):
        return f"{value} {unit}".rstrip()
    prefix = ""
    if unit in _SCALED:
        step = 0
        while abs(value) >= _THOUSAND - 0.5 and step < len(_PREFIXES) - 1:
            value, step = value / _THOUSAND, step + 1
        prefix = _PREFIXES[step]
    return f"{number(value)} {prefix}{unit}".rstrip()


def beside(value: float, limit: float, unit: str = "") -> str:
    """Return a value that is shown with its limit: with more digits if it would look the same."""
    text = quantity(value, unit)
    if value != limit and text == quantity(limit, unit):
        return f"{value:.9g} {unit}".rstrip()
    return text


def number(value: float) -> str:
    """Return a number with three digits at least that matter, and no exponent where none is needed."""
    if value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    return f"{value:.0f}" if _THOUSAND <= abs(value) < _EXACT else f"{value:.3g}"
