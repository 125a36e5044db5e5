"""One timeline of many nodes: in order as far as one can wait, and honest about the rest."""

import random

from fabric.report.ordering import LATE_NS, WINDOW_NS, MovingWindow, WholeOrder
from fabric.report.timeline import Line

MS = 1_000_000


def line(t_ms: int, node: str = "lab1", text: str = "") -> Line:
    return Line(t_ms * MS, (node,), "1/run/a/b", 1, "a/b", "1/run", "stdout", text or str(t_ms), "plain")


def texts(lines: object) -> list[str]:
    return [one.text for one in lines]  # type: ignore[attr-defined]


def test_lines_of_a_moment_are_put_in_order() -> None:
    """Nodes ship at different moments: 30 comes after 50 and belongs before it."""
    window = MovingWindow()
    assert texts(window.take([line(50), line(30, "lab2"), line(40)], 0)) == []
    assert window.deadline_ns == WINDOW_NS
    assert texts(window.take([], WINDOW_NS)) == ["30", "40", "50"]
    assert window.deadline_ns is None


def test_nobody_waits_for_what_is_a_window_behind() -> None:
    """While a run is caught up with, the lines' own instants say when they can go."""
    window = MovingWindow()
    later = line(10 + WINDOW_NS // MS)
    assert texts(window.take([line(10), later], 0)) == ["10"]
    assert texts(window.finish()) == [later.text]


def test_what_comes_late_is_shown_and_said_to_be_late_once() -> None:
    """A node that was cut off reports when it is back: its lines must not pass for present ones."""
    window = MovingWindow()
    list(window.take([line(5_000)], 0))
    assert texts(window.take([], WINDOW_NS)) == ["5000"]
    late = [line(1_000, "lab2"), line(1_001, "lab2")]
    shown = list(window.take(late, WINDOW_NS))
    assert [one.is_loss for one in shown] == [True, False, False]
    assert shown[0].text == "late by 4.0 s: what lab2 says now belongs further up"
    assert LATE_NS < 4_000 * MS


def test_a_finished_run_is_in_complete_order_with_flat_memory() -> None:
    """However late something came; pieces go to files, and equal instants keep their order."""
    order = WholeOrder(held_lines=7)
    lines = [line(number // 3, text=str(number)) for number in range(1_000)]
    shuffled = lines[:]
    random.Random(1).shuffle(shuffled)
    assert texts(order.take(shuffled, 0)) == []
    out = list(order.finish())
    assert [one.t_ns for one in out] == [one.t_ns for one in lines]
    assert sorted(out) == sorted(lines)
    same = WholeOrder(held_lines=2)
    list(same.take([line(1, text=str(number)) for number in range(9)], 0))
    assert texts(same.finish()) == [str(number) for number in range(9)]
