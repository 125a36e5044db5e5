"""PURE.  Collects what an import has to say: each thing at the line of the foreign file that it is about."""

from typing import Final

from fabric.trial.diagnostics import Diagnostic

MAX_NOTED: Final = 500
"""Most warnings, and most errors, that are kept of one import: nobody reads more."""


class Notes:
    """The warnings and errors of one import, and the lines of the files that they show."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._lines: dict[str, list[str]] = {}

    def add_file(self, path: str, text: str) -> None:
        """Remember the lines of a file; its line ends are LF."""
        self._lines[path] = text.split("\n")

    @property
    def any_errors(self) -> bool:
        """Whether something cannot be read."""
        return any(one.is_error for one in self.found)

    def add(self, place: "tuple[str, int]", code: str, message: str, hint: str = "", about: str = "") -> None:
        """Note an error (code ``E...``) or a warning (``W...``), once.

        Args:
            place: Path and line (from 1; 0: the file as a whole).
            code: What kind it is.
            message: What is the matter.
            hint: A way out, or what it was made of.
            about: The part of the line that the caret stands under; if it is not there, the whole line.
        """
        path, line = place
        source = self.line(path, line)
        body = source.strip()
        needle = about if about and about in source else body
        start = source.find(needle)
        one = Diagnostic(
            path=path,
            line=line,
            col=start + 1,
            end_col=start + len(needle) + 1,
            code=code,
            message=message,
            hint=hint,
            source=source,
        )
        alike = sum(other.code[0] == code[0] for other in self.found)
        if one not in self.found and alike < MAX_NOTED:
            self.found.append(one)

    def line(self, path: str, number: int) -> str:
        """Return the text of a line, "" if there is none."""
        lines = self._lines.get(path, [])
        return lines[number - 1] if 0 < number <= len(lines) else ""
