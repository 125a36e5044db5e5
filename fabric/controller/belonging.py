"""PURE.  Whether what a node reports is of a step that it has: else it could make any number of outputs."""

from dataclasses import dataclass, field
from typing import Final

from fabric.controller.entry import Read
from fabric.controller.plan import RunPlan
from fabric.errors import DecodeError
from fabric.protocol.names import CONTROLLER, StepId, parse_phase
from fabric.protocol.records import PhaseFinished
from fabric.trial.plan import LOCAL_RESET
from fabric.trial.vocabulary import MAX_RETRIES

MAX_ATTEMPTS: Final = MAX_RETRIES + 1

KEPT: Final = 4096
"""So many steps of nodes are remembered that were looked at: each record names one."""


@dataclass(slots=True)
class Belonging:
    """Knows what may be reported of a plan.  Of one that was not kept whole that is everything."""

    plan: RunPlan
    _known: set[tuple[str, str]] = field(default_factory=set)  # nodes, and steps that they have
    _told: set[str] = field(default_factory=set)  # nodes

    def has(self, read: Read, *, is_own: bool = True) -> bool:
        """Whether a record is one that may be.

        Args:
            read: The record.
            is_own: It is of this run, not taken over from one that may have had other nodes.
        """
        if read.node == CONTROLLER or not self.plan.repeats or not self.plan.trial.steps:
            return True
        if isinstance(read.record, PhaseFinished):
            return self._has_phase(read.record.phase)
        step: str | None = getattr(read.record, "step", None)
        if step is None:
            return True
        if getattr(read.record, "attempt", 1) > MAX_ATTEMPTS:
            return False
        return (read.node, step) in self._known or self._finds(read.node, step, is_own=is_own)

    def why_not(self, read: Read) -> str:
        """Return what to say of a record that may not be; "" if its node was named before."""
        if read.node in self._told:
            return ""
        self._told.add(read.node)
        place = getattr(read.record, "step", "") or getattr(read.record, "phase", "")
        attempt = getattr(read.record, "attempt", 1)
        what = f"attempt {attempt} at {place!r:.80}" if attempt > MAX_ATTEMPTS else f"{place!r:.80}"
        return f"{read.node} reports what does not fit: {read.record.kind} of {what}, which it does not have"

    def _finds(self, node: str, name: str, *, is_own: bool) -> bool:
        """Look for a step in the plan."""
        try:
            step = StepId.parse(name)
        except DecodeError:
            return False
        if not self._is_planned(step.cell, step.repeat, step.phase) or not self.plan.has_step(step):
            return False
        if is_own and node not in self.plan.roles.get(step.cell, {}).get(step.role, ()):
            return False
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known.add((node, name))
        return True

    def _has_phase(self, name: str) -> bool:
        try:
            return self._is_planned(*parse_phase(name))
        except DecodeError:
            return False

    def _is_planned(self, cell: int, repeat: int, phase: str) -> bool:
        """Whether there is such a phase; a run that resumes another may do it in any repeat."""
        if repeat == LOCAL_RESET:
            return cell in self.plan.roles and phase == self.plan.phases[-1]
        return phase in self.plan.phases and self.plan.has_repeat(cell, repeat)
