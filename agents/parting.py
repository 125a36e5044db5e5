"""PURE.  How a node's part of a run ends: it is told to be free, or nobody leads it any more.

Instants are nanoseconds of the local monotonic clock.
"""

from collections.abc import Callable
from typing import Final

from agents.effects import Effect, Report, Ship
from agents.lanes import Lanes
from agents.phase import PhasePart
from agents.stamp import Stamp
from fabric.protocol.messages import Assign
from fabric.protocol.records import Notice

LOCAL_RESET: Final = "0/reset"


class Parting:
    """Ends what is left on this node, after a reset if one is due that nobody else leads."""

    def __init__(self, lanes: Lanes, stamp: Stamp, *, needs_reset: bool) -> None:
        self.needs_reset = needs_reset
        self.abandoned = ""  # why the agent goes on alone
        self.freeing = False
        self._lanes = lanes
        self._stamp = stamp
        self.reset_failed = False
        self.has_shipped = False

    @property
    def is_led(self) -> bool:
        """Whether the agent still does what the controller says."""
        return not self.abandoned and not self.freeing

    def phase_begins(self, part: PhasePart) -> None:
        """What a phase does is to be undone by a reset."""
        self.needs_reset = self.needs_reset or not part.is_reset

    def phase_done(self, part: PhasePart) -> None:
        """A reset that failed is due again, but not if it was done alone: it would fail for ever."""
        if part.is_reset:
            self.needs_reset = part.has_failed and part.phase != LOCAL_RESET
            self.reset_failed = part.has_failed

    def alone(self, assign: Assign, why: str, now_ns: int) -> list[Effect]:
        """Nobody leads this run any more: end it as the trial says, then reset."""
        if not self.is_led:
            return []
        self.abandoned = why
        t, bound = self._stamp.fabric(now_ns)
        words = f"{why}; this node ends its part of the run"
        notice = Notice(t_ns=t, bound_ns=bound, level="warning", message=words)
        effects: list[Effect] = [Report(assign.run, notice)]
        part = self._lanes.part
        if part is not None and part.state in ("preparing", "ready", "holding", "refused"):
            effects += self._lanes.steps.drop_armed()
            self._lanes.part = None
        elif part is not None and assign.on_lost == "stop" and not part.is_reset:
            effects += self._lanes.cancel(part, now_ns, everything=True)
        return effects

    def free(self, now_ns: int) -> list[Effect]:
        """The run is over here."""
        self.freeing = True
        return self._lanes.end_all(now_ns)

    def what_follows(self, assign: Assign) -> Callable[[int], list[Effect]] | None:
        """Return what is to be done now; each changes the state on which that depends."""
        if self.abandoned and not self.freeing and not self._goes_on:
            return lambda now_ns: self._reset_alone(assign, now_ns)
        if self.freeing and not self._lanes.steps and not self.has_shipped:
            return lambda _now_ns: self._ship(assign.run)
        return None

    @property
    def _goes_on(self) -> bool:
        """Whether a phase goes on, or the reset that is done alone is being prepared."""
        part = self._lanes.part
        if part is None or part.state == "done":
            return False
        return part.state in ("scheduled", "running") or part.phase == LOCAL_RESET

    def _reset_alone(self, assign: Assign, now_ns: int) -> list[Effect]:
        """No phase goes on: end spawned steps, reset if it is due or has failed, then be free."""
        part = self._lanes.part
        if not self.needs_reset or (part is not None and part.phase == LOCAL_RESET):
            return self.free(now_ns)
        part = PhasePart.alone(assign, LOCAL_RESET)
        self._lanes.part = part
        effects = self._lanes.end_all(now_ns)
        part.ending = set(self._lanes.steps.keys)
        return effects + self._lanes.arm_firsts(part)

    def _ship(self, run: str) -> list[Effect]:
        self.has_shipped = True
        return [Ship(run, self.reset_failed)]
