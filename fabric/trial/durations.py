"""Durations as people write them: "30s", "200ms", "1h30m"."""

import re
from datetime import time
from fractions import Fraction
from typing import Final

MAX_DURATION_S: Final = 7 * 86_400.0
"""Longest duration of a trial: what is longer is a slip of the unit, not a test."""

UNITS_S: Final = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
PATTERN: Final = (
    "^" + "".join(rf"([0-9]+(\.[0-9]+)? ?{unit} ?)?" for unit in ("h", "m", "s", "ms", "us")) + "$"
)
"""For the JSON Schema: what a duration looks like."""

_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)[ ]?(us|ms|s|m|h)[ ]?", re.ASCII)
_IN_WORDS: Final = re.compile(
    r"(\d{1,9})\s*(?:(milli|msec|micro|usec|sec|min|hour|hr|day|d$)[a-z]*)?", re.ASCII | re.IGNORECASE
)
_SHORT: Final = {
    "micro": "us",
    "usec": "us",
    "milli": "ms",
    "msec": "ms",
    "sec": "s",
    "min": "m",
    "hour": "h",
    "hr": "h",
}
_STRANGE: Final = re.compile(r"\s*[\d.]+\s*([^\W\d_]+)\s*")
_GUESSABLE: Final = 1e9  # a number beyond is no slip of a unit
_ORDER: Final = list(UNITS_S)


class NoDurationError(ValueError):
    """It is not written as a duration."""


def seconds(text: str, most_s: float = MAX_DURATION_S) -> float:
    """Return the seconds of a duration: numbers with units, the larger unit first.

    Raises:
        NoDurationError: If it is none.
        ValueError: If it is one, but not a good one.  Both texts continue "`timeout` ...".
    """
    total, position, smallest = Fraction(0), 0, len(_ORDER)
    while part := _PART.match(text, position):
        rank = _ORDER.index(part[2])
        if rank >= smallest:
            raise ValueError("has its units in the wrong order, or one of them twice")
        total, position, smallest = total + Fraction(part[1]) * UNITS_S[part[2]], part.end(), rank
    if not text or position < len(text):
        raise NoDurationError("needs a duration with its unit")
    if total > most_s:
        raise ValueError(f"is longer than the limit of {most_s / 86_400:g} days")
    return float(total)


def suggestion(value: object, unit: str) -> str:
    """Return how to write what was likely meant by a value that is no duration, in quotes.

    ``unit`` is the one to assume for a bare number.  Without a guess it is an example.
    """
    example = '"30s"' if unit == "s" else '"20ms"'
    if isinstance(value, time):
        return f'"{clock(value.hour, value.minute, value.second)}"'
    if isinstance(value, str):
        return _from_text(_IN_WORDS.fullmatch(value.strip()), unit) or example
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _GUESSABLE:
        return example
    if value < 1 and unit == "s":
        return f'"{value * 1000:g}ms"'
    return f'"{value:.9g}{unit}"'


def has_a_strange_unit(value: object) -> bool:
    """Whether it is a number with a unit that no duration has."""
    found = _STRANGE.fullmatch(value) if isinstance(value, str) else None
    return found is not None and found[1] not in UNITS_S


def _from_text(words: re.Match[str] | None, unit: str) -> str:
    if words is None:
        return ""
    word = (words[2] or "").lower()
    if word in ("d", "day"):
        return f'"{int(words[1]) * 24}h"'
    return f'"{words[1]}{_SHORT[word] if word else unit}"'


def clock(hours: int, minutes: int, secs: int) -> str:
    """Return a time of day, for which TOML takes 00:05:00, as the duration that was meant: "5m"."""
    parts = ((hours, "h"), (minutes, "m"), (secs, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
