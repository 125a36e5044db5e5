"""Numbers with units."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.trial.units import (
    DATA,
    Quantity,
    UnitError,
    can_convert,
    convert,
    family,
    is_unit,
    parse,
    to_bytes,
)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("9 Gbit/s", 9.0, "Gbit/s"),
        ("50ms", 50.0, "ms"),
        ("3%", 3.0, "%"),
        (" -1.5e3  MB ", -1500.0, "MB"),
        ("12", 12.0, ""),
        (".5 s", 0.5, "s"),
        ("7 lost frames", 7.0, "lost frames"),
        ("2 1/s", 2.0, "1/s"),
        ("4 exotic", 4.0, "exotic"),
    ],
)
def test_a_number_is_told_from_its_unit(text: str, value: float, unit: str) -> None:
    """A unit that nobody knows is a name, and may begin as an exponent does."""
    assert parse(text) == Quantity(value, unit)


@pytest.mark.parametrize(
    "text", ["", "fast", "1,000 ms", "1.2.3", "5 -", "1e999 s", "1e5000", "3 " + "x" * 40, "2 a\x1bb", "5 5"]
)
def test_what_is_no_number_with_a_unit_is_refused(text: str) -> None:
    """A limit that was read half would be checked wrongly for ever."""
    with pytest.raises(UnitError):
        parse(text)


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (9, "Gbit/s", "bit/s", 9e9),
        (1, "GB/s", "Gbit/s", 8.0),
        (100, "Mbps", "MB/s", 12.5),
        (1, "GiB", "MiB", 1024.0),
        (1, "KiB", "B", 1024.0),
        (1, "kB", "KB", 1.0),
        (50, "ms", "s", 0.05),
        (250, "\N{MICRO SIGN}s", "ms", 0.25),
        (90, "min", "h", 1.5),
        (60, "MB/min", "MB / s", 1.0),
        (2, "kHz", "1/s", 2000.0),
        (120, "/min", "Hz", 2.0),
        (3, "%", "percent", 3.0),
        (10, "k", "", 10_000.0),
        (7, "frames", "frames", 7.0),
        (0.1, "s", "ms", 100.0),
    ],
)
def test_units_of_a_family_convert(value: float, source: str, target: str, result: float) -> None:
    """Exactly: a limit must not fail by the last bit of a float."""
    assert can_convert(source, target)
    assert convert(value, source, target) == result


@pytest.mark.parametrize(
    ("source", "target"),
    [("ms", "bit/s"), ("GB", "Gbit/s"), ("frames", "frame"), ("%", ""), ("", "ms"), ("Mb/s", "Mbit/s")],
)
def test_units_of_two_families_do_not(source: str, target: str) -> None:
    """A percent is not a number without a unit: whether 3 or 0.03 was meant is not for us to guess."""
    assert not can_convert(source, target)
    with pytest.raises(UnitError, match="cannot be converted"):
        convert(1, source, target)


def test_what_is_no_number_stays_none() -> None:
    """A program may well print inf."""
    assert convert(math.inf, "ms", "s") == math.inf
    assert math.isnan(convert(math.nan, "ms", "s"))


@pytest.mark.parametrize(
    ("text", "size"), [("2 GiB", 2 << 30), ("100 MB", 10**8), ("0.5 KiB", 512), ("8 bit", 1)]
)
def test_amounts_of_data_are_whole_bytes(text: str, size: int) -> None:
    """For limits of files and memory."""
    assert to_bytes(text) == size


@pytest.mark.parametrize("text", ["5", "5 s", "1 bit", "-1 MB", "5 MB/s", "many"])
def test_other_amounts_are_refused(text: str) -> None:
    """A bare number could be meant in anything."""
    with pytest.raises(UnitError):
        to_bytes(text)


@given(st.floats(1e-6, 1e12), st.sampled_from(sorted(DATA)), st.sampled_from(sorted(DATA)))
def test_there_and_back_again(value: float, source: str, target: str) -> None:
    """A report may show another unit than the check has."""
    assert math.isclose(convert(convert(value, source, target), target, source), value)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_an_error(text: str) -> None:
    """Also what a unit must be able to stand for: nothing that can be read as a part of the number."""
    with contextlib.suppress(UnitError):
        value, unit = parse(text)
        assert unit == "" or is_unit(unit)
        assert parse(f"{value!r} {unit}") == (value, unit)
    if is_unit(text):
        family(text)
        assert parse(f"3 {text}") == (3.0, text.strip())
