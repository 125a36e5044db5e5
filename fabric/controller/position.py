"""Finds the place in a run's records at which an instant of fabric time stands."""

from typing import Final

from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.tail import RunTail
from fabric.protocol.messages import RunInfo

MARGIN_NS: Final = 30_000_000_000
"""Records of different nodes come in their order but for some seconds; who was cut off for longer is late."""


def find_origin_ns(connection: Connection, info: RunInfo) -> int | None:
    """Return the instant of the run's first record in fabric time; None if it has none yet.

    All times of a run are shown relative to it, wherever one begins to read.
    """
    first = _record(connection, info, 1)
    return None if first is None else first.record.t_ns


def find_number(connection: Connection, info: RunInfo, t_ns: int) -> int:
    """Return the number of a record before which (nearly) all are older than ``t_ns - MARGIN_NS``.

    Asks for some twenty single records, however long the run is.
    """
    low, high = 1, info.last + 1
    while low < high:
        middle = (low + high) // 2
        found = _record(connection, info, middle)
        if found is None or found.record.t_ns >= t_ns - MARGIN_NS:
            high = middle
        else:
            low = middle + 1
    return low


def _record(connection: Connection, info: RunInfo, number: int) -> Read | None:
    tail = RunTail(connection, info, number=number, limit_bytes=1)
    while not tail.done:
        for read in tail.turn():
            return read
    return None
