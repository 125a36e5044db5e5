"""Collects what is wrong with one text, each thing at its place, so that all is told at once."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fabric.trial.diagnostics import Diagnostic

if TYPE_CHECKING:
    # Whoever only guesses names, as commands without a file do, needs no parser of TOML.
    from fabric.trial.positions import Path, Positions, Span

MAX_NOTED: Final = 500
"""Most errors, and most warnings, that are kept of one file: finding the place of each costs time."""

_MAX_COMPARED: Final = 500  # a guess costs time with the number of words
_MAX_WORD_CHARS: Final = 64  # nobody mistypes a word like that


class Problems:
    """The errors and warnings of one trial file, as they are found."""

    def __init__(self, path: str, positions: "Positions") -> None:
        self.path = path
        self.positions = positions
        self.found: list[Diagnostic] = []
        self._room = {"E": MAX_NOTED, "W": MAX_NOTED}

    @property
    def any_errors(self) -> bool:
        """Whether the trial cannot be used."""
        return self._room["E"] < MAX_NOTED

    def missing(self, message: str, hint: str) -> None:
        """Note that the file lacks something; no line of it is to blame."""
        one = Diagnostic(path=self.path, line=1, col=1, end_col=2, code="E015", message=message, hint=hint)
        self._note(one)

    def at_key(self, where: "Path", code: str, message: str, hint: str = "") -> None:
        """Note a problem with a key: that it is there, or what is missing under it."""
        if self._room[code[0]]:
            self.at(self.positions.key(where), code, message, hint)

    def at_value(self, where: "Path", code: str, message: str, hint: str = "") -> None:
        """Note a problem with a value."""
        if self._room[code[0]]:
            self.at(self.positions.value(where), code, message, hint)

    def within_value(self, where: "Path", needle: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem with a part of a value."""
        if self._room[code[0]]:
            self.at(self.positions.within(where, needle), code, message, hint)

    def at_part(
        self, where: "Path", code: str, message: str, hint: str = "", *, text: str, start: int, end: int
    ) -> None:
        """Note a problem with the characters ``start`` to ``end`` of a value whose text this is."""
        if self._room[code[0]]:
            self.at(self.positions.part(where, text, start, end), code, message, hint)

    def at(self, span: "Span", code: str, message: str, hint: str = "") -> None:
        """Note a problem with a stretch of the text."""
        source = self.positions.line(span.line)
        one_line = span.end_line == span.line
        self._note(
            Diagnostic(
                path=self.path,
                line=span.line,
                col=span.col,
                end_col=span.end_col if one_line else len(source) + 1,
                code=code,
                message=message,
                hint=hint,
                source=source,
            )
        )

    def _note(self, one: Diagnostic) -> None:
        if self._room[one.code[0]]:
            self._room[one.code[0]] -= 1
            self.found.append(one)


def did_you_mean(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for a word that is not among the known ones."""
    from difflib import get_close_matches  # for mistakes only: a trial without one starts sooner

    words = list(known)
    comparable = len(words) <= _MAX_COMPARED and len(str(word)) <= _MAX_WORD_CHARS
    close = get_close_matches(str(word), words, n=1) if comparable else []
    guess = f"did you mean `{close[0]}`?" if close else ""
    return " ".join(part for part in (guess, otherwise) if part)
