"""Records as events: one flat JSON object each, for events.jsonl, ``fabric-tail --json`` and scripts.

Times are seconds of one clock: ``t`` since the run's first record, ``bound`` how far off it may be.
"""

import codecs
import json
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any, Final

from fabric.controller.entry import Read
from fabric.errors import DecodeError
from fabric.protocol.names import StepId, parse_phase
from fabric.protocol.records import FileChunk, Metric, MetricMissing, Output, Record

EVENT_TEXT_LIMIT_BYTES: Final = 4096
"""Most bytes of one output record that its event shows; all of them are in the bundle's out/."""

SILENT: Final = (FileChunk,)
"""Records that are no events: a large file is 40,000 chunks, of which its end says enough."""

_INSTANTS: Final = frozenset({"t0_ns", "planned_ns", "ordered_ns", "woke_ns"})
"""Fields that are instants of fabric time; the others that end in ``_ns`` are durations."""

_PLACED: Final = frozenset({"t_ns", "bound_ns", "step", "phase"})
"""Fields that `event_of` puts at the front in another form."""


def is_event(record: Record) -> bool:
    """Whether a record is an event, wherever events are shown."""
    return not isinstance(record, SILENT)


def event_of(read: Read, origin_ns: int) -> dict[str, Any]:
    """Return the event of a record.

    Args:
        read: The record; the bytes of an output are decoded with replacement characters.
        origin_ns: Instant of the run's first record, in fabric time: its ``t`` is 0.
    """
    record = read.record
    event: dict[str, Any] = {
        "t": _seconds(record.t_ns - origin_ns),
        "bound": _seconds(record.bound_ns) if record.bound_ns >= 0 else None,
        "type": record.kind,
    }
    if read.node:
        event["node"] = read.node
    event |= _place(record)
    cls: type = type(record)
    for name in _own_fields(cls):
        event |= _plain(name, getattr(record, name), origin_ns)
    event["number"] = read.number
    if isinstance(record, Output):
        event |= _text(bytes(read.data[:EVENT_TEXT_LIMIT_BYTES]), record.size)
    return event


def event_line(event: dict[str, Any]) -> str:
    """Return the event as one line of JSON, without the newline."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def node_of(read: Read) -> str:
    """Return the node that a record is about; of a metric, which the controller found, where it was."""
    record = read.record
    return record.node if isinstance(record, Metric | MetricMissing) else read.node


def step_of(record: Record) -> StepId | None:
    """Return the step that the record is about, if it is about one."""
    step: str | None = getattr(record, "step", None)
    return _parse(step) if step else None


_parse = lru_cache(maxsize=4096)(StepId.parse)
"""A step's name comes with each of its records."""


def _place(record: Record) -> dict[str, Any]:
    """Say where in the run the record belongs."""
    step = step_of(record)
    if step is not None:
        cell = {"cell": step.cell} if step.cell else {}
        return {"role": step.role, "phase": step.phase, **cell, "repeat": step.repeat, "step": step.label}
    phase_id: str | None = getattr(record, "phase", None)
    if phase_id is None:
        return {}
    try:
        number, repeat, phase = parse_phase(phase_id)
    except DecodeError:
        return {"phase": phase_id}
    return {"phase": phase, **({"cell": number} if number else {}), "repeat": repeat}


@cache
def _own_fields(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.name not in _PLACED)


def _plain(name: str, value: Any, origin_ns: int) -> dict[str, Any]:
    """Return a field with its time in seconds; an instant of 0 says that there is none."""
    if not name.endswith("_ns"):
        return {name: value}
    short = name.removesuffix("_ns")
    if value is None or (name in _INSTANTS and not value):
        return {short: None}
    return {short: _seconds(value - origin_ns if name in _INSTANTS else value)}


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 9)


def _text(data: bytes, size: int) -> dict[str, Any]:
    """Decode the output's beginning; a character that the limit cuts is left out."""
    if size <= len(data):
        return {"text": data.decode("utf-8", "replace")}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return {"text": decoder.decode(data), "truncated": True}
