"""The end of a run: what matters of result.json, in few lines."""

import pytest

from fabric.report.quantities import about, clock, quantity
from fabric.report.style import Palette
from fabric.report.summary import summary


def lines(result: dict[str, object], *told: str) -> list[str]:
    return list(summary(result, Palette(color=False), told=told))


def phase(repeat: int, skew_s: float | None, cell: int = 0) -> dict[str, object]:
    return {
        "cell": cell,
        "repeat": repeat,
        "phase": "run",
        "skew_s": skew_s,
        "skew_bound_s": 0.0001,
        "latest_node": f"lab{repeat}",
    }


def test_the_skew_of_all_repeats_is_one_row() -> None:
    """A thousand repeats have a thousand skews; the greatest decides."""
    result = {"phases": [phase(1, 0.001), phase(2, 0.004), phase(3, 0.002), phase(4, None)]}
    assert lines(result) == [
        "  PHASE  GREATEST SKEW  MEDIAN  IN        LATEST",
        "  run    4 ms ± 0.1 ms  2 ms    repeat 2  lab2",
    ]


def test_metrics_are_shown_by_cell_with_their_spread() -> None:
    """The numbers are what the run was made for."""
    cells = [
        {"cell": 1, "n": 3, "median": 9.41e9, "min": 9.4e9, "max": 9.5e9},
        {"cell": 2, "n": 1, "median": 4e9, "min": 4e9, "max": 4e9},
        {"cell": 3, "n": 0, "median": None},
    ]
    result = {
        "metrics": [{"name": "throughput", "unit": "bit/s", "cells": cells}],
        "cells": [{"cell": 1, "variables": {"streams": "1"}}, {"cell": 2, "variables": {"streams": "8"}}],
    }
    assert lines(result) == [
        "  METRIC      CELL       MEDIAN       SPREAD                             N",
        "  throughput  streams=1  9.41 Gbit/s  9.4 Gbit/s to 9.5 Gbit/s (1.06 %)  3",
        "  throughput  streams=8  4 Gbit/s                                        1",
    ]


def test_checks_that_do_not_hold_are_named() -> None:
    """Those that hold are counted."""
    check = {"metric": "p99", "kind": "max", "limit_text": "50 ms", "unit": "ms", "cell": 2, "repeat": 1}
    result = {"checks": [check | {"ok": True, "value": 1.0}, check | {"ok": False, "value": 61.25}]}
    assert lines(result) == ["checks: 1 of 2 hold", "  p99.max 50 ms, repeat 2.1: 61.2 ms"]
    cells = [{"cell": 2, "variables": {"streams": "8"}}]
    assert lines({**result, "cells": cells})[1] == "  p99.max 50 ms, repeat 2.1 (streams=8): 61.2 ms"
    assert lines({"checks": [check | {"ok": False, "value": None}]})[1].endswith("repeat 2.1: no value")


def test_a_check_that_does_not_hold_is_told_once() -> None:
    """It is a reason of the verdict, too; in a sweep that would be two lists of the same."""
    check = {"metric": "p99", "kind": "max", "limit_text": "50 ms", "unit": "ms", "line": 9, "repeat": 1}
    result = {
        "file": "t.toml",
        "checks": [check | {"cell": cell, "ok": False, "value": 61.25} for cell in (1, 2)],
        "why": [
            *(f"t.toml:9: check p99.max: 61.2 ms in cell {cell}, repeat 1 is not ..." for cell in (1, 2)),
            "t.toml:4: run/a step a-1 on n1: exit 1",
        ],
    }
    assert lines(result) == [
        "checks: 0 of 2 hold",
        "  t.toml:9: p99.max 50 ms, repeat 1.1: 61.2 ms",
        "  t.toml:9: p99.max 50 ms, repeat 2.1: 61.2 ms",
        "t.toml:4: run/a step a-1 on n1: exit 1",
    ]


def test_reasons_are_bounded() -> None:
    """Fifty nodes may have fifty reasons."""
    shown = lines({"why": [f"reason {number}" for number in range(50)]})
    assert shown[-1] == "... and 40 more reasons in result.json"
    shown = lines({"why": [f"reason {number}" for number in range(11)]})
    assert shown[-1] == "... and 1 more reason in result.json"


def test_a_reason_that_was_told_in_full_is_not_told_again() -> None:
    """A failed step is a reason for each of its nodes; what it says has just been shown."""
    why = ["a.toml:3: run/a step a-1 on lab1: exit 1", "lab2 is away"]
    assert lines({"why": why}, "a.toml:3: run/a step a-1 on ") == ["lab2 is away"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (9.41e9, "bit/s", "9.41 Gbit/s"),
        (999.9, "B", "1 kB"),
        (12, "", "12"),
        (0.000123, "s", "0.000123 s"),
        (1234.5, "ms", "1234 ms"),
        (float("nan"), "ms", "nan ms"),
        (123456, "req/s", "1.23e+05 req/s"),
    ],
)
def test_a_value_has_few_digits(value: float, unit: str, text: str) -> None:
    """Three digits are what a person compares."""
    assert quantity(value, unit) == text


def test_times_to_come_and_times_gone_by() -> None:
    """An estimate has no seconds once it has minutes; a stopwatch has."""
    assert [about(s * 10**9) for s in (40, 720, 11_400)] == ["40 s", "12 min", "3 h 10 min"]
    assert [clock(s * 10**9) for s in (12, 185, 3723)] == ["12 s", "3:05", "1:02:03"]
