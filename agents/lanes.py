"""PURE.  How the lanes of a phase move on: steps begin, become ready, end, are tried again or skipped.

Instants are nanoseconds of the local monotonic clock; records carry fabric time.
"""

from collections import deque
from typing import Final, Literal

from agents import going
from agents.effects import Bring, Drop, Effect, Look, Report, StopTransfer, Transfer
from agents.phase import Lane, PhasePart
from agents.readiness import command_text
from agents.stamp import Stamp
from agents.step_run import TRANSFERS, Done, Start, StepRun
from agents.steps import Steps
from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.protocol.records import StepSkipped, Stream

PAST_PHASES: Final = 100
"""So many are remembered: an old word is seconds behind, and a phase takes a tenth of one at least."""


class Lanes:
    """The steps that live on this node, and the phase to which new ones belong.

    What follows from an end for the lane is done by `move_on`, which the caller calls while `part.can_move`.
    """

    def __init__(self, run: str, stamp: Stamp) -> None:
        self.steps = Steps(run)
        self.part: PhasePart | None = None
        self.past: deque[str] = deque(maxlen=PAST_PHASES)
        self.brings = True  # files for metrics; not when the run has to end soon
        self._run = run
        self._stamp = stamp

    def is_past(self, phase: str) -> bool:
        """Whether it has begun here, and another one has come since: nobody goes back to it."""
        return phase in self.past

    def take_up(self, part: PhasePart) -> PhasePart:
        """Let this be the present phase."""
        if self.part is not None and self.part.state in ("running", "done"):
            self.past.append(self.part.phase)
        self.part = part
        return part

    # --- beginning --------------------------------------------------------------------------------------

    def arm_firsts(self, part: PhasePart) -> list[Effect]:
        """Arm the first step of every lane."""
        effects: list[Effect] = []
        for lane in part.lanes.values():
            step = part.take_next(lane)
            if step is not None:
                effects += self._attempt(lane, step)
                if lane.current is not None and not lane.current.is_own:
                    part.arming.add(lane.current.key)
        return effects

    def disarm_firsts(self, part: PhasePart) -> list[Effect]:
        """Put the first steps back: the processes that waited for their release are gone."""
        effects: list[Effect] = []
        for lane in part.lanes.values():
            if lane.current is not None:
                self.steps.forget(lane.current)
                effects += [] if lane.current.is_own else [Drop(lane.current.key)]
                lane.queue.appendleft(lane.current.step)
                lane.current = None
        part.state = "preparing"
        part.arming.clear()
        return effects

    def begin(self, part: PhasePart, now_ns: int) -> list[Effect]:
        """T0 has come."""
        part.state = "running"
        return self._begin_own(now_ns)

    def move_on(self, part: PhasePart, now_ns: int) -> list[Effect]:
        """Begin the next step of each lane whose last one is done, or runs in the background."""
        effects: list[Effect] = []
        for lane in part.lanes.values():
            while lane.can_move:  # a step of the agent's own may be over at once
                step = part.take_next(lane)
                effects += self._report_skipped(lane, now_ns)
                if step is not None:
                    effects += self._attempt(lane, step)
                    effects += self._begin_in_turn(part, lane, now_ns)
        return effects

    def _attempt(self, lane: Lane, step: Step, attempt: int = 1) -> list[Effect]:
        lane.current, effects = self.steps.arm(step, attempt)
        return effects

    def _begin_in_turn(self, part: PhasePart, lane: Lane, now_ns: int) -> list[Effect]:
        """Begin a step of the agent's own, if it is time."""
        step = lane.current
        if step is None or not step.is_own:
            return []
        going.plan_in_turn(part, step)
        step.state = "scheduled"
        return self._begin_due(step, now_ns)

    def _begin_own(self, now_ns: int) -> list[Effect]:
        return [effect for step in self.steps for effect in self._begin_due(step, now_ns)]

    def _begin_due(self, step: StepRun, now_ns: int) -> list[Effect]:
        if not step.is_own or step.state != "scheduled" or now_ns < step.planned_ns:
            return []
        step.state, step.started_ns = "running", step.planned_ns or now_ns
        effects: list[Effect] = [Report(self._run, step.started(self._stamp))]
        if step.step.verb in TRANSFERS:
            effects.append(Transfer(step.key, step.step))
        elif step.step.verb == "stop":
            effects += self._stop_target(step, now_ns)
        return effects + self._expire(step, now_ns)

    def _stop_target(self, step: StepRun, now_ns: int) -> list[Effect]:
        """End another step: this one is done when that one is over."""
        target = self.steps.of(step.step.target)
        if target is not None and target.started_ns:
            return self.steps.end(target, "stopped")
        how = self.steps.how_ended(step.step.target)
        name = StepId.parse(step.step.target).label
        what = f"{name} was over already: {how}" if how else f"{name} has never begun here"
        step.done = Done(failed=False, message=what, t_ns=now_ns)
        return self.finish_if_over(step, now_ns)

    def _report_skipped(self, lane: Lane, now_ns: int) -> list[Effect]:
        t, bound = self._stamp.fabric(now_ns)
        skipped, lane.skipped = lane.skipped, []
        return [
            Report(self._run, StepSkipped(t_ns=t, bound_ns=bound, step=step.step, message=why))
            for step, why in skipped
        ]

    # --- a program has started --------------------------------------------------------------------------

    def started(self, step: StepRun, start: Start, now_ns: int) -> list[Effect]:
        """Its program runs."""
        step.state, step.started_ns, step.start = "running", start.t_ns, start
        if step.probe:
            return []
        effects: list[Effect] = [Report(self._run, step.started(self._stamp))]
        if step.readiness is not None:
            step.readiness.begin(now_ns)
            return effects + self._look(step, now_ns)
        if step.is_spawned:
            self._leave(step)
        return effects

    def _leave(self, step: StepRun) -> None:
        """Let its lane go on without it."""
        lane = self.part.lane_of(step) if self.part is not None else None
        if lane is not None:
            lane.current = None

    def _look(self, step: StepRun, now_ns: int) -> list[Effect]:
        """Look whether a spawned step is ready, if it is time; and end it if that has taken too long."""
        readiness = step.readiness
        if readiness is None or readiness.is_over or not step.started_ns or step.exit or step.ending:
            return []
        if readiness.what:
            return self.ready(step, readiness.what, now_ns)
        if readiness.is_late(now_ns):
            return self.steps.end(step, "not_ready")
        if not readiness.is_due(now_ns):
            return []
        return self.steps.probe(step) if readiness.when.cmd else [Look(step.key, step.step, step.pid)]

    def ready(self, step: StepRun, what: str, now_ns: int) -> list[Effect]:
        """It was seen to be ready."""
        if not step.is_waited_for or step.ending:
            return []
        self._give_up_waiting(step)
        return [Report(self._run, step.ready(*self._stamp.fabric(now_ns), what))]

    def _give_up_waiting(self, step: StepRun) -> None:
        assert step.readiness is not None
        step.readiness.is_over = True
        self._leave(step)

    def is_heard(self, step: StepRun) -> bool:
        """Whether its last line is wanted: of a reset, for it may be all that tells why a node is dirty."""
        return self.part is not None and self.part.is_reset and step.readiness is None

    def wrote(self, step: StepRun, stream: Stream, data: bytes, now_ns: int) -> list[Effect]:
        """Look at what it writes: its command's last line, or the line that shows it ready."""
        if step.probe or self.is_heard(step):
            step.lines.take(stream, data)
        elif step.readiness is not None:
            step.readiness.take(stream, data)
        return self._look(step, now_ns)

    def looked(self, step: StepRun, what: str, seen: str, now_ns: int) -> list[Effect]:
        """Take in what was seen: ``what`` shows it ready, or ``seen`` is there instead."""
        if what:
            return self.ready(step, what, now_ns)
        if step.readiness is not None:
            step.readiness.seen(seen, now_ns)
        return []

    # --- time -------------------------------------------------------------------------------------------

    def expire(self, now_ns: int) -> list[Effect]:
        """Begin what is due; look whether steps are ready; end those whose time is up."""
        effects = self._begin_own(now_ns)
        for step in self.steps:
            deadline_ns = step.deadline_ns
            if deadline_ns is not None and now_ns >= deadline_ns:
                effects += self._expire(step, now_ns)
        return effects

    def _expire(self, step: StepRun, now_ns: int) -> list[Effect]:
        if step.step.verb == "wait" and now_ns >= step.waited_ns:
            step.done = step.done or Done(failed=False, message="", t_ns=now_ns)
        elif step.timeout_ns is not None and now_ns >= step.timeout_ns:
            return self._end(step, "timeout", now_ns)
        elif not step.is_own:
            return self._look(step, now_ns)
        return self.finish_if_over(step, now_ns)

    # --- ending -----------------------------------------------------------------------------------------

    def _end(self, step: StepRun, why: Literal["timeout", "stopped"], now_ns: int) -> list[Effect]:
        if not step.is_own:
            return self.steps.end(step, why)
        return self.steps.end_own(step, why, now_ns) + self.finish_if_over(step, now_ns)

    def end_all(self, now_ns: int) -> list[Effect]:
        """End everything."""
        self.brings = False
        effects = self.steps.end_all(now_ns)
        return effects + [effect for step in self.steps for effect in self.finish_if_over(step, now_ns)]

    def cancel(self, part: PhasePart, now_ns: int, *, everything: bool) -> list[Effect]:
        """End what the phase waits for, and let nothing more begin but what follows a failure."""
        part.stopped = True
        part.cut = part.cut or everything
        self.brings = self.brings and not everything
        if part.state not in ("scheduled", "running", "holding"):
            return []
        effects: list[Effect] = []
        for step in part.currents():
            if step.step.when != "passed" and not everything:
                continue  # it runs after a failure too
            if step.state in ("arming", "armed") or (step.is_own and step.state == "scheduled"):
                effects += self._skip(part, step)
            elif step.is_spawned and step.state == "running" and not step.exit and not step.ending:
                effects += self.steps.end_probe(step)
                self._give_up_waiting(step)  # it is spawned: it lives until its phase comes
            elif step.files == "wanted" and everything:
                effects.append(StopTransfer(step.key))
            else:
                effects += self._end(step, "stopped", now_ns)
        return effects

    def _skip(self, part: PhasePart, step: StepRun) -> list[Effect]:
        lane = part.lane_of(step)
        self.steps.forget(step)
        if lane is not None:
            lane.current = None
            lane.skipped.append((step.step, "the phase was ended"))
        return [] if step.is_own else [Drop(step.key)]

    def finish_if_over(self, step: StepRun, now_ns: int) -> list[Effect]:
        """Report the end of an attempt if nothing of it is left; then its lane can move."""
        if not step.has_ended or self.steps.get(step.key) is None:
            return []
        if step.probe:
            return self._probed(step, now_ns)
        retried = self._is_retried(step)
        if step.files == "wanted":
            return []
        if step.step.bring and step.started_ns and self.brings and not retried and not step.files:
            step.files = "wanted"
            return [Bring(step.key, step.step)]
        self.steps.forget(step)
        t, bound = self._stamp.fabric(step.ended_ns or now_ns)
        effects: list[Effect] = [Report(self._run, step.finished(t, bound, retried=retried))]
        effects += self.steps.end_probe(step)
        effects += self._take_end(step, now_ns, retried=retried)
        return effects + self._tell_stops(step, now_ns)

    def _take_end(self, step: StepRun, now_ns: int, *, retried: bool) -> list[Effect]:
        """Let the present phase know of the end of a step, which may be of an earlier one."""
        part = self.part
        if part is None:
            return []
        lane = part.lane_of(step)
        if retried and lane is not None:
            effects = self._attempt(lane, step.step, step.attempt + 1)
            return effects + self._begin_in_turn(part, lane, now_ns)
        if step.failed:
            part.note_failure(step.step, step.why())
        if lane is not None:
            lane.current = None
        return []

    def _is_retried(self, step: StepRun) -> bool:
        """Whether another attempt follows: its lane still waits for it, and nobody has ended the phase."""
        part = self.part
        if part is None or part.state != "running" or part.lane_of(step) is None:
            return False
        return step.can_be_retried and part.why_not(step.step) is None

    def _tell_stops(self, ended: StepRun, now_ns: int) -> list[Effect]:
        """Let the steps be done that were to end this one."""
        effects: list[Effect] = []
        for step in self.steps:
            is_its = step.step.verb == "stop" and step.step.target == ended.step.step
            if is_its and step.state == "running" and step.done is None:
                how = ended.how if ended.reason == "stopped" else ended.message()
                step.done = Done(failed=False, message=f"ended {ended.id.label}: {how}", t_ns=now_ns)
                effects += self.finish_if_over(step, now_ns)
        return effects

    def _probed(self, probe: StepRun, now_ns: int) -> list[Effect]:
        """The command has ended that was to show whether a step is ready."""
        self.steps.forget(probe)
        step = self.steps.get(probe.key.rpartition("|")[0])
        if step is None or step.readiness is None or not step.is_waited_for:
            return []
        if not probe.failed and not probe.ending:
            return self.ready(step, f"`{command_text(probe.step.argv)}` succeeded", now_ns)
        step.readiness.seen(probe.why(), now_ns)
        return []
