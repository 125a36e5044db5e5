"""Paths into a JSON document: `end.sum.bits`, `metrics."p(95)"`, `rounds[0].ms`, `rounds[-1]`."""

import re
from typing import Any, Final

JsonPath = tuple[str | int, ...]

MAX_PARTS: Final = 32
"""Most parts of a path; deeper documents are not written for people."""

_KEY: Final = re.compile(r"\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s.\[\]\"']+)")
_INDEX: Final = re.compile(r"\[(-?[0-9]{1,9})\]")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class PathError(ValueError):
    """It is no path.  The text continues "`key` ..."; ``offset`` is the character where reading stopped."""

    def __init__(self, message: str, hint: str = "", offset: int = -1) -> None:
        super().__init__(message)
        self.hint = hint
        self.offset = offset


def parse(text: str) -> JsonPath:
    """Return the keys (text) and indices (numbers; -1 is the last) of a path.

    Raises:
        PathError: If it is none.
    """
    parts: list[str | int] = []
    at = 0
    if text[:2] in ("$", "$.", "$["):
        raise _stuck(text, 0)
    while at < len(text) or not parts:
        if index := _INDEX.match(text, at):
            parts.append(int(index[1]))
            at = index.end()
            continue
        at = _behind_dot(text, at, first=not parts)
        key = _KEY.match(text, at)
        if key is None:
            raise _stuck(text, at)
        plain = key["plain"]
        parts.append(_ESCAPE.sub(r"\1", key["quoted"]) if plain is None else plain)
        at = key.end()
    if len(parts) > MAX_PARTS:
        raise PathError(f"has more than {MAX_PARTS} parts")
    return tuple(parts)


def look_up(document: Any, path: JsonPath) -> Any:
    """Return the value at a path of a document as `json.loads` returns it.

    Raises:
        LookupError: If there is none; the text says how far the path leads.
    """
    value = document
    for depth, part in enumerate(path):
        try:
            if isinstance(part, str) and isinstance(value, dict):
                value = value[part]
                continue
            if isinstance(part, int) and isinstance(value, list):
                value = value[part]
                continue
        except (KeyError, IndexError):
            pass
        raise LookupError(f"there is no {write(path[: depth + 1])}")
    return value


def write(path: JsonPath) -> str:
    """Return a path as it is written."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        plain = _KEY.fullmatch(part)
        quoted = '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += ("." if text else "") + (part if plain and plain["plain"] else quoted)
    return text


def _behind_dot(text: str, at: int, *, first: bool) -> int:
    if first:
        return at
    if text[at] != ".":
        raise _stuck(text, at)
    return at + 1


def _stuck(text: str, at: int) -> PathError:
    if not text.strip():
        return PathError("is empty", 'like {key} = "end.sum.bits_per_second"')
    if at == 0 and text[0] in "$.":
        return PathError("begins with the first key, without `$` or `.`", 'like {key} = "end.sum"', at)
    if at >= len(text):
        return PathError("ends with a dot", offset=len(text) - 1)
    if text[at] == "[":
        return PathError("has an index that is no number", "like rounds[0], or rounds[-1] for the last", at)
    hint = "keys are joined by dots; one with other characters stands in double quotes: 'a.\"p(95)\"[0]'"
    return PathError("cannot be read from here", hint, at)
