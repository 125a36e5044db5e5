"""PURE.  Where a record stands on the timeline: at its instant, but not before what it follows from."""

from fabric.controller.entry import Read
from fabric.protocol.records import Metric, MetricMissing, PhaseEnded, RepeatEnded, RunEnded, StepStarted


class Places:
    """Gives each record its place, an instant of fabric time; they are asked for in the order of the run.

    What one source says stays in its order, but for the start of a step: it is told some milliseconds after
    it happened, and what the program has printed by then stands behind it all the same.  What has no bound,
    such as what an agent finds of its last life before it knows the time, stands behind all that was said
    before.  The controller's clock may be behind those of the nodes by as much as both may be off: what it
    has found out, such as the end of a phase, stands behind what it knows.
    """

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}  # of each source: what follows never stands before

    def of(self, read: Read) -> int:
        """Return the place of the next record."""
        is_known = read.record.bound_ns >= 0
        if is_known and isinstance(read.record, StepStarted):
            self._latest[read.node] = max(read.record.t_ns, self._latest.get(read.node, 0))
            return read.record.t_ns
        t_ns = read.record.t_ns if is_known or not self._latest else 0
        place_ns = max(t_ns, self._latest.get(read.node, 0), self._known_ns(read))
        self._latest[read.node] = place_ns
        return place_ns

    def _known_ns(self, read: Read) -> int:
        record = read.record
        if record.bound_ns < 0:
            return max(self._latest.values(), default=0)
        if isinstance(record, MetricMissing | Metric):
            return self._latest.get(record.node, 0)
        if isinstance(record, PhaseEnded | RepeatEnded | RunEnded):
            return max(self._latest.values(), default=0)
        return 0
