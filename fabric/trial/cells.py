"""PURE.  Cells of the matrix, and the repeats of a run in their order."""

from collections.abc import Mapping
from dataclasses import dataclass

from fabric.protocol.names import repeat_id


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the matrix."""

    number: int
    """From 1; 0: the trial has no matrix."""

    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Repeat:
    """One pass over the phases in one cell."""

    cell: Cell
    number: int
    """From 1, in its cell; the warm-ups are the first ones."""

    is_warmup: bool
    """Its metrics do not count."""

    phases: tuple[str, ...]
    """That are done in it, in order, the reset last; where there is a cycle, a part of them."""

    @property
    def id(self) -> str:
        """``3``, or ``2.3`` in cell 2."""
        return repeat_id(self.cell.number, self.number)
