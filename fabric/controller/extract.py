"""PURE.  Finding the number of a metric in what a step wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fabric.errors import FabricError
from fabric.protocol.numbers import MAX_MEASURE
from fabric.trial import jsonpath
from fabric.trial.model import MetricSpec
from fabric.trial.patterns import compile_pattern

_SHOWN_CHARS: Final = 60


class MetricNotFound(FabricError):  # noqa: N818 - not a mistake of the program
    """There is no such number; the text says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a step wrote, as far as a metric is looked for in it."""

    data: bytes
    left_bytes: int = 0  # before it, that are over the limit

    def __str__(self) -> str:
        """Say how much it is, and whether it is all."""
        if not self.left_bytes:
            return f"{len(self.data)} bytes"
        whole = len(self.data) + self.left_bytes
        return f"the last {len(self.data)} of {whole} bytes: metrics are looked for in no more"


def extract(spec: MetricSpec, texts: Mapping[str, Written]) -> float:
    """Return the value of a metric.

    Args:
        spec: How it is found.
        texts: Where it is looked for, one after another, by what people call it ("stdout").

    Raises:
        MetricNotFound: If it is in none of them, or is no finite number.
    """
    whys = []
    for name, written in texts.items():
        text = written.data.decode("utf-8", "replace")
        try:
            found = _by_regex(spec.regex, text) if spec.regex else _by_json(spec.json, text)
        except LookupError as error:
            whys.append(f"{name} ({written}): {error.args[0]}")
            continue
        return _number(found, name)
    raise MetricNotFound("not found in " + "; ".join(whys) if whys else "there is nothing to look in")


def _by_regex(pattern: str, text: str) -> Any:
    """Return the group of the last match: what is printed last is the sum of what came before."""
    found = None
    for match in compile_pattern(pattern).finditer(text):
        found = match
    if found is None or found[1] is None:
        raise LookupError(f"no match of '{pattern}'")
    return found[1]


def _by_json(path: str, text: str) -> Any:
    return jsonpath.look_up(_document(text), jsonpath.parse(path))


def _document(text: str) -> Any:
    """Return the text as JSON, or the last of its lines that is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    for line in reversed(text.splitlines()):
        if line.lstrip()[:1] in ("{", "["):
            try:
                return json.loads(line)
            except (ValueError, RecursionError):
                continue
    raise LookupError("it is no JSON, nor is a line of it")


def _number(found: Any, name: str) -> float:
    """Return what was found as a number; a text may have one in it, but nothing else."""
    try:
        value = float(found) if isinstance(found, int | float | str) and not isinstance(found, bool) else None
    except (ValueError, OverflowError):
        value = None
    if value is None or not abs(value) <= MAX_MEASURE:  # NaN is not, either
        shown = json.dumps(found)[:_SHOWN_CHARS]
        raise MetricNotFound(f"what {name} has there is no number: {shown}")
    return value
