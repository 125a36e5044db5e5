"""PURE.  How a step is called before its lines: ``server/server-1``, of an earlier phase with its phase."""

from fabric.protocol.names import StepId
from fabric.protocol.records import PhaseStarted, Record


class Whose:
    """Knows which phase goes on.

    What was spawned in ``startup`` still runs when ``run`` begins, and a step there may have the same role
    and number: then the older one is ``startup/server/server-1``.
    """

    def __init__(self) -> None:
        self._phase = ""
        self._begun: set[str] = set()  # some ten bytes for each phase of a run

    def note(self, record: Record) -> None:
        """Take in which phase begins."""
        if isinstance(record, PhaseStarted):
            self._phase = record.phase
            self._begun.add(record.phase)

    def name(self, step: StepId) -> str:
        """Return what to call a step.  One of a phase that was not seen to begin is of the next."""
        short = f"{step.role}/{step.label}"
        is_earlier = step.phase_id != self._phase and step.phase_id in self._begun
        is_alone = step.repeat == 0  # the reset that a node does by itself, whatever the others do
        return f"{step.phase}/{short}" if is_earlier or is_alone else short
