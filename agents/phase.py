"""One phase on this node: lanes of steps, and how a go makes them start together.

    preparing -> ready -> scheduled -> running -> done
                   ^          |
                   +- holding +        (an abort takes the go back)

A phase that cannot be prepared is refused; one that an agent does by itself goes from ready to running.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agents.step_run import StepRun
from fabric.protocol.messages import Assign, Prepare, Step
from fabric.protocol.names import StepId
from fabric.protocol.shared_env import merge

WHYS: Final = 3
"""Most failures of a phase that are told together: a sentence of them is for people."""

PhaseState = Literal["preparing", "ready", "refused", "scheduled", "holding", "running", "done"]


@dataclass(slots=True)
class Lane:
    """The steps of one role, one after another."""

    role: str
    queue: deque[Step] = field(default_factory=deque)
    current: StepRun | None = None
    skipped: list[tuple[Step, str]] = field(default_factory=list)  # not yet reported

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it runs or is to come."""
        return not self.queue and self.current is None

    @property
    def can_move(self) -> bool:
        """Whether its next step can begin, or there is a skipped one to report."""
        return self.current is None and bool(self.queue or self.skipped)


@dataclass(slots=True)
class PhasePart:
    """A node's part of one execution of a phase.  Local instants are monotonic nanoseconds."""

    run: str
    phase: str  # repeat/phase
    failed: bool  # a step of this repeat has failed
    stopped: bool  # ... so steps that want success do not begin
    cut: bool = False  # nothing begins any more
    state: PhaseState = "preparing"
    lanes: dict[str, Lane] = field(default_factory=dict)
    ending: set[str] = field(default_factory=set)  # keys of what ends before it, as far as that still lives
    arming: set[str] = field(default_factory=set)
    clock_is_fresh: bool = False
    is_checked: bool = False
    go: int = 0
    whys: list[str] = field(default_factory=list)  # what has failed of it here
    voided: int = 0  # goes up to this number were aborted
    t0_ns: int = 0  # fabric time
    t0_local_ns: int = 0
    has_failed: bool = False  # here, in this phase
    asked: tuple[bool, bool] = (False, False)  # ``failed`` and ``stopped`` of the prepare
    refusal: tuple[str, str] | None = None  # step, sentence
    kept: bool = False  # holding: something of it has begun already
    env: Mapping[str, str] = field(default_factory=dict)  # as it was asked for: of all steps
    steps: tuple[Step, ...] = ()  # as it was asked for

    @classmethod
    def of(
        cls,
        run: str,
        phase: str,
        env: Mapping[str, str],
        steps: tuple[Step, ...],
        *,
        failed: bool,
        stopped: bool,
    ) -> "PhasePart":
        """Sort the steps into lanes; ``env`` is added to that of each."""
        part = cls(run, phase, failed, stopped, asked=(failed, stopped), env=env, steps=steps)
        for step in merge(env, steps):
            role = StepId.parse(step.step).role
            part.lanes.setdefault(role, Lane(role)).queue.append(step)
        return part

    @classmethod
    def prepared(cls, message: Prepare) -> "PhasePart":
        """Do what a prepare says."""
        return cls.of(
            message.run,
            message.phase,
            message.env,
            message.steps,
            failed=message.failed,
            stopped=message.stopped,
        )

    @classmethod
    def alone(cls, assign: Assign, phase: str) -> "PhasePart":
        """Do the reset that needs nobody: no go, and no burst of questions for the time."""
        part = cls.of(assign.run, phase, assign.env, assign.reset, failed=True, stopped=True)
        part.clock_is_fresh = part.is_checked = True
        return part

    def is_for(self, message: Prepare) -> bool:
        """Whether it is what this prepare wants: the same one came again.

        If a step has failed elsewhere before the go, a phase is prepared once more, for then others begin.
        """
        is_waiting = self.state in ("preparing", "ready", "refused")
        is_same = (message.failed, message.stopped) == self.asked or not is_waiting
        return message.phase == self.phase and is_same

    @property
    def is_reset(self) -> bool:
        """Whether this is the phase that cleans up; it goes on whatever fails."""
        return self.phase.endswith("/reset")

    @property
    def is_prepared(self) -> bool:
        """Whether everything is done that can be done before the go."""
        return not self.ending and not self.arming and self.clock_is_fresh and self.is_checked

    @property
    def is_close_to_begin(self) -> bool:
        """Whether something may start at once: the launcher does it without its agent, too."""
        return not self.is_reset and self.state in ("preparing", "ready", "scheduled", "holding")

    @property
    def is_idle(self) -> bool:
        """Whether nothing of any lane runs or is to come."""
        return all(lane.is_idle for lane in self.lanes.values())

    @property
    def can_move(self) -> bool:
        """Whether the next step of a lane can begin."""
        return any(lane.can_move for lane in self.lanes.values())

    def currents(self) -> list[StepRun]:
        """Return the present step of each lane, before the phase begins the first one."""
        return [lane.current for lane in self.lanes.values() if lane.current is not None]

    def lane_of(self, step: StepRun) -> Lane | None:
        """Return the lane in which this attempt is the current one."""
        lane = self.lanes.get(step.id.role)
        return lane if lane is not None and lane.current is step else None

    def take_next(self, lane: Lane) -> Step | None:
        """Take the next step that is to run off a lane's queue, noting those that are not."""
        while lane.queue:
            step = lane.queue.popleft()
            why_not = self.why_not(step)
            if why_not is None:
                return step
            lane.skipped.append((step, why_not))
        return None

    def why_not(self, step: Step) -> str | None:
        """Say why a step is not to begin, also not once more; None if it is."""
        if self.cut:
            return "the phase was ended"
        if step.when == "passed" and self.stopped:
            return "a step has failed or the phase was ended"
        if step.when == "failed" and not self.failed:
            return "no step has failed"
        return None

    @property
    def why_failed(self) -> str:
        """What has failed of it here, "" if nothing has."""
        return ("; ".join(self.whys) or "a step failed") if self.has_failed else ""

    def note_failure(self, step: Step, why: str) -> None:
        """Take in that a step has failed, and why.

        A reset that succeeds is one, even if a spawned step that it was to outlive died meanwhile.
        """
        place = StepId.parse(step.step)
        self.failed = True
        if self.is_reset and not place.phase_id.endswith("/reset"):
            return
        self.has_failed = True
        if len(self.whys) < WHYS:
            self.whys.append(f"{place.phase}/{place.role}/{place.label}: {why}")
        self.stopped = self.stopped or step.on_fail == "stop"
