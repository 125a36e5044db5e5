"""The form of the wire, field by field, against the number of the protocol: docs/protocol.json."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fabric.protocol import codec, records
from fabric.protocol import numbers as protocol_numbers
from fabric.protocol.limits import PROTOCOL_VERSION

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "protocol.json"

OPTIONAL: Final = ", optional"

Pins = Mapping[str, Any]


def pins() -> Pins:
    """Return the present form: for each class its kind and the types of its fields."""
    classes = sorted(set(_classes()), key=lambda cls: cls.__name__)
    return {
        "version": PROTOCOL_VERSION,
        "numbers": numbers(),
        "classes": {
            cls.__name__: {
                "kind": getattr(cls, "kind", ""),
                "is_record": cls in codec.RECORDS.values(),
                "fields": _fields(cls),
            }
            for cls in classes
        },
    }


def numbers() -> dict[str, list[float]]:
    """Return the kinds of numbers with their ranges, in the order of their definition."""
    kinds = [kind for kind in vars(protocol_numbers).values() if get_origin(kind) is Annotated]
    ranges = [kind.__metadata__[0] for kind in kinds]
    return {within.name: [within.least, within.most] for within in ranges}


def why_not(old: Pins, new: Pins) -> str:
    """Return why the new form must not take the place of the old one; "" if it may."""
    if old["classes"] == new["classes"] and old.get("numbers") == new.get("numbers"):
        return ""
    changed = [] if old.get("numbers") == new.get("numbers") else ["the ranges of numbers"]
    changed += sorted(
        name
        for name in {*old["classes"], *new["classes"]}
        if old["classes"].get(name) != new["classes"].get(name)
    )
    if new["version"] <= old["version"]:
        where = "in fabric/protocol/limits.py"
        return f"{', '.join(changed)} changed: raise PROTOCOL_VERSION {where} above {old['version']}"
    for name in changed:
        before, after = old["classes"].get(name), new["classes"].get(name)
        if before is None or after is None or not after["is_record"]:
            continue
        added = after["fields"].keys() - before["fields"].keys()
        lacking = sorted(field for field in added if not after["fields"][field].endswith(OPTIONAL))
        if lacking:
            return f"{name}.{lacking[0]} needs a default: records that are stored already do not have it"
    return ""


def text(of: Pins) -> str:
    """Return the file's text."""
    return json.dumps(of, indent=1) + "\n"


def stored() -> Pins | None:
    """Return what the file says; None if there is none."""
    return json.loads(TARGET.read_text()) if TARGET.exists() else None


def _classes() -> Iterator[type]:
    todo: list[type] = [*codec.MESSAGES.values(), *codec.RECORDS.values()]
    seen: set[type] = set()
    while todo:
        cls = todo.pop()
        if cls in seen:
            continue
        seen.add(cls)
        yield cls
        for hint in get_type_hints(cls, include_extras=True).values():
            todo += [part for part in _parts(hint) if is_dataclass(part)]


def _parts(hint: Any) -> Iterator[Any]:
    if isinstance(hint, type):
        yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


def _fields(cls: Any) -> dict[str, str]:
    hints = get_type_hints(cls, include_extras=True)
    return {
        field.name: _said(hints[field.name])
        + ("" if field.default is MISSING and field.default_factory is MISSING else OPTIONAL)
        for field in fields(cls)
    }


def _said(hint: Any) -> str:
    if hint == records.Record:
        return "Record"
    plain = isinstance(hint, type) and not get_args(hint)
    said = hint.__name__ if plain else str(hint)
    said = said.replace(str(records.Record), "Record")
    said = re.sub(r"Annotated\[\w+, Within\(name='(\w+)'[^)]*\)\]", r"\1", said)
    return re.sub(r"\b(?:fabric(?:\.\w+)*|typing)\.", "", said)
