"""PURE.  Records in the order of their time, as far as a short wait can bring that about.

Records of two nodes come in the order in which the broker stored them, which is not that of their instants:
one node's way is longer, or it had more to send.  Each is held for a moment and let go by its instant.
"""

import heapq
from collections.abc import Iterable
from itertools import count
from typing import Final

from fabric.controller.entry import Read
from fabric.report.places import Places

HOLD_NS: Final = 150_000_000
"""Each record is held so long for earlier ones: a network's round trip and an agent's turn fit in well."""

STEP_NS: Final = 20_000_000
"""Records are let go at multiples of it, some at a time: to be woken for each costs more than to print it."""

HELD_BYTES: Final = 512 * 1024
"""Most output that is held; over it, records are let go sooner and perhaps in another order."""

_COST_BYTES: Final = 256
"""Of a record without its output."""


class TimeOrder:
    """Holds and sorts.  ``now_ns`` is on one monotonic clock, the caller's."""

    def __init__(self, hold_ns: int = HOLD_NS) -> None:
        self._hold_ns = hold_ns
        self._held: list[tuple[int, int, int, Read]] = []  # place in time, place in coming, when due
        self._came = count()
        self._size = 0
        self._places = Places()

    @property
    def deadline_ns(self) -> int | None:
        """When the first one is to be let go."""
        return self._held[0][2] if self._held else None

    def take(self, reads: Iterable[Read], now_ns: int) -> list[Read]:
        """Take records in, return those whose time has come."""
        ready: list[Read] = []
        due_ns = -(-(now_ns + self._hold_ns) // STEP_NS) * STEP_NS
        for read in reads:
            place_ns = self._places.of(read)
            own = read  # with bytes of its own, not to keep the message that they came in
            if read.data:
                own = Read(read.number, read.node, read.record, bytes(read.data), read.incarnation)
            heapq.heappush(self._held, (place_ns, next(self._came), due_ns, own))
            self._size += _COST_BYTES + len(read.data)
            while self._size > HELD_BYTES:
                ready.append(self._pop())
        while self._held and self._held[0][2] <= now_ns:
            ready.append(self._pop())
        return ready

    def rest(self) -> list[Read]:
        """Return what is still held: nothing more comes."""
        return [self._pop() for _ in range(len(self._held))]

    def _pop(self) -> Read:
        read = heapq.heappop(self._held)[3]
        self._size -= _COST_BYTES + len(read.data)
        return read
