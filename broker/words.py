"""Instants and lists, said to a person."""

from collections.abc import Collection
from datetime import UTC, datetime

from broker.limits import S

_SHOWN = 8


def when(instant_ns: int) -> str:
    """Return an instant of fabric time as ``2026-03-01 10:22:07 UTC``."""
    return datetime.fromtimestamp(instant_ns // S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def heard(heard_ns: int, now_ns: int) -> str:
    """Return when somebody was last heard of; 0 is never."""
    return f"last heard {max(0, now_ns - heard_ns) / S:.0f} s ago" if heard_ns else "never heard"


def listed(names: Collection[str]) -> str:
    """Return names with commas, the first few of many."""
    shown = ", ".join(sorted(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
