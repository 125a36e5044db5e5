"""Durations as people write them."""

import contextlib
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.trial.durations import MAX_DURATION_S, NoDurationError, seconds, suggestion


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30.0),
        ("200ms", 0.2),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m 5s", 5405.0),
        ("2 ms", 0.002),
        ("1.5s", 1.5),
        ("0.1s", 0.1),
        ("500us", 0.0005),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, expected: float) -> None:
    """Exactly: three times 0.1 s must not become 0.30000000000000004 s."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 sec", "-3s", "1e3s", "3s4", "٣s", "1.s", ".5s", "3S", "inf", "1h30"]
)
def test_anything_else_is_none(text: str) -> None:
    """A bare number could be anything: the unit is what people forget."""
    with pytest.raises(NoDurationError):
        seconds(text)


@pytest.mark.parametrize("text", ["5m1h", "1s1s", "8760h"])
def test_a_slip_is_no_duration(text: str) -> None:
    """Units in the wrong order, twice, or far too many of them."""
    with pytest.raises(ValueError, match=r"order|limit"):
        seconds(text)


@given(st.text("0123456789. smhu", max_size=12))
def test_what_is_read_is_within_the_limits(text: str) -> None:
    """Nothing but a ValueError, and no negative, infinite or endless duration."""
    with contextlib.suppress(ValueError):
        assert 0 <= seconds(text) <= MAX_DURATION_S


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (30, "s", '"30s"'),
        (0.2, "s", '"200ms"'),
        (20, "ms", '"20ms"'),
        ("45 minutes", "s", '"45m"'),
        (time(0, 5), "s", '"5m"'),
        (time(1, 0, 5), "s", '"1h5s"'),
        (True, "s", '"30s"'),
        (-3, "s", '"30s"'),
        ("soon", "ms", '"20ms"'),
    ],
)
def test_the_suggestion_is_what_was_meant(value: object, unit: str, expected: str) -> None:
    """The hint of a bare number is its repair."""
    assert suggestion(value, unit) == expected
    assert seconds(suggestion(value, unit).strip('"')) > 0
