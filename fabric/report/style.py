"""What is safe on a terminal, and in which colour it stands there."""

import re
import zlib
from typing import Final, Literal

Level = Literal["plain", "good", "warning", "error"]

_RESET: Final = "\x1b[0m"
_LEVELS: Final[dict[Level, str]] = {"plain": "1", "good": "1;32", "warning": "33", "error": "1;31"}
_NODES: Final = ("36", "35", "34", "32", "33", "96", "95", "94", "92", "93")
"""No red: it means that something failed."""

_COLOR: Final = re.compile(r"(\x1b\[[0-9;:]{0,64}m)")

_HARMFUL_RANGES: Final = (
    *((0x00, 0x08), (0x0A, 0x1F), (0x7F, 0x9F)),
    *((0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069)),
)
"""Characters that move the cursor, set a title or hide text.  A tab is harmless."""

_ESCAPES: Final = {
    chr(code): f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - Latin-1 ends there
    for first, last in _HARMFUL_RANGES
    for code in range(first, last + 1)
}

_PLAIN: Final = bytes(range(0x20, 0x7F)) + b"\t\n"


def is_plain(data: bytes) -> bool:
    """Whether these bytes are lines of ASCII that need no look at `printable`; ten times as fast as that."""
    return not data.translate(None, _PLAIN)


def printable(text: str, *, color: bool = False) -> str:
    """Return the text as it can be shown: control characters as an escape, colours kept or taken out."""
    if text.isprintable():  # the usual case
        return text
    parts = _COLOR.split(text)  # every second one is a colour
    parts[::2] = map(_escaped, parts[::2])
    has_color = len(parts) > 1
    if has_color and not color:
        parts[1::2] = [""] * (len(parts) // 2)
    return "".join(parts) + (_RESET if has_color and color else "")


def printable_lines(text: str) -> str:
    """Return lines as they can be shown, without colours; a newline stays what it is."""
    return "\n".join(printable(line.removesuffix("\r")) for line in text.split("\n"))


def _escaped(text: str) -> str:
    # By kind of character and not one after the other: a program may print a gigabyte of zeros.
    for character in _ESCAPES.keys() & text:
        text = text.replace(character, _ESCAPES[character])
    return text


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
