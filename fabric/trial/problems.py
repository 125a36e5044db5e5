"""Collects what is wrong with one text, each thing at its place, so that all is told at once."""

from collections.abc import Iterable
from difflib import get_close_matches

from fabric.trial.diagnostics import Diagnostic
from fabric.trial.positions import Path, Positions, Span


class Problems:
    """The errors and warnings of one trial file, as they are found."""

    def __init__(self, path: str, positions: Positions) -> None:
        self.path = path
        self.positions = positions
        self.found: list[Diagnostic] = []

    @property
    def any_errors(self) -> bool:
        """Whether the trial cannot be used."""
        return any(one.is_error for one in self.found)

    def missing(self, message: str, hint: str) -> None:
        """Note that the file lacks something; no line of it is to blame."""
        one = Diagnostic(path=self.path, line=1, col=1, end_col=2, code="E015", message=message, hint=hint)
        self.found.append(one)

    def at_key(self, where: Path, code: str, message: str, hint: str = "") -> None:
        """Note a problem with a key: that it is there, or what is missing under it."""
        self.at(self.positions.key(where), code, message, hint)

    def at_value(self, where: Path, code: str, message: str, hint: str = "") -> None:
        """Note a problem with a value."""
        self.at(self.positions.value(where), code, message, hint)

    def at(self, span: Span, code: str, message: str, hint: str = "") -> None:
        """Note a problem with a stretch of the text."""
        source = self.positions.line(span.line)
        one_line = span.end_line == span.line
        self.found.append(
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


def did_you_mean(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for a word that is not among the known ones."""
    close = get_close_matches(str(word), list(known), n=1)
    guess = f"did you mean `{close[0]}`?" if close else ""
    return " ".join(part for part in (guess, otherwise) if part)
