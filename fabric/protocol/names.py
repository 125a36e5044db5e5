"""Names that peers give to things, and the one place that says which are well formed."""

import re
from typing import Final, NamedTuple

from fabric.errors import DecodeError

NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
RUN: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9-]{1,40}-[a-z0-9]{4}")

CONTROLLER: Final = ""
"""The source of a run's own records: no node has an empty name."""


class StepId(NamedTuple):
    """Which step of a run: ``repeat/phase/role/label``, unique on each node.

    ``repeat`` counts from 1; 0 is the reset that an agent does by itself when a lease has ended.
    """

    repeat: int
    phase: str
    role: str
    label: str

    def __str__(self) -> str:
        return "/".join(map(str, self))

    @property
    def phase_id(self) -> str:
        """``repeat/phase``, the name of one execution of a phase in a run."""
        return f"{self.repeat}/{self.phase}"

    @classmethod
    def parse(cls, text: str) -> "StepId":
        """Read ``repeat/phase/role/label``.

        Raises:
            DecodeError: If it is not four well-formed parts.
        """
        parts = text.split("/")
        if len(parts) != 4 or not parts[0].isdecimal() or not all(map(WORD.fullmatch, parts[1:])):  # noqa: PLR2004
            raise DecodeError(f"step: expected repeat/phase/role/label, got {text!r:.80}")
        return cls(int(parts[0]), parts[1], parts[2], parts[3])
