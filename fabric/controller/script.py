"""PURE.  Which phase of which repeat comes next, also after trouble."""

from collections.abc import Sequence
from typing import Final

from fabric.trial.cells import Repeat

INTERRUPTED: Final = {
    1: "interrupted: this phase ends, then collect and reset; once more: reset only; a third time: leave",
    2: "interrupted again: reset only; once more: leave",
}
"""What a user is told at Ctrl-C."""

LEFT: Final = (
    "left before the reset was done: within {lease_s:g} s the nodes end their part of the run and reset alone"
    ", and the broker closes it as an error"
)


class Script:
    """The repeats of a run, each with its phases.

    Trouble changes what follows, never what was: whatever is set up in a repeat is cleaned up in it, if the
    repeat that would do it does not come any more.

    Args:
        repeats: In their order; at least one.
        order: All phases that may come, the reset last.
    """

    def __init__(self, repeats: Sequence[Repeat], order: Sequence[str]) -> None:
        self.repeat = repeats[0]
        """The present one."""
        self.is_last_repeat = False
        """Trouble: no further repeat, but for the end of this one."""
        self._repeats = repeats
        self._order = tuple(order)
        self._position = 0
        self._phases = self.repeat.phases
        self._index = -1
        self._left: set[int] = set()  # cells of which no further repeat comes

    @property
    def phase(self) -> str:
        """Name of the present phase."""
        return self._phases[max(self._index, 0)]

    @property
    def in_reset(self) -> bool:
        """Whether the present phase is the reset."""
        return self._index >= 0 and self.phase == self._order[-1]

    @property
    def has_begun(self) -> bool:
        """Whether a phase of the present repeat was reached."""
        return self._index >= 0

    def advance(self) -> bool:
        """Go to the next phase, perhaps of another repeat; False if there is none."""
        if self._index + 1 >= len(self._phases) and self._is_leaving and not self.in_reset:
            self._phases += self._rest
        if self._index + 1 < len(self._phases):
            self._index += 1
            return True
        return not self.is_last_repeat and self._next_repeat()

    def leave_cell(self) -> None:
        """Let the present repeat be the last one of its cell."""
        self._left.add(self.repeat.cell.number)

    def skip_to(self, phase: str) -> None:
        """Let `advance` lead to this phase, or to the reset if it is not ahead; no further repeat."""
        self.is_last_repeat = True
        if self.in_reset:
            return
        rest = self._rest
        at = rest.index(phase) if phase in rest else len(rest) - 1
        self._phases = self._phases[: self._index + 1] + rest[at:]

    @property
    def _is_leaving(self) -> bool:
        return self.is_last_repeat or self.repeat.cell.number in self._left

    @property
    def _rest(self) -> tuple[str, ...]:
        """What follows the present phase in the order of the trial."""
        return self._order[self._order.index(self.phase) + 1 :] if self.has_begun else self._order

    def _next_repeat(self) -> bool:
        for position in range(self._position + 1, len(self._repeats)):
            repeat = self._repeats[position]
            if repeat.phases and repeat.cell.number not in self._left:
                self._position, self.repeat, self._phases, self._index = position, repeat, repeat.phases, 0
                return True
        return False
