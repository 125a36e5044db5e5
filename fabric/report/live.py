"""The live view: lines scroll above a table of all nodes."""

from collections.abc import Callable, Sequence
from typing import Final

from fabric.controller.entry import Read
from fabric.report.board import Board
from fabric.report.panel import panel
from fabric.report.printer import Printer
from fabric.report.watch import Conclusion, Source, TextWatch

FRAME_NS: Final = 125_000_000
"""Between two frames while something happens: as fast as an eye follows changing numbers."""

STILL_NS: Final = 1_000_000_000
"""Between two frames while nothing does: the seconds count on."""


class LiveWatch(TextWatch):
    """For people at a terminal.

    Args:
        printer: Of the terminal.
        source: Says where a step stands in the trial.
        size: Returns columns and lines of the terminal as it is now.
        color: Use colours.
    """

    def __init__(
        self, printer: Printer, source: Source, size: Callable[[], tuple[int, int]], *, color: bool
    ) -> None:
        super().__init__(printer, source, color=color, hold=True)
        self._board = Board()
        self._size = size
        self._drawn_ns = 0
        self._changed = False

    @property
    def deadline_ns(self) -> int | None:
        """When the next frame is due, or something that is held has waited long enough."""
        due_ns = self._drawn_ns + (FRAME_NS if self._changed else STILL_NS)
        held_ns = super().deadline_ns
        if not self._board.has_begun:
            return held_ns
        return due_ns if held_ns is None else min(due_ns, max(held_ns, self._drawn_ns + FRAME_NS))

    def __call__(self, reads: Sequence[Read], now_ns: int) -> None:
        """Take records in, and draw if that is due."""
        for read in reads:
            self._board.take(read, now_ns)
        held_ns = super().deadline_ns
        self._changed |= bool(reads) or (held_ns is not None and held_ns <= now_ns)
        super().__call__(reads, now_ns)
        if now_ns >= self._drawn_ns + (FRAME_NS if self._changed else STILL_NS):
            self._draw(now_ns)

    def conclude(self, conclusion: Conclusion) -> None:
        """Take the table away, and tell what the run came to."""
        self._printer.show(None)
        super().conclude(conclusion)

    def _draw(self, now_ns: int) -> None:
        self._drawn_ns, self._changed = now_ns, False
        if self._printer.is_busy:
            return  # the terminal still has to take the frame before
        self._board.sample(now_ns)
        if self._board.has_begun:
            self._printer.show(panel(self._board, now_ns, self._size(), self._palette))
        else:
            self._printer.show(None)
