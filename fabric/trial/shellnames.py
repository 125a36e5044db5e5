"""Which `$names` a command line uses: a typo there would be an empty word at run time, and no error."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_SINGLE_QUOTED: Final = re.compile(r"\\.|\"(?:\\.|[^\"\\])*\"|'[^']*'", re.DOTALL)
_USE: Final = re.compile(
    r"\\.|\$(?:(?P<bare>[A-Za-z_]\w*)|\{#?(?P<braced>[A-Za-z_]\w*)(?P<rest>[^}]?))", re.DOTALL | re.ASCII
)
_SET: Final = re.compile(
    r"(?:^|[\s;&|({`])(?P<plain>[A-Za-z_]\w*)\+?=|\bfor\s+(?P<loop>\w+)\b|\bread\b(?P<read>[-\w \t]*)"
    r"|\bgetopts\s+\S+\s+(?P<option>\w+)",
    re.ASCII,
)
_EXPANSION: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})", re.ASCII
)


def used_in_shell(command: str) -> dict[str, str]:
    """Return the variables that a line for sh expands without having set them, each with how it is written.

    A guess that serves a warning: it knows quotes, assignments, `for`, `read` and `${name:-default}`.
    """
    visible = _visible(command)
    own = set(_set_in(visible))
    used: dict[str, str] = {}
    for found in _USE.finditer(visible):
        name = found["bare"] or found["braced"]
        # `${name:-default}` and its relatives say themselves what happens if it is not set.
        if name and name not in own and (found["rest"] or "}") not in ":-=?+":
            used.setdefault(name, "$" + name if found["bare"] else "${" + name)
    return used


def set_in_shell(command: str) -> frozenset[str]:
    """Return the variables that a line for sh sets itself, as far as can be told."""
    return frozenset(_set_in(_visible(command)))


def _visible(command: str) -> str:
    """Return a line without what stands in single quotes."""
    return _SINGLE_QUOTED.sub(lambda found: " " if found[0].startswith("'") else found[0], command)


def _set_in(command: str) -> Iterator[str]:
    for found in _SET.finditer(command):
        yield from (found["read"] or "").split()
        yield from filter(None, (found["plain"], found["loop"], found["option"]))


def used_in_value(text: str) -> Iterable[str]:
    """Return the `$names` of a value that the fabric itself expands."""
    return [found["bare"] or found["braced"] for found in _EXPANSION.finditer(text) if not found["dollar"]]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a value with its `$names` expanded; `$$` is a dollar, an unknown name stays as it is."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found["dollar"] else variables.get(found["bare"] or found["braced"], found[0])

    return _EXPANSION.sub(replace, text)
