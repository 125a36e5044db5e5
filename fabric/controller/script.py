"""PURE.  Which phase comes next, also after trouble."""

from dataclasses import dataclass
from typing import Final

INTERRUPTED: Final = {
    1: "interrupted: this phase ends, then collect and reset; once more: reset only; a third time: leave",
    2: "interrupted again: reset only; once more: leave",
}
"""What a user is told at Ctrl-C."""


@dataclass(slots=True)
class Script:
    """The order of the phases of a run: for each repeat all phases, the reset last.

    Args:
        phases: In order, without the reset.
        repeats: How often all of it is done.
    """

    phases: tuple[str, ...]
    repeats: int
    repeat: int = 1
    index: int = -1
    last_repeat: bool = False  # trouble: no further repeat
    _skip_to: int | None = None  # index of the phase that comes next instead

    @property
    def phase(self) -> str:
        """Name of the present phase."""
        return "reset" if self.index >= len(self.phases) else self.phases[self.index]

    @property
    def phase_id(self) -> str:
        """``repeat/phase``."""
        return f"{self.repeat}/{self.phase}"

    @property
    def in_reset(self) -> bool:
        """Whether the present phase is the reset."""
        return self.index >= len(self.phases)

    def advance(self) -> bool:
        """Go to the next phase; False if there is none."""
        if self._skip_to is not None and not self.in_reset:
            self.index, self._skip_to = self._skip_to, None
            return True
        if self.index < len(self.phases):
            self.index += 1
            return True
        if self.last_repeat or self.repeat >= self.repeats:
            return False
        self.repeat += 1
        self.index = 0 if self.phases else len(self.phases)
        return True

    def skip_to(self, phase: str) -> None:
        """Let `advance` lead to this phase, or to the reset if it is not ahead; no further repeat."""
        self.last_repeat = True
        if self.in_reset:
            return
        ahead = self.phases[self.index + 1 :]
        self._skip_to = self.phases.index(phase) if phase in ahead else len(self.phases)
