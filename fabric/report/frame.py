"""PURE.  A block of lines that stays at the bottom of a terminal while others scroll above it.

Every frame begins and ends with the cursor at the left below the block and in sight: whenever the process
ends, even by KILL, the terminal is as it was.  There is no other screen and no other mode to come back from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HIDE: Final = "\x1b[?25l"
_SHOW: Final = "\x1b[?25h"
_ERASE_LINE: Final = "\x1b[K"
_ERASE_BELOW: Final = "\x1b[J"


@dataclass(frozen=True, slots=True)
class Footer:
    """Lines that fit into the terminal, and how many cells each takes there."""

    lines: tuple[str, ...]
    cells: tuple[int, ...]
    columns: int  # of the terminal that they were made for


class Painter:
    """Knows what stands at the bottom, and how to come from there to what shall."""

    def __init__(self) -> None:
        self._shown: Footer | None = None

    def forget(self) -> None:
        """Something else stands there now."""
        self._shown = None

    def paint(self, lines: Sequence[str], footer: Footer | None) -> str:
        """Return what makes the terminal show the lines, and the footer below all lines so far."""
        shown, self._shown = self._shown, footer
        if shown is None and footer is None:
            return "".join(f"{line}\n" for line in lines)
        height = _rows(shown, footer.columns if footer is not None else None)
        up = f"\r\x1b[{height}A" if height else "\r"
        body = (f"{line}\n" for line in lines)
        below = (f"{line}{_ERASE_LINE}\n" for line in footer.lines) if footer is not None else ()
        erase = _ERASE_BELOW if lines else ""  # else line by line, which does not flicker
        return "".join((_HIDE, up, erase, *body, *below, _ERASE_BELOW, _SHOW))


def _rows(footer: Footer | None, columns: int | None) -> int:
    """Return how many rows a footer takes; a terminal that was made narrower has wrapped its lines."""
    if footer is None:
        return 0
    width = min(columns or footer.columns, footer.columns)
    return sum(max(1, -(-cells // width)) for cells in footer.cells)
