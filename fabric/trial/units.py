"""Numbers with units, "9 Gbit/s" or "3%", and what they are in another unit.

A unit of a known family converts into any other of it: times, data (in bits or bytes, decimal or binary),
rates (data over time), frequencies, percents and plain counts.  A unit that is not known is a name like any
other: it converts into itself alone, so that a metric may be in "frames" or "req/s".
"""

import re
from fractions import Fraction
from typing import Final, Literal, NamedTuple

Family = Literal["time", "data", "rate", "frequency", "percent", "count"]

MAX_UNIT_CHARS: Final = 32
"""Longest unit: it stands beside the number in every table."""

_NUMBER: Final = re.compile(
    r"\s*([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?)"
)
_UNIT: Final = re.compile(r"[^\s\d+.,-](?:[^\s]| (?=\S))*|1/\S+")
_MICRO: Final = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})

_DECIMAL: Final = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_PREFIXES: Final = {
    **{prefix: Fraction(10**power) for prefix, power in _DECIMAL.items()},
    **{prefix: Fraction(1024**power) for prefix, power in _BINARY.items()},
}

TIMES: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
}
"""Seconds."""

DATA: Final = {
    **{f"{prefix}bit": factor for prefix, factor in _PREFIXES.items()},
    **{f"{prefix}B": factor * 8 for prefix, factor in _PREFIXES.items()},
    "KB": Fraction(8000),
    "bits": Fraction(1),
    "byte": Fraction(8),
    "bytes": Fraction(8),
}
"""Bits."""

_SHORT_RATES: Final = {f"{prefix}bps": _PREFIXES[prefix] for prefix in _DECIMAL}
_FREQUENCIES: Final = {f"{prefix}Hz": _PREFIXES[prefix] for prefix in _DECIMAL}
_COUNTS: Final = {prefix: _PREFIXES[prefix] for prefix in ("", "k", "M", "G")}


class UnitError(ValueError):
    """It is no number with a unit, or cannot be converted.  The text continues "`key` ..."."""


class Quantity(NamedTuple):
    """A number and its unit as written; "": none."""

    value: float
    unit: str


def parse(text: str) -> Quantity:
    """Return the number and the unit of "9 Gbit/s", "50ms", "-3 %", "1e6" or "12 frames".

    Raises:
        UnitError: If it does not begin with a number, or what follows cannot be a unit.
    """
    number = _NUMBER.match(text)
    if number is None:
        raise UnitError("needs a number, with a unit if it has one")
    value = float(number[1])
    if value in (float("inf"), float("-inf")):
        raise UnitError("is too large a number")
    unit = text[number.end() :].strip()
    if unit and not is_unit(unit):
        raise UnitError(f"has `{unit:.40}` behind its number, which is no unit")
    return Quantity(value, unit)


def is_unit(text: str) -> bool:
    """Whether a text can be a unit, known or not: short, and not to be taken for a part of the number."""
    return 0 < len(text) <= MAX_UNIT_CHARS and text.isprintable() and bool(_UNIT.fullmatch(text))


def family(unit: str) -> Family | None:
    """Return which family a unit is of ("count" for ""), or None for one that is not known."""
    found = _find(unit)
    return found and found[0]


def can_convert(source: str, target: str) -> bool:
    """Whether `convert` knows how."""
    if source == target:
        return True
    known = family(source)
    return known is not None and known == family(target)


def convert(value: float, source: str, target: str) -> float:
    """Return a number of one unit as one of another.

    Raises:
        UnitError: If the units are not of one family; units that are not known have to be the same.
    """
    if source == target:
        return value
    one, other = _find(source), _find(target)
    if one is None or other is None or one[0] != other[0]:
        raise UnitError(f"is in {_named(source)}, which cannot be converted into {_named(target)}")
    factor = one[1] / other[1]
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - that is how a NaN is told
        return value
    return float(Fraction(value) * factor)  # exact: 9 Gbit/s are 9e9 bit/s, not nearly so many


def to_bytes(text: str) -> int:
    """Return the bytes of "2 GiB" or "100 MB".

    Raises:
        UnitError: If it is no amount of data, or not of whole bytes.
    """
    value, unit = parse(text)
    if family(unit) != "data":
        raise UnitError("needs an amount of data with its unit")
    amount = Fraction(_exact(text)) * DATA[_plain(unit)] / 8
    if value < 0:
        raise UnitError("cannot be negative")
    if amount.denominator != 1:
        raise UnitError("has to be a whole number of bytes")
    return int(amount)


def _exact(text: str) -> str:
    number = _NUMBER.match(text)
    return number[1] if number else ""


def _plain(unit: str) -> str:
    return re.sub(r"\s*/\s*", "/", unit.translate(_MICRO))


def _find(unit: str) -> tuple[Family, Fraction] | None:
    """Return the family of a unit and its size in the base of that family."""
    plain = _plain(unit)
    tables: tuple[tuple[Family, dict[str, Fraction]], ...] = (
        ("count", _COUNTS),
        ("time", TIMES),
        ("data", DATA),
        ("rate", _SHORT_RATES),
        ("frequency", _FREQUENCIES),
        ("percent", {"%": Fraction(1), "percent": Fraction(1)}),
    )
    for name, table in tables:
        if plain in table:
            return name, table[plain]
    above, slash, below = plain.partition("/")
    if not slash or below not in TIMES:
        return None
    if above in DATA:
        return "rate", DATA[above] / TIMES[below]
    if above in ("", "1"):
        return "frequency", 1 / TIMES[below]
    return None


def _named(unit: str) -> str:
    return f"`{unit}`" if unit else "no unit"
