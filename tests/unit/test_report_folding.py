"""Equal lines of many nodes are shown once, and no line is lost by it."""

from fabric.report.folding import APART_NS, SETTLE_NS, WAIT_NS, Folder
from fabric.report.timeline import Line

S = 1_000_000_000


def line(node: str, text: str, t_ns: int = 0, stream: str = "stdout") -> Line:
    return Line(t_ns, (node,), "1/run/a/b", 1, "a/b", "1/run", stream, text, "plain")


def shown(lines: object) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.text, one.nodes) for one in lines]  # type: ignore[attr-defined]


def test_equal_lines_of_all_nodes_are_shown_soon() -> None:
    """Nobody waits a second for `uname -r`: all that have begun have said it."""
    folder = Folder(live=True)
    assert shown(folder.take([line("lab1", "x"), line("lab2", "x")], 0)) == []
    assert folder.deadline_ns == SETTLE_NS
    assert shown(folder.take([], SETTLE_NS)) == [("x", ("lab1", "lab2"))]


def test_a_line_waits_for_those_who_are_slower_but_not_for_ever() -> None:
    """lab2 has begun, so its answer may be the same."""
    folder = Folder(live=True)
    list(folder.take([line("lab2", "begun"), line("lab1", "x")], 0))
    assert shown(folder.take([], WAIT_NS - 1)) == []
    assert shown(folder.take([], WAIT_NS)) == [("begun", ("lab2",)), ("x", ("lab1",))]


def test_what_a_node_says_twice_is_shown_twice() -> None:
    """Two equal lines are two lines, also with another one between them, and streams stay apart."""
    folder = Folder(live=True)
    said = [line(node, text) for node in ("lab1", "lab2") for text in ("x", "y", "x")]
    said.append(line("lab2", "x", stream="stderr"))
    list(folder.take(said, 0))
    both = ("lab1", "lab2")
    assert shown(folder.finish()) == [("x", both), ("y", both), ("x", both), ("x", ("lab2",))]


def test_a_later_round_is_folded_anew() -> None:
    """What was shown is gone from memory; the count of a text goes on behind it."""
    folder = Folder(live=True)
    list(folder.take([line("lab1", "x"), line("lab2", "x")], 0))
    list(folder.take([], WAIT_NS))
    list(folder.take([line("lab2", "x"), line("lab1", "x")], WAIT_NS))
    assert shown(folder.finish()) == [("x", ("lab2", "lab1"))]


def test_what_is_stored_is_folded_by_its_own_instants() -> None:
    """The same command shows the same lines each time, on a slow machine too."""
    folder = Folder(live=False)
    assert folder.deadline_ns is None
    out = list(folder.take([line("lab1", "x"), line("lab2", "x", APART_NS - 1)], 10 * S))
    out += folder.take([line("lab3", "x", APART_NS)], 10 * S)
    assert shown(out) == [("x", ("lab1", "lab2", "lab3"))]
    assert shown(folder.finish()) == []


def test_the_run_itself_is_never_folded() -> None:
    """Two notices of the controller are two notices."""
    folder = Folder(live=True)
    notice = line("", "again")._replace(nodes=(), step="")
    assert len(list(folder.take([notice, notice], 0))) == 2
