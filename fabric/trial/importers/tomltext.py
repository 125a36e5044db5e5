"""PURE.  Writes texts as TOML so that a person reads them as they are: no escapes where none are needed."""

import re
from typing import Final

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def toml_string(text: str) -> str:
    """Return a text as a TOML string that reads back as the very same text."""
    if _CONTROL.search(text):
        return _escaped(text)
    if "\n" in text:
        # A newline right behind the opening quotes is not part of the text; quotes at the end would be.
        return _escaped(text) if "'''" in text or text.endswith("'") else f"'''\n{text}'''"
    if '"' not in text and "\\" not in text and "\t" not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else _escaped(text)


def toml_comment(text: str) -> str:
    """Return a text as it can stand in a comment: on one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def _escaped(text: str) -> str:
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{ord(char):04X}" if _CONTROL.match(char) else char
