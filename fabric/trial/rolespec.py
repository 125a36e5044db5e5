"""PURE.  The spec of a role: texts in which the variables of the matrix may stand."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Final

from fabric.trial.nodespec import Names, Part, SpecError, parse
from fabric.trial.problems import did_you_mean
from fabric.trial.shellnames import expand, used_in_value

MAX_TRIED: Final = 1000
"""Most combinations of values that a spec is tried with before anything runs."""


class UnsetError(SpecError):
    """A spec has a `$name` that is no variable of the matrix."""


def parts_of(texts: Iterable[str], variables: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the parts of a role in the cell that has these variables.

    Raises:
        SpecError: If a text is no spec with these values, or names a node twice.
    """
    parts: list[Part] = []
    seen: set[str] = set()
    for text in texts:
        for part in parse(expand(text, variables)):
            parts.append(part)
            for name in part.names if isinstance(part, Names) else ():
                if name in seen:
                    raise SpecError(f"node `{name}` is named twice in one role", end=len(text))
                seen.add(name)
    return tuple(parts)


def check_spec(text: str, matrix: Mapping[str, Sequence[str]]) -> None:
    """Check a text of a spec with the values that its variables can have.

    Raises:
        SpecError: If something is wrong with it; its place is one in the text as written.
    """
    used = list(dict.fromkeys(used_in_value(text)))
    for name in used:
        if name not in matrix:
            hint = did_you_mean(name, matrix, f"variables of [matrix]: {', '.join(matrix) or 'none'}")
            start = max(text.find(f"${name}"), text.find(f"${{{name}}}"), 0)
            raise UnsetError(f"nothing sets ${name} here", hint, start=start, end=start + len(name) + 1)
    if not used:
        parse(text)
        return
    for values in islice(product(*(matrix[name] for name in used)), MAX_TRIED):
        variables = dict(zip(used, values, strict=True))
        try:
            parse(expand(text, variables))
        except SpecError as error:
            shown = ", ".join(f"${name} = {value!r:.40}" for name, value in variables.items())
            raise SpecError(f"{error} (with {shown})", error.hint, end=len(text)) from None
