"""PURE.  What of TOML is refused before `tomllib` sees it: what a parser would take minutes or gigabytes for.

A file that is small enough may still nest lists by the ten thousand, and the time and memory that parsers
need for that grow with the square of it, or they end at their stack's end without saying where.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_DEPTH: Final = 32
"""Lists and tables within each other; nothing that is read here has a use for more than four."""

MAX_KEY_PARTS: Final = 32
"""Most parts of a dotted key.  `tomllib` takes memory with the square of their number: a file within the
size limit could ask for tens of gigabytes."""

_LINE_STRING: Final = r""""(?:\\[^\n]|[^"\\\n])*"|'[^'\n]*'"""
_REST: Final = (
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<mark>[\[\]{}=,\n])"
    r"""|(?P<bare>(?:\\["'\\]|[^\s\#\[\]{}=,"'])+)"""  # no string begins in what a broken one has left
)

TOKEN: Final = re.compile(
    r"(?P<text>"
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the three that end it
    r"|'''.*?'{3,5}"
    rf"|(?!\"\"\"|''')(?:{_LINE_STRING}))"
    r"|(?P<open>\"\"\"|''')"  # it does not end
    rf"{_REST}",
    re.DOTALL,
)

_IN_LINE: Final = re.compile(rf"(?P<text>{_LINE_STRING}){_REST}")

_LONG_INTEGER: Final = re.compile(r"[+-]?[0-9][0-9_]{4000,}")  # CPython reads 4300 digits
_PART: Final = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*"
_LONG_KEY: Final = re.compile(rf"(?:^|[\[{{,])[ \t]*((?:{_PART}\.[ \t]*){{{MAX_KEY_PARTS}}})", re.MULTILINE)


class Excess(NamedTuple):
    """Too much of something, and where: a line, columns from 1, the last one behind the end."""

    message: str
    line: int
    col: int
    end_col: int
    source: str  # the line itself
    hint: str = ""


def excess_of(text: str) -> Excess | None:
    """Return the first thing that a text, whose lines end in LF, has too much of.  It may be no TOML."""
    if found := _LONG_KEY.search(text):
        return _at(text, found.span(1), f"a key has more than {MAX_KEY_PARTS} parts")
    depth = 0
    for token in _tokens(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                return _at(text, token.span(), f"lists and tables nest more than {MAX_DEPTH} deep")
        elif token[0] in ("]", "}"):
            depth = max(0, depth - 1)
        elif _LONG_INTEGER.fullmatch(token[0]):
            digits = sum(char.isdigit() for char in token[0])
            message, hint = f"a number of {digits} digits is no TOML value", "numbers have 64 bits at most"
            return _at(text, token.span(), message, hint)
    return None


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Yield the tokens of a text in a time that grows with its length, whatever it is.

    Behind a string of several lines that does not end no other is looked for: each would be looked for to the
    end of the text.  The parser stops there; what follows only has to be counted.
    """
    for token in TOKEN.finditer(text):
        if token.lastgroup == "open":
            yield from _IN_LINE.finditer(text, token.start())
            return
        yield token


def _at(text: str, where: tuple[int, int], message: str, hint: str = "") -> Excess:
    start, end = where
    begins = text.rfind("\n", 0, start) + 1
    line = text.count("\n", 0, start) + 1
    source = text[begins:].split("\n", 1)[0]
    return Excess(message, line, start - begins + 1, end - begins + 1, source, hint)
