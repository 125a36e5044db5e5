"""What is wrong in a trial file, and where: for people, editors and CI."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fabric.errors import UsageError

MAX_SHOWN: Final = 50
"""Most diagnostics that an error prints: who has more repairs these first."""

MAX_EXCERPT_CHARS: Final = 160
"""Most characters of a source line that are shown; a longer line is cut around its caret."""

_LEAD_CHARS: Final = 40  # of a cut line before the caret
_MAX_MESSAGE_CHARS: Final = 400  # a message quotes what the file says, and that may be long
_GUTTER: Final = 5  # room for line numbers, as in the compilers that people know


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One error (code ``E...``, or none) or warning (``W...``).

    Lines and columns count from 1, in characters.
    """

    path: str
    line: int  # 0: it is about the file as a whole
    col: int
    end_col: int  # of the first character behind; the caret covers one character at least
    code: str
    message: str
    hint: str = ""
    source: str = ""  # the text of the line; "": do not show it
    is_mild: bool = False  # it would be an error for a run, and this is none

    @property
    def is_error(self) -> bool:
        """Whether it keeps the trial from being run."""
        return not (self.is_mild or self.code.startswith("W"))

    def render(self) -> str:
        """Return the lines that are printed: place and message, the source with a caret, the way out."""
        severity = "error" if self.is_error else "warning"
        place = f"{self.path}:{self.line}:{self.col}" if self.line else self.path
        code = f"[{self.code}]" if self.code else ""
        lines = [_printable(f"{place}: {severity}{code}: {_shortened(self.message)}")]
        gutter = max(_GUTTER, len(str(self.line)))
        if self.source.strip():
            text, caret = _excerpt(self.source, self.col - 1, self.end_col - 1)
            lines.append(f"{self.line:{gutter}} | {text}".rstrip())
            lines.append(f"{'':{gutter}} | {caret}")
        if self.hint:
            lines.append(_printable(f"{'':{gutter}} = {_shortened(self.hint)}"))
        return "\n".join(lines)


class TrialError(UsageError):
    """The trial file is wrong.  Its text is all that is to be printed, several lines long.

    ``diagnostics`` has every error and warning, file by file in the order of their places.
    """

    is_rendered = True

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = in_order(diagnostics)
        blocks = [one.render() for one in self.diagnostics[:MAX_SHOWN]]
        if len(self.diagnostics) > MAX_SHOWN:
            blocks.append(f"... and {len(self.diagnostics) - MAX_SHOWN} more")
        super().__init__("\n".join(blocks))


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return them by their places; files (an import reads several) as they come first."""
    found = list(diagnostics)
    files = {path: number for number, path in enumerate(dict.fromkeys(one.path for one in found))}
    return tuple(sorted(found, key=lambda one: (files[one.path], one.line, one.col, one.code)))


def _excerpt(source: str, start: int, end: int) -> tuple[str, str]:
    """Return what is shown of a line, and the carets under its characters ``start`` to ``end``."""
    before, after = "", ""
    if len(source) > MAX_EXCERPT_CHARS:
        left = max(0, min(start - _LEAD_CHARS, len(source) - MAX_EXCERPT_CHARS))
        before, after = "..." * (left > 0), "..." * (left + MAX_EXCERPT_CHARS < len(source))
        source = source[left : left + MAX_EXCERPT_CHARS]
        start, end = start - left, end - left
    text = _printable(source)
    # A tab stays a tab, so that the caret stands right however wide the terminal makes it.
    pad = "".join("\t" if char == "\t" else " " * _width(char) for char in text[:start])
    carets = "^" * max(1, sum(map(_width, text[start:end])))
    return before + text + after, " " * len(before) + pad + carets


def _printable(text: str) -> str:
    """Replace what could move the cursor or turn the text around: a file may come from anybody."""
    return "".join(
        char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE_CHARS else text[: _MAX_MESSAGE_CHARS - 3] + "..."


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
