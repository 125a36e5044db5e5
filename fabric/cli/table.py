"""Tables for people: aligned columns, no frames, so that they can be cut and grepped."""

from collections.abc import Iterable, Sequence

from fabric.report.style import printable


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; an empty cell is shown as ``-``, so that columns can be counted."""
    cells = [list(head), *([printable(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def since(then_ns: int, now_ns: int) -> str:
    """Return how long ago an instant was, in one unit: ``3 s``, ``12 min``, ``5 h``, ``9 d``."""
    seconds = max(0, now_ns - then_ns) // 1_000_000_000
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
