"""What is safe on a terminal, and in which colour it stands there."""

import re
import zlib
from typing import Final, Literal

Level = Literal["plain", "good", "warning", "error"]

_RESET: Final = "\x1b[0m"
_LEVELS: Final[dict[Level, str]] = {"plain": "1", "good": "1;32", "warning": "33", "error": "1;31"}
_NODES: Final = ("36", "35", "34", "32", "33", "96", "95", "94", "92", "93")
"""No red: it means that something failed."""

_UNSAFE: Final = re.compile(
    r"(\x1b\[[0-9;:]{0,64}m)"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""A colour sequence, or a character that moves the cursor, sets a title or hides text.  A tab is harmless."""


def printable(text: str, *, color: bool = False) -> str:
    """Return the text as it can be shown: control characters as an escape, colours kept or taken out."""
    if text.isprintable():  # the usual case, and ten times as fast
        return text

    def show(match: re.Match[str]) -> str:
        if match[1]:
            return match[1] if color else ""
        code = ord(match[0])
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - Latin-1 ends there

    shown = _UNSAFE.sub(show, text)
    return shown + _RESET if color and "\x1b[" in shown else shown


class Palette:
    """Colours, or none."""

    def __init__(self, *, color: bool) -> None:
        self.color = color

    def node(self, name: str, text: str) -> str:
        """Colour by the node: the same in every run, on every machine."""
        return self._paint(text, _NODES[zlib.crc32(name.encode()) % len(_NODES)])

    def level(self, level: Level, text: str) -> str:
        """Colour by what it means."""
        return self._paint(text, _LEVELS[level])

    def faint(self, text: str) -> str:
        """Let the text step back."""
        return self._paint(text, "2")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}{_RESET}" if self.color else text
