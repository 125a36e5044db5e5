"""PURE.  How a node's part of a run ends: it is told to be free, or nobody leads it any more.

Instants are nanoseconds of the local monotonic clock.
"""

from collections.abc import Callable
from typing import Final

from agents.effects import Effect, Report, Ship
from agents.lanes import Lanes
from agents.phase import PhasePart
from agents.stamp import Stamp
from agents.step_run import NANOSECONDS
from fabric.protocol.messages import Abandon, Assign, Cancel, Free, Prepare
from fabric.protocol.records import Notice

LOCAL_RESET: Final = "0/reset"

GO_ON_NS: Final = 86_400 * NANOSECONDS
"""With ``on_lost = "continue"`` spawned steps live for so long without news: a day."""

ANSWERED: Final = (Prepare, Cancel, Free, Abandon)
"""What a node without a part of the run answers with `Freed`: who asks believes that it has one."""


class Parting:
    """Ends what is left on this node, after a reset if one is due that nobody else leads."""

    def __init__(self, lanes: Lanes, stamp: Stamp, *, needs_reset: bool) -> None:
        self.needs_reset = needs_reset
        self.abandoned = ""  # why the agent goes on alone
        self.freeing = False
        self._lanes = lanes
        self._stamp = stamp
        self.dirty = ""  # why this part leaves the node dirty, if it does
        self.why_failed = ""  # the last reset
        self.has_shipped = False
        self._busy_ns = 0  # when something went on last, though nothing was heard
        self._noted_ns = 0  # when that was said, or still so

    @property
    def is_led(self) -> bool:
        """Whether the agent still does what the controller says."""
        return not self.abandoned and not self.freeing

    def phase_begins(self, part: PhasePart) -> None:
        """What a phase does is to be undone by a reset."""
        self.needs_reset = self.needs_reset or not part.is_reset

    def phase_done(self, part: PhasePart) -> None:
        """A reset that failed is due again, but not if it was done alone: it would fail for ever."""
        if part.is_reset and not self.freeing:  # one that is cut short then has not succeeded
            is_alone = part.phase == LOCAL_RESET
            self.needs_reset = part.has_failed and not is_alone
            self.why_failed = part.why_failed
            self.dirty = part.why_failed if is_alone else ""

    def unheard(self, assign: Assign, since_ns: int, now_ns: int) -> list[Effect]:
        """The lease has ended: end this part, unless it is to go on and there is something that can.

        What goes on has its own limits, but for spawned steps; when it is over, the network gets another
        lease to come back.
        """
        why = "nothing was heard of the broker"
        if assign.on_lost == "stop" or now_ns - since_ns >= GO_ON_NS:
            return self.alone(assign, why, now_ns)
        part = self._lanes.part
        has_begun = part is not None and part.state in ("scheduled", "running")
        if has_begun or any(step.started_ns for step in self._lanes.steps):
            has_news = since_ns > self._noted_ns
            self._busy_ns = self._noted_ns = now_ns
            return self._notice(assign, f"{why}; what runs here goes on", now_ns) if has_news else []
        if now_ns - self._busy_ns < assign.lease_s * NANOSECONDS:
            return []
        return self.alone(assign, why, now_ns)

    def _notice(self, assign: Assign, words: str, now_ns: int) -> list[Effect]:
        t, bound = self._stamp.fabric(now_ns)
        return [Report(assign.run, Notice(t_ns=t, bound_ns=bound, level="warning", message=words))]

    def alone(self, assign: Assign, why: str, now_ns: int, *, at_once: bool = False) -> list[Effect]:
        """Nobody leads this run any more: end it ``at_once`` or as the trial says, then reset."""
        if not self.is_led:
            return []
        self.abandoned = why
        effects = self._notice(assign, f"{why}; this node ends its part of the run", now_ns)
        part = self._lanes.part
        if part is not None and part.state in ("preparing", "ready", "holding", "refused"):
            effects += self._lanes.steps.drop_armed()
            self._lanes.part = None
        elif part is not None and (at_once or assign.on_lost == "stop") and not part.is_reset:
            effects += self._lanes.cancel(part, now_ns, everything=True)
        return effects

    def free(self, assign: Assign, now_ns: int) -> list[Effect]:
        """The run is over here.  A reset that is still due is one that did not succeed."""
        self.freeing = True
        if self.needs_reset and assign.reset:
            self.dirty = self.dirty or self.why_failed or "its reset was not done"
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
            return self.free(assign, now_ns)
        part = PhasePart.alone(assign, LOCAL_RESET)
        self._lanes.part = part
        effects = self._lanes.end_all(now_ns)
        part.ending = set(self._lanes.steps.keys)
        return effects + self._lanes.arm_firsts(part)

    def _ship(self, run: str) -> list[Effect]:
        self.has_shipped = True
        return [Ship(run, self.dirty)]
