"""Node specs: "lab1", "lab[1-4]", "lab[01-16]" or a list of them."""

import re
from collections.abc import Iterable
from typing import Final

from fabric.protocol.names import NODE

MAX_NODES: Final = 2000
"""Most nodes of a trial.  All their names in one variable have to fit into Linux' 128 KiB for one string."""

_RANGE: Final = re.compile(
    r"(?P<before>[^\[\]]*)\[(?P<low>[0-9]{1,9})-(?P<high>[0-9]{1,9})\](?P<after>[^\[\]]*)"
)
_LATER: Final = re.compile(r"[@$&!]|^\s*(?:\d+%?|all|any)\s+of\b")


class SpecError(ValueError):
    """A spec is wrong.  ``later`` if it is right but not supported by this version."""

    def __init__(self, message: str, hint: str = "", *, later: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.later = later


def expand(spec: str) -> tuple[str, ...]:
    """Return the nodes that one spec names, in order.

    A range is padded with zeros to the length of its lower end.

    Raises:
        SpecError: If it names none, too many, or something that cannot be a node.
    """
    if _LATER.search(spec):
        raise SpecError(
            f"`{spec}` is not supported by this version", 'name the nodes: "lab1" or "lab[1-4]"', later=True
        )
    if "[" not in spec and "]" not in spec:
        return (_node(spec),)
    match = _RANGE.fullmatch(spec)
    if match is None:
        raise SpecError(f"`{spec}` is no range of nodes", 'write one range of numbers, as in "lab[1-4]"')
    low, high, width = int(match["low"]), int(match["high"]), len(match["low"])
    if low > high:
        raise SpecError(f"the range `{spec}` runs backwards", f'write "{_backwards(match)}"')
    if high - low >= MAX_NODES:
        raise SpecError(f"`{spec}` names {high - low + 1} nodes, over the limit of {MAX_NODES}")
    numbers = (str(number).zfill(width) for number in range(low, high + 1))
    return tuple(_node(f"{match['before']}{number}{match['after']}") for number in numbers)


def expand_all(specs: Iterable[str]) -> tuple[str, ...]:
    """Return the nodes of one role.

    Raises:
        SpecError: As `expand`, or if a node is named twice.
    """
    nodes: dict[str, None] = {}
    for spec in specs:
        for node in expand(spec):
            if node in nodes:
                raise SpecError(f"node `{node}` is named twice in one role")
            nodes[node] = None
    return tuple(nodes)


def _node(name: str) -> str:
    if NODE.fullmatch(name):
        return name
    parts = re.split(r"[\s,;]+", name.strip())
    hint = "a name has letters, digits, `.`, `_` and `-`, at most 63, and begins with a letter or digit"
    if len(parts) > 1 and all(map(NODE.fullmatch, parts)):
        hint = "write a list: [" + ", ".join(f'"{part}"' for part in parts) + "]"
    raise SpecError(f"`{name}` cannot be the name of a node", hint)


def _backwards(match: re.Match[str]) -> str:
    return f"{match['before']}[{match['high']}-{match['low']}]{match['after']}"
