"""PURE.  Shows a line for sh as the shell would see it: with the values of its variables."""

import re
from collections.abc import Mapping
from typing import Final

from fabric.trial.shellnames import set_in_shell

_TOKEN: Final = re.compile(
    r"\\.|(?P<quote>['\"])|\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})", re.DOTALL | re.ASCII
)

MAX_VALUE_CHARS: Final = 100
"""A longer value, such as the addresses of a hundred nodes, would hide the command; its name stays."""


def with_values(command: str, variables: Mapping[str, str]) -> str:
    """Return a line for sh with `$name` and `${name}` replaced, for reading.

    What stands in single quotes, behind a backslash, or is set by the line itself stays as it is.
    """
    own = set_in_shell(command)
    found: list[str] = []
    position = end = 0
    is_double = False
    while match := _TOKEN.search(command, position):
        position = match.end()
        if match["quote"] == '"':
            is_double = not is_double
        elif match["quote"] and not is_double:
            closing = command.find("'", position)
            position = len(command) if closing < 0 else closing + 1
        name = match["bare"] or match["braced"]
        if name and name not in own and len(variables.get(name, "")) <= MAX_VALUE_CHARS and name in variables:
            found += command[end : match.start()], variables[name]
            end = position
    return "".join([*found, command[end:]])
