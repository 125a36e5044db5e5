"""PURE.  How far a run is: which cell and repeat, and about how long it will still take."""

from collections import deque
from typing import Final

from fabric.protocol.records import Record, RepeatEnded, RepeatStarted, RunEnded, RunStarted

MEASURED: Final = 20
"""So many of the last repeats are averaged: those before may have been of other cells."""


class Progress:
    """Takes the run's own records in.  Instants are fabric time."""

    def __init__(self) -> None:
        self.name = ""
        self.started_ns: int | None = None
        self._cells = 1
        self._repeats = 1
        self._now: RepeatStarted | None = None
        self._done = 0
        self._durations_ns: deque[int] = deque(maxlen=MEASURED)
        self._over = False

    def take(self, record: Record) -> None:
        """Take the next record in."""
        match record:
            case RunStarted():
                self.name, self.started_ns = record.name, record.t_ns
                self._cells, self._repeats = max(1, record.cells), max(1, record.repeats)
            case RepeatStarted():
                self._now = record
            case RepeatEnded() if self._now is not None:
                self._done += 1
                self._durations_ns.append(record.t_ns - self._now.t_ns)
            case RunEnded():
                self._over = True
            case _:
                pass

    def where(self) -> str:
        """Return ``cell 3/24 streams=8 a=lab1 b=lab2, repeat 2/5``; "" if there is one repeat only."""
        now = self._now
        if now is None or self._repeats == 1:
            return ""
        parts = []
        if now.cell:
            values = "".join(f" {name}={value}" for name, value in now.variables.items())
            parts.append(f"cell {now.cell}/{self._cells}{values}")
        each = self._repeats // self._cells
        if each > 1 or not now.cell:
            parts.append(f"repeat {now.repeat}/{each}{' (warm-up)' if now.warmup else ''}")
        return ", ".join(parts)

    def left_ns(self, t_ns: int) -> int | None:
        """Return about how long the run will still take; None if no repeat has told yet, or none is left."""
        if not self._durations_ns or self._now is None or self._over or self._done >= self._repeats:
            return None
        mean_ns = sum(self._durations_ns) // len(self._durations_ns)
        begun_ns = min(mean_ns, max(0, t_ns - self._now.t_ns))
        return (self._repeats - self._done) * mean_ns - begun_ns
