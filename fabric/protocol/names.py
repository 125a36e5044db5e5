"""Names that peers give to things, and the one place that says which are well formed."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from fabric.errors import DecodeError

NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
RUN: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9-]{1,40}-[a-z0-9]{4}")

KEY: Final = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")
"""A public key in Z85."""

_REPEAT: Final = re.compile(r"(?:[1-9][0-9]{0,8}\.)?[0-9]{1,9}", re.ASCII)

CONTROLLER: Final = ""
"""The source of a run's own records: no node has an empty name."""

PARSED_KEPT: Final = 4096
"""Step ids that are kept as they were read, for each comes with every word about its step: 2 MB at most."""

ADDRESS: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?"
)
"""Of a machine: a host's name, or an address of IPv4 or IPv6.  It becomes a word of other nodes' commands and
a part of their paths, so it is nothing that a shell or a path would take for something else."""

ADDRESS_CHARS: Final = 253


def is_address(text: str) -> bool:
    """Whether it can be the address of a machine."""
    return len(text) <= ADDRESS_CHARS and ADDRESS.fullmatch(text) is not None


class StepId(NamedTuple):
    """Which step of a run: ``repeat/phase/role/label``, unique on each node.

    ``repeat`` counts from 1; 0 is the reset that an agent does by itself when a lease has ended.  In a trial
    with a matrix a repeat is one of a cell, and is written with it: ``2.3/run/client/client-1`` is of the
    third repeat of cell 2.
    """

    repeat: int
    phase: str
    role: str
    label: str
    cell: int = 0  # from 1; 0: the trial has no matrix

    def __str__(self) -> str:
        return "/".join((self.repeat_id, *self[1:4]))

    @property
    def repeat_id(self) -> str:
        """``repeat`` or ``cell.repeat``, the name of one pass over the phases in a run."""
        return repeat_id(self.cell, self.repeat)

    @property
    def phase_id(self) -> str:
        """``repeat/phase``, the name of one execution of a phase in a run."""
        return f"{self.repeat_id}/{self.phase}"

    @classmethod
    def parse(cls, text: str) -> "StepId":
        """Read ``repeat/phase/role/label``.

        Raises:
            DecodeError: If it is not four well-formed parts.
        """
        return _parse_step(text)


@lru_cache(PARSED_KEPT)
def _parse_step(text: str) -> StepId:
    parts = text.split("/")
    if len(parts) != 4 or not all(map(WORD.fullmatch, parts[1:])):  # noqa: PLR2004
        raise DecodeError(f"step: expected repeat/phase/role/label, got {text!r:.80}")
    cell, repeat = parse_repeat(parts[0])
    return StepId(repeat, parts[1], parts[2], parts[3], cell)


def repeat_id(cell: int, repeat: int) -> str:
    """Return how a repeat is written: ``3``, or ``2.3`` for one of cell 2."""
    return f"{cell}.{repeat}" if cell else str(repeat)


def parse_repeat(text: str) -> tuple[int, int]:
    """Return cell (0: none) and repeat of what `repeat_id` returns.

    Raises:
        DecodeError: If it is not one or two numbers.
    """
    if not _REPEAT.fullmatch(text):
        raise DecodeError(f"repeat: expected a number, or cell.repeat, got {text!r:.40}")
    cell, _, repeat = text.rpartition(".")
    return int(cell or 0), int(repeat)


def parse_phase(text: str) -> tuple[int, int, str]:
    """Return cell, repeat and phase of ``repeat/phase``.

    Raises:
        DecodeError: If it is no such text.
    """
    head, _, phase = text.partition("/")
    return *parse_repeat(head), phase
