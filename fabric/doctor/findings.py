"""Findings: how good each thing is, what was found, what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from fabric.report.style import printable

State = Literal["ok", "warn", "bad"]
ORDER: Final[tuple[State, ...]] = ("ok", "warn", "bad")

EXIT_BAD: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    ``bad`` keeps trials from working, ``warn`` costs something that the text says, ``ok`` is as it should be.
    """

    state: State
    about: str
    found: str
    hint: str = ""  # what to do

    def as_json(self) -> dict[str, Any]:
        """Return it as an object."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> State:
    """Return the state of the worst; of none, it is good."""
    return max((one.state for one in findings), key=ORDER.index, default="ok")


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if nothing is bad, else 3."""
    return EXIT_BAD if worst(findings) == "bad" else 0


WIDTH: Final = 14
"""Of the column that says what a line is about: lines come one by one, as they are found."""


def lines_of(one: Finding) -> list[str]:
    """Return its line, and one below it for what to do."""
    lines = [f"{one.state:<4}  {printable(one.about):<{WIDTH}}  {printable(one.found)}".rstrip()]
    if one.hint:
        lines.append(f"{'':4}  {'':{WIDTH}}  -> {printable(one.hint)}")
    return lines
