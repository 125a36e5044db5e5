"""Which lines of a timeline are marked, for their order is not proven."""

from collections.abc import Iterable

from fabric.report.ordering import AsTheyCome
from fabric.report.proof import Proven
from fabric.report.timeline import Line

MS = 1_000_000


def line(node: str, t_ms: float, bound_ms: float = 1.0) -> Line:
    nodes = (node,) if node else ()
    return Line(
        round(t_ms * MS) + 10**18, nodes, "", 1, "", "", "stdout", "x", "plain", bound_ns=round(bound_ms * MS)
    )


def marks(lines: Iterable[Line]) -> list[bool]:
    proven = Proven(AsTheyCome())
    return [one.is_open for one in proven.take(lines, 0)] + [one.is_open for one in proven.finish()]


def test_lines_of_two_nodes_that_are_closer_than_both_bounds_are_marked() -> None:
    """They may have been said the other way round."""
    assert marks([line("a", 0), line("b", 1.9), line("a", 4.0), line("b", 5.9)]) == [False, True, False, True]
    assert marks([line("a", 0), line("b", 2.0)]) == [False, False]


def test_lines_of_one_node_are_never_marked() -> None:
    """However badly its clock is known, it knows in which order things came."""
    assert marks([line("a", 0, 50), line("a", 0.1, 50), line("a", 0.2, 50)]) == [False] * 3


def test_what_stands_between_them_does_not_prove_an_order() -> None:
    """The line before the last one may be the one whose place is open."""
    assert marks([line("b", 0, 9), line("a", 8, 0.1), line("a", 8.5, 0.1)]) == [False, True, True]
    assert marks([line("a", 0, 9), line("b", 20, 0.1), line("a", 20.05, 0.1)]) == [False, False, True]


def test_what_the_run_says_is_neither_marked_nor_marks() -> None:
    """Its lines tell of what has come before: nothing is open about that."""
    assert marks([line("a", 0), line("", 0.1, 100), line("a", 0.2), line("", 0.3)]) == [False] * 4


def test_a_line_of_an_unknown_instant_is_open() -> None:
    """Without a bound nothing is proven; the first line of all has nothing above it."""
    assert marks([line("a", 0, -1e-6), line("b", 99, -1e-6)]) == [False, True]
