"""Frames on a terminal: the block stays at the bottom, and nothing above it is lost."""

from fabric.report.frame import Footer, Painter
from tests.terminal import Screen


def footer(*lines: str, columns: int = 40) -> Footer:
    return Footer(lines, tuple(map(len, lines)), columns)


def painted(screen: Screen, painter: Painter, lines: list[str], block: Footer | None) -> list[str]:
    screen.feed(painter.paint(lines, block).replace("\n", "\r\n"))  # as the terminal's driver does
    assert screen.cursor_shown
    assert screen.column == 0
    return screen.text.rstrip("\n").split("\n")


def test_lines_scroll_above_the_block() -> None:
    """Also when there are more of them than the screen has, and when the block changes its height."""
    screen, painter = Screen(40, 10), Painter()
    assert painted(screen, painter, ["a"], footer("x", "y")) == ["a", "x", "y"]
    assert painted(screen, painter, ["b"], footer("x")) == ["a", "b", "x"]
    assert painted(screen, painter, [], footer("1", "2", "3")) == ["a", "b", "1", "2", "3"]
    many = [f"line {number}" for number in range(30)]
    assert painted(screen, painter, many, footer("z")) == ["a", "b", *many, "z"]
    assert painted(screen, painter, ["end"], None) == ["a", "b", *many, "end"]


def test_a_line_that_wraps_does_no_harm() -> None:
    """Lines of output may be as long as they like."""
    screen, painter = Screen(40, 10), Painter()
    painted(screen, painter, [], footer("x" * 39, "y" * 39))
    text = painted(screen, painter, ["a" * 100], footer("x", "y"))
    assert text == ["a" * 40, "a" * 40, "a" * 20, "x", "y"]


def test_a_terminal_that_was_made_narrower_has_wrapped_the_block() -> None:
    """So it takes more rows than it had lines."""
    screen, painter = Screen(40, 10), Painter()
    painted(screen, painter, ["a"], footer("x" * 39))
    screen.columns, screen.rows = 20, ["a", "x" * 20, "x" * 19, ""]
    screen.row = 3
    assert painted(screen, painter, [], footer("z", columns=20)) == ["a", "z"]


def test_what_others_wrote_is_not_drawn_over() -> None:
    """After Ctrl-Z and `fg` the shell's lines stand there."""
    screen, painter = Screen(40, 10), Painter()
    painted(screen, painter, [], footer("x"))
    screen.feed("[1]+ Stopped\r\n$ fg\r\n")
    painter.forget()
    assert painted(screen, painter, [], footer("y")) == ["x", "[1]+ Stopped", "$ fg", "y"]


def test_without_a_block_there_is_not_one_escape() -> None:
    """In a file or a pipe they would be noise."""
    assert Painter().paint(["a", "b"], None) == "a\nb\n"
