"""Instants of fabric time, for people and for programs."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

_SUFFIX: Final = "_ns"


def iso(t_ns: int) -> str:
    """Return an instant as programs read it: ``2026-03-01T10:22:07.123Z``."""
    return datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(t_ns: int) -> str:
    """Return an instant as people read it everywhere in the fabric: ``2026-03-01 10:22:07 UTC``."""
    return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def plain(message: Any) -> dict[str, Any]:
    """Return a part of a message as JSON takes it: instants in ISO 8601, null where there is none.

    Durations, which are few, are in seconds: ``lead_ns`` becomes ``lead_s``.
    """
    return {name: value for key, raw in asdict(message).items() for name, value in [_plain(key, raw)]}


_DURATIONS: Final = ("lead_ns", "skew_ns", "skew_bound_ns")


def _plain(key: str, value: Any) -> tuple[str, Any]:
    if not key.endswith(_SUFFIX):
        return key, value
    short = key.removesuffix(_SUFFIX)
    if key in _DURATIONS:
        return f"{short}_s", None if value is None else value / 1e9
    return short, iso(value) if value else None
