"""PURE.  How fast a clock is seen to run against fabric time.

Nothing is concluded from it: it is shown to people, who can see whether a clock comes near the limit that is
believed (`fabric.timing.envelope.DRIFT_PPM`).
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from fabric.timing.offset import Exchange

S: Final = 1_000_000_000

APART_NS: Final = 15 * S
"""Between two exchanges that are kept for this: over it a round trip of 1 ms leaves 70 ppm open."""

ANCHORS: Final = 20
"""Most that are kept: five minutes of present, so that it is the rate of now."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What fabric time gains on the local clock, in parts per billion; ``bound_ppb`` is the half-width."""

    ppb: int
    bound_ppb: int


class DriftWatch:
    """Compares the newest exchange with one of some minutes ago."""

    def __init__(self) -> None:
        self._anchors: deque[Exchange] = deque(maxlen=ANCHORS)
        self._best: Exchange | None = None  # the narrowest one since the last anchor
        self._epoch: int | None = None

    def add(self, epoch: int, exchange: Exchange) -> None:
        """Take an exchange; one of another epoch forgets those before."""
        if epoch != self._epoch:
            self.clear()
            self._epoch = epoch
        if not self._anchors:
            self._anchors.append(exchange)
        elif exchange.t4_ns - self._anchors[-1].t4_ns >= APART_NS:
            self._anchors.append(self._best or exchange)
            self._best = None
        if self._best is None or exchange.rtt_ns <= self._best.rtt_ns:
            self._best = exchange

    def clear(self) -> None:
        """Forget all: a clock was set."""
        self._anchors.clear()
        self._best = None

    @property
    def seen(self) -> Drift | None:
        """What the evidence says; None before it is old enough."""
        if self._best is None or not self._anchors:
            return None
        first, last = self._anchors[0], self._best
        apart_ns = last.t4_ns - first.t4_ns
        if apart_ns < APART_NS:
            return None
        gained_ns = (last.most_ns + last.least_ns - first.most_ns - first.least_ns) // 2
        open_ns = (last.rtt_ns + first.rtt_ns) // 2 + 2
        return Drift(gained_ns * S // apart_ns, open_ns * S // apart_ns + 1)
