"""PURE.  What this node does for one run: phases, steps, and the end of both.

It is told what came from the network (`receive`), what the launcher saw (`armed` ... `ended`), that a stream
was read to its end (`stream_ended`) and that time went by (`expire`); it returns effects.  All instants
are nanoseconds of the local monotonic clock; records carry fabric time by the last clock estimate.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from agents import going, preparing
from agents.effects import Drop, Effect, RefreshClock, Report, Send, Ship
from agents.phase import Lane, PhasePart
from agents.stamp import Stamp
from agents.step_run import Exit, StepRun
from agents.steps import Steps
from fabric.protocol.messages import (
    Abandon,
    Abort,
    Assign,
    Assigned,
    Cancel,
    Free,
    Go,
    Message,
    Prepare,
)
from fabric.protocol.records import Notice, PhaseFinished, StepSkipped, Stream
from fabric.timing.offset import Estimate

LOCAL_RESET: Final = "0/reset"


class Executor:
    """A node's part of one run."""

    def __init__(self, assign: Assign, *, needs_reset: bool = False) -> None:
        """Take a part of a run; with ``needs_reset`` one that an earlier life of the agent has left."""
        self.assign = assign
        self.run = assign.run
        self.needs_reset = needs_reset
        self.steps = Steps(assign.run)
        self.phase: PhasePart | None = None
        self._stamp = Stamp()
        self._reset_failed = False
        self._abandoned = ""  # why the agent goes on alone
        self._freeing = False

    @property
    def is_led(self) -> bool:
        """Whether it still does what the controller says."""
        return not self._abandoned and not self._freeing

    # --- inputs -----------------------------------------------------------------------------------------

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message that names this run."""
        handler = _HANDLERS.get(type(message))
        return handler(self, message, now_ns) if handler else []

    def clock_changed(self, epoch: int, estimate: Estimate) -> None:
        """Use this estimate for what is reported and for the next go."""
        self._stamp.epoch, self._stamp.estimate = epoch, estimate

    def clock_refreshed(self, now_ns: int) -> list[Effect]:
        """The burst of probes that a prepare asked for was answered."""
        if self.phase is not None:
            self.phase.clock_is_fresh = True
        return self._answer_when_prepared(now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        times = [self.steps.deadline_ns]
        if self.phase is not None and self.phase.state == "scheduled":
            times.append(self.phase.t0_local_ns)
        return min((time for time in times if time is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Begin the phase whose t0 has come; end steps whose time is up."""
        effects: list[Effect] = []
        part = self.phase
        if part is not None and part.state == "scheduled" and now_ns >= part.t0_local_ns:
            effects += self._begin(part, now_ns)
        return effects + self.steps.end_late(now_ns)

    def lease_ended(self, why: str, now_ns: int) -> list[Effect]:
        """Nothing was heard of the broker for the run's lease."""
        return self._alone(why, now_ns)

    # --- what the launcher saw --------------------------------------------------------------------------

    def armed(self, key: str, now_ns: int) -> list[Effect]:
        """Its process waits for the release."""
        step = self.steps.get(key)
        if step is None or step.state != "arming":
            return []
        step.state = "armed"
        part = self.phase
        if part is not None and key in part.arming:
            part.arming.discard(key)
            return self._answer_when_prepared(now_ns)
        return going.release_in_turn(part, step, now_ns)

    def arm_failed(self, key: str, sentence: str, now_ns: int) -> list[Effect]:
        """It cannot be started: program, user or directory is wrong."""
        step = self.steps.get(key)
        if step is None:
            return []
        part = self.phase
        if part is not None and key in part.arming and not part.is_reset:
            self.steps.forget(step)
            return self._refuse(part, step.step.step, sentence)
        step.not_started, step.tree_ended = sentence, True
        if part is not None:
            part.arming.discard(key)
        effects = self._finish_if_over(step, now_ns)
        return effects + self._answer_when_prepared(now_ns)

    def started(
        self, key: str, pid: int, t_ns: int, event: Literal["release", "exec"], now_ns: int
    ) -> list[Effect]:
        """Its program runs since the local instant ``t_ns``."""
        step = self.steps.get(key)
        if step is None:
            return []
        effects: list[Effect] = []
        part = self.phase
        if part is not None and part.state == "scheduled":
            effects += self._begin(part, now_ns)
        step.state, step.started_ns = "running", t_ns
        planned_ns = self._stamp.fabric(step.planned_ns)[0] if step.planned_ns else 0
        record = step.started(*self._stamp.fabric(t_ns), planned_ns=planned_ns, pid=pid, event=event)
        effects.append(Report(self.run, record))
        if step.is_spawned and part is not None and (lane := part.lane_of(step)):
            lane.current = None
            effects += self._advance(part, lane, now_ns)
        return effects

    def start_failed(self, key: str, sentence: str, now_ns: int) -> list[Effect]:
        """The release came to nothing: its program could not be executed."""
        step = self.steps.get(key)
        if step is None:
            return []
        step.not_started, step.tree_ended = sentence, True
        return self._finish_if_over(step, now_ns)

    def held(self, key: str, ok: bool, now_ns: int) -> list[Effect]:
        """Say whether a release was taken back (``ok``), or came too early for that."""
        step, part = self.steps.get(key), self.phase
        if step is None or part is None or part.state != "holding":
            return []
        answer = going.take_held(part, step, ok=ok)
        if answer is None:
            return []
        return [Send(answer), *(self._begin(part, now_ns) if answer.started else [])]

    def exited(self, key: str, end: Exit, now_ns: int) -> list[Effect]:
        """Its program has ended; the tree and the streams may live on for a moment."""
        step = self.steps.get(key)
        if step is None:
            return []
        step.exit = end
        return self._finish_if_over(step, now_ns)

    def ended(self, key: str, survivors: tuple[int, ...], pipe_held: bool, now_ns: int) -> list[Effect]:
        """Nothing of its tree is left, but for ``survivors``."""
        step = self.steps.get(key)
        if step is None:
            return []
        step.tree_ended, step.survivors = True, survivors
        step.pipe_held = pipe_held
        return self._finish_if_over(step, now_ns)

    def stream_ended(self, key: str, stream: Stream, size: int, now_ns: int) -> list[Effect]:
        """All ``size`` bytes of the stream are in the journal."""
        step = self.steps.get(key)
        if step is None:
            return []
        step.sizes[stream] = size
        return self._finish_if_over(step, now_ns)

    def launcher_died(self, why: str, now_ns: int) -> list[Effect]:
        """All that it had started was killed.  There is a new one: what is reset is armed again with it."""
        part = self.phase
        prepared = part if part is not None and part.state in ("preparing", "ready", "holding") else None
        effects = preparing.disarm_firsts(prepared, self.steps) if prepared else []
        if prepared and not prepared.is_reset:
            effects += self._refuse(prepared, "", why)
        for step in self.steps:
            step.lost, step.tree_ended = step.lost or why, True
            effects += self._finish_if_over(step, now_ns)
        if prepared and prepared.is_reset:
            effects += preparing.arm_firsts(prepared, self.steps)
        return effects

    # --- what the network says --------------------------------------------------------------------------

    def _on_assign(self, message: Assign, now_ns: int) -> list[Effect]:
        if self.is_led:
            self.assign = message  # another cell's reset may be another one
        return [Send(Assigned(run=self.run, node=message.node))]

    def _on_prepare(self, message: Prepare, now_ns: int) -> list[Effect]:
        part = self.phase
        if not self.is_led:
            why = self._abandoned or "the run is over on this node"
            return [preparing.refused(self.assign, message.phase, "", why)]
        if part is not None and part.is_for(message):
            return self._answer_again(part)
        if part is not None and part.state in ("scheduled", "running"):
            why = f"phase {part.phase} is still going on"
            return [preparing.refused(self.assign, message.phase, "", why)]
        effects = self.steps.drop_armed()
        part = PhasePart.prepared(message)
        self.phase = part
        for step in self.steps:
            if step.step.step in message.end:
                part.ending.add(step.key)
                effects += self.steps.end(step, "stopped")
        return [*effects, *preparing.arm_firsts(part, self.steps), RefreshClock(self.run)]

    def _on_go(self, message: Go, now_ns: int) -> list[Effect]:
        return going.take_go(self.phase, message, self._stamp, now_ns)

    def _on_abort(self, message: Abort, now_ns: int) -> list[Effect]:
        return going.take_abort(self.phase, message)

    def _on_cancel(self, message: Cancel, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.phase != message.phase:
            return []
        return self._cancel(part, now_ns, everything=message.everything)

    def _cancel(self, part: PhasePart, now_ns: int, *, everything: bool) -> list[Effect]:
        if part.state in ("done", "refused"):
            return []
        part.stopped = True
        if everything:
            part.empty_queues("the phase was ended")
        if part.state not in ("scheduled", "running", "holding"):
            return []
        effects: list[Effect] = []
        for step in part.firsts():
            if step.step.when != "passed" and not everything:
                continue  # it runs after a failure too
            if step.state in ("arming", "armed"):
                effects += self._skip_armed(part, step, now_ns)
            else:
                effects += self.steps.end(step, "stopped")
        return effects

    def _free(self) -> list[Effect]:
        self._freeing = True
        return self.steps.end_all() + self._ship_if_empty()

    # --- the agent alone --------------------------------------------------------------------------------

    def _alone(self, why: str, now_ns: int) -> list[Effect]:
        """Nobody leads this run any more: end it as the trial says, then reset."""
        if not self.is_led:
            return self._ship_if_empty()
        self._abandoned = why
        t, bound = self._stamp.fabric(now_ns)
        words = f"{why}; this node ends its part of the run"
        notice = Notice(t_ns=t, bound_ns=bound, level="warning", message=words)
        effects: list[Effect] = [Report(self.run, notice)]
        part = self.phase
        if part is not None and part.state in ("preparing", "ready", "holding", "refused"):
            effects += self.steps.drop_armed()
            self.phase = None
        elif part is not None and self.assign.on_lost == "stop" and not part.is_reset:
            effects += self._cancel(part, now_ns, everything=True)
        return effects + self._reset_alone(now_ns)

    def _reset_alone(self, now_ns: int) -> list[Effect]:
        """Once no phase goes on: end spawned steps, reset if it is due or has failed, then be free."""
        part = self.phase
        alone = part is not None and part.phase == LOCAL_RESET
        if part is not None and (part.state in ("scheduled", "running") or (alone and part.state != "done")):
            return []
        if alone or not self.needs_reset:
            return self._free()
        part = PhasePart.alone(self.assign, LOCAL_RESET)
        self.phase = part
        effects = self.steps.end_all()
        part.ending = set(self.steps.keys)
        return effects + preparing.arm_firsts(part, self.steps) + self._answer_when_prepared(now_ns)

    # --- preparing --------------------------------------------------------------------------------------

    def _answer_when_prepared(self, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.state != "preparing" or not part.is_prepared:
            return []
        part.state = "ready"
        if part.phase == LOCAL_RESET:
            return going.release_firsts(part) + self._begin(part, now_ns)
        return self._answer_again(part)

    def _answer_again(self, part: PhasePart) -> list[Effect]:
        return preparing.answer(self.assign, part, self._stamp.estimate)

    def _refuse(self, part: PhasePart, step: str, sentence: str) -> list[Effect]:
        part.state, part.refusal = "refused", (step, sentence)
        return [*self.steps.drop_armed(), *self._answer_again(part)]

    # --- running ----------------------------------------------------------------------------------------

    def _begin(self, part: PhasePart, now_ns: int) -> list[Effect]:
        part.state = "running"
        if not part.is_reset:
            self.needs_reset = True
        effects: list[Effect] = []
        for lane in part.lanes.values():
            effects += self._report_skipped(lane, now_ns)
            if lane.current is None:
                effects += self._advance(part, lane, now_ns)
        return effects + self._finish_phase_if_idle(now_ns)

    def _advance(self, part: PhasePart, lane: Lane, now_ns: int) -> list[Effect]:
        """Go on with a lane whose current step is done, or runs in the background."""
        step = part.take_next(lane)
        effects = self._report_skipped(lane, now_ns)
        if step is not None:
            lane.current, arm = self.steps.arm(step)
            effects.append(arm)
        return effects + self._finish_phase_if_idle(now_ns)

    def _report_skipped(self, lane: Lane, now_ns: int) -> list[Effect]:
        t, bound = self._stamp.fabric(now_ns)
        skipped, lane.skipped = lane.skipped, []
        return [
            Report(self.run, StepSkipped(t_ns=t, bound_ns=bound, step=step.step, message=why))
            for step, why in skipped
        ]

    def _finish_phase_if_idle(self, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.state != "running" or not part.is_idle:
            return []
        part.state = "done"
        if part.is_reset:
            self.needs_reset = part.has_failed and part.phase != LOCAL_RESET
            self._reset_failed = part.has_failed
        t, bound = self._stamp.fabric(now_ns)
        record = PhaseFinished(t_ns=t, bound_ns=bound, phase=part.phase, failed=part.has_failed)
        effects: list[Effect] = [Report(self.run, record)]
        return effects + self._reset_alone(now_ns) if self._abandoned else effects

    # --- ending -----------------------------------------------------------------------------------------

    def _skip_armed(self, part: PhasePart, step: StepRun, now_ns: int) -> list[Effect]:
        lane = part.lane_of(step)
        self.steps.forget(step)
        effects: list[Effect] = [Drop(step.key)]
        if lane is not None:
            lane.current = None
            lane.skipped.append((step.step, "the phase was ended"))
            effects += self._advance(part, lane, now_ns)
        return effects

    def _finish_if_over(self, step: StepRun, now_ns: int) -> list[Effect]:
        if not step.is_over:
            return []
        self.steps.forget(step)
        t, bound = self._stamp.fabric(step.exit.t_ns if step.exit else now_ns)
        effects: list[Effect] = [Report(self.run, step.finished(t, bound))]
        part = self.phase
        if part is not None:
            effects += self._take_end(part, step, now_ns)
        return effects + self._answer_when_prepared(now_ns) + self._ship_if_empty()

    def _take_end(self, part: PhasePart, step: StepRun, now_ns: int) -> list[Effect]:
        """Let the present phase know of the end of a step, which may be of an earlier one."""
        if step.failed:
            part.note_failure(step.step)
        part.ending.discard(step.key)
        lane = part.lane_of(step)
        if lane is None:
            return []
        lane.current = None
        return self._advance(part, lane, now_ns) if part.state in ("scheduled", "running") else []

    def _ship_if_empty(self) -> list[Effect]:
        if not self._freeing or self.steps:
            return []
        return [Ship(self.run, self._reset_failed)]


_HANDLERS: Final[Mapping[type, Callable[[Executor, Any, int], list[Effect]]]] = {
    Assign: Executor._on_assign,  # noqa: SLF001 - its own table
    Prepare: Executor._on_prepare,  # noqa: SLF001
    Go: Executor._on_go,  # noqa: SLF001
    Abort: Executor._on_abort,  # noqa: SLF001
    Cancel: Executor._on_cancel,  # noqa: SLF001
    Free: lambda self, _message, _now_ns: self._free(),
    Abandon: lambda self, message, now_ns: self._alone(message.sentence, now_ns),
}
