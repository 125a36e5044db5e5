"""PURE.  What this node does for one run: phases, steps, and the end of both.

It is told what came from the network (`receive`), what the launcher saw (`armed` ... `ended`), that a stream
was read to its end (`stream_ended`) and that time went by (`expire`); it returns effects.  All instants
are nanoseconds of the local monotonic clock; records carry fabric time by the last clock estimate.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from agents.effects import Arm, Drop, Effect, End, Hold, RefreshClock, Release, Report, Send, Ship
from agents.phase import Lane, PhasePart
from agents.step_run import NANOSECONDS, Exit, StepRun
from fabric.protocol.messages import (
    Abandon,
    Abort,
    Aborted,
    Assign,
    Assigned,
    Cancel,
    Confirm,
    Declined,
    Free,
    Go,
    Message,
    Prepare,
    Ready,
    Refused,
    Step,
)
from fabric.protocol.records import Notice, PhaseFinished, StepSkipped, StepStarted, Stream
from fabric.timing.offset import Estimate

LATE_NS: Final = 1_000_000
"""A go that leaves less than this to t0 is declined: the launcher could not keep it."""

LOCAL_RESET: Final = "0/reset"


class Executor:
    """A node's part of one run."""

    def __init__(self, assign: Assign) -> None:
        self.assign = assign
        self.run = assign.run
        self.clock: Estimate | None = None
        self.epoch = 0
        self.live: dict[str, StepRun] = {}
        self.phase: PhasePart | None = None
        self.shipping = False  # nothing is left here but the journal
        self.needs_reset = False
        self._reset_failed = False
        self._abandoned = ""  # why the agent goes on alone
        self._freeing = False
        self._handlers: Mapping[type, Callable[[Any, int], list[Effect]]] = {
            Assign: self._on_assign,
            Prepare: self._on_prepare,
            Go: self._on_go,
            Abort: self._on_abort,
            Cancel: self._on_cancel,
            Free: self._on_free,
            Abandon: self._on_abandon,
        }

    @classmethod
    def restored(cls, assign: Assign, *, needs_reset: bool) -> "Executor":
        """Go on after a restart of the agent: nothing of the run is known but what it was, and the reset."""
        executor = cls(assign)
        executor.needs_reset = needs_reset
        return executor

    @property
    def is_led(self) -> bool:
        """Whether it still does what the controller says."""
        return not self._abandoned and not self._freeing

    # --- inputs -----------------------------------------------------------------------------------------

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message that names this run."""
        handler = self._handlers.get(type(message))
        return handler(message, now_ns) if handler else []

    def clock_changed(self, epoch: int, estimate: Estimate) -> None:
        """Use this estimate for what is reported and for the next go."""
        self.epoch, self.clock = epoch, estimate

    def clock_refreshed(self, now_ns: int) -> list[Effect]:
        """The burst of probes that a prepare asked for was answered."""
        if self.phase is None:
            return []
        self.phase.clock_is_fresh = True
        return self._answer_when_prepared(now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        times = [step.deadline_ns for step in self.live.values()]
        if self.phase is not None and self.phase.state == "scheduled":
            times.append(self.phase.t0_local_ns)
        return min((time for time in times if time is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Begin the phase whose t0 has come; end steps whose time is up."""
        effects: list[Effect] = []
        part = self.phase
        if part is not None and part.state == "scheduled" and now_ns >= part.t0_local_ns:
            effects += self._begin(part, now_ns)
        for step in self.live.values():
            if step.deadline_ns is not None and now_ns >= step.deadline_ns:
                effects += self._end(step, "timeout")
        return effects

    def lease_ended(self, why: str, now_ns: int) -> list[Effect]:
        """Nothing was heard of the broker for the run's lease."""
        return self._alone(why, now_ns, stop=self.assign.on_lost == "stop")

    # --- what the launcher saw --------------------------------------------------------------------------

    def armed(self, key: str, now_ns: int) -> list[Effect]:
        """Its process waits for the release."""
        step = self.live.get(key)
        if step is None or step.state != "arming":
            return []
        step.state = "armed"
        part = self.phase
        if part is not None and key in part.arming:
            part.arming.discard(key)
            return self._answer_when_prepared(now_ns)
        return self._release_in_turn(step, now_ns)

    def arm_failed(self, key: str, sentence: str, now_ns: int) -> list[Effect]:
        """It cannot be started: program, user or directory is wrong."""
        step = self.live.get(key)
        if step is None:
            return []
        part = self.phase
        if part is not None and key in part.arming and not part.is_reset:
            del self.live[key]
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
        step = self.live.get(key)
        if step is None:
            return []
        effects: list[Effect] = []
        part = self.phase
        if part is not None and part.state == "scheduled":
            effects += self._begin(part, now_ns)
        step.state, step.started_ns = "running", t_ns
        planned_ns = self._fabric(step.planned_ns)[0] if step.planned_ns else 0
        t, bound = self._fabric(t_ns)
        record = StepStarted(
            t_ns=t,
            bound_ns=bound,
            step=step.step.step,
            attempt=step.attempt,
            pid=pid,
            event=event,
            planned_ns=planned_ns,
            go=step.go,
        )
        effects.append(Report(self.run, record))
        if step.is_spawned and part is not None and (lane := part.lane_of(step)):
            lane.current = None
            effects += self._advance(part, lane, now_ns)
        return effects

    def start_failed(self, key: str, sentence: str, now_ns: int) -> list[Effect]:
        """The release came to nothing: its program could not be executed."""
        step = self.live.get(key)
        if step is None:
            return []
        step.not_started, step.tree_ended = sentence, True
        return self._finish_if_over(step, now_ns)

    def held(self, key: str, ok: bool, now_ns: int) -> list[Effect]:
        """Say whether a release was taken back (``ok``), or came too early for that."""
        step, part = self.live.get(key), self.phase
        if step is None or part is None or part.state != "holding":
            return []
        step.state = "armed" if ok else "scheduled"
        part.arming.discard(key)
        if part.arming:
            return []
        started = any(first.state != "armed" for first in part.firsts())
        part.state = "ready"
        reply = Send(Aborted(run=self.run, phase=part.phase, go=part.go, started=started))
        return [reply, *self._begin(part, now_ns)] if started else [reply]

    def exited(self, key: str, end: Exit, now_ns: int) -> list[Effect]:
        """Its program has ended; the tree and the streams may live on for a moment."""
        step = self.live.get(key)
        if step is None:
            return []
        step.exit = end
        return self._finish_if_over(step, now_ns)

    def ended(self, key: str, survivors: tuple[int, ...], pipe_held: bool, now_ns: int) -> list[Effect]:
        """Nothing of its tree is left, but for ``survivors``."""
        step = self.live.get(key)
        if step is None:
            return []
        step.tree_ended, step.survivors = True, survivors
        step.pipe_held = pipe_held
        return self._finish_if_over(step, now_ns)

    def stream_ended(self, key: str, stream: Stream, size: int, now_ns: int) -> list[Effect]:
        """All ``size`` bytes of the stream are in the journal."""
        step = self.live.get(key)
        if step is None:
            return []
        step.sizes[stream] = size
        return self._finish_if_over(step, now_ns)

    def launcher_died(self, why: str, now_ns: int) -> list[Effect]:
        """All that it had started was killed; what was armed can no longer start."""
        effects: list[Effect] = []
        part = self.phase
        if part is not None and part.state in ("preparing", "ready", "holding"):
            for step in part.firsts():
                self.live.pop(step.key, None)
            effects += self._refuse(part, "", why)
        for step in list(self.live.values()):
            step.lost, step.tree_ended = step.lost or why, True
            effects += self._finish_if_over(step, now_ns)
        return effects

    # --- what the network says --------------------------------------------------------------------------

    def _on_assign(self, message: Assign, now_ns: int) -> list[Effect]:
        return [Send(Assigned(run=self.run, node=message.node))]

    def _on_prepare(self, message: Prepare, now_ns: int) -> list[Effect]:
        part = self.phase
        if self._abandoned or self._freeing:
            return [self._refused(message.phase, "", self._abandoned or "the run is over on this node")]
        if part is not None and part.phase == message.phase:
            return self._answer_again(part)
        if part is not None and part.state in ("scheduled", "running"):
            return [self._refused(message.phase, "", f"phase {part.phase} is still going on")]
        effects = self._drop_armed()
        part = PhasePart.of(
            self.run, message.phase, message.steps, failed=message.failed, stopped=message.stopped
        )
        self.phase = part
        for step in list(self.live.values()):
            if step.step.step in message.end:
                part.ending.add(step.key)
                effects += self._end(step, "stopped")
        return [*effects, *self._arm_firsts(part), RefreshClock(self.run)]

    def _on_go(self, message: Go, now_ns: int) -> list[Effect]:
        part = self.phase
        why = self._why_declined(message, part, now_ns)
        if why is not None or part is None:
            declined = Declined(
                run=self.run, phase=message.phase, go=message.go, sentence=why or "not prepared"
            )
            return [Send(declined)]
        confirm = Send(Confirm(run=self.run, phase=message.phase, go=message.go))
        if part.state != "ready":
            return [confirm]  # the same go again
        part.state, part.go, part.t0_ns = "scheduled", message.go, message.t0_ns
        part.t0_local_ns = self._local(message.t0_ns)
        return [confirm, *self._release_firsts(part)]

    def _why_declined(self, message: Go, part: PhasePart | None, now_ns: int) -> str | None:
        if part is None or part.phase != message.phase or part.state in ("preparing", "refused"):
            return "the phase is not prepared here"
        if message.go <= part.voided:
            return "this go was aborted"
        if message.epoch != self.epoch:
            return "the go is of another life of the broker"
        if part.state != "ready":
            same = (message.go, message.t0_ns) == (part.go, part.t0_ns) and part.state != "holding"
            return None if same else "the phase has another go"
        late_ns = now_ns + LATE_NS - self._local(message.t0_ns)
        if late_ns > 0:
            return f"the go came {late_ns / 1e6:.1f} ms too late"
        return None

    def _on_abort(self, message: Abort, now_ns: int) -> list[Effect]:
        part = self.phase
        reply = Aborted(run=self.run, phase=message.phase, go=message.go, started=False)
        if part is None or part.phase != message.phase:
            return [Send(reply)]
        if part.state == "running" and part.go == message.go:
            return [Send(Aborted(run=self.run, phase=message.phase, go=message.go, started=True))]
        part.voided = max(part.voided, message.go)
        if part.state == "holding":
            return []
        if part.state != "scheduled" or part.go != message.go:
            return [Send(reply)]
        part.arming = {step.key for step in part.firsts()}
        if not part.arming:
            part.state = "ready"
            return [Send(reply)]
        part.state = "holding"
        return [Hold(tuple(sorted(part.arming)))]

    def _on_cancel(self, message: Cancel, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.phase != message.phase or part.state in ("done", "refused"):
            return []
        part.stopped = True
        if message.everything:
            part.empty_queues("the phase was ended")
        if part.state not in ("scheduled", "running", "holding"):
            return []
        effects: list[Effect] = []
        for step in part.firsts():
            keep = step.step.when != "passed" and not message.everything
            if step.state == "running" and not keep:
                effects += self._end(step, "stopped")
            elif step.state in ("arming", "armed") or (
                step.state == "scheduled" and step.go == 0 and not keep
            ):
                effects += self._skip_armed(part, step, now_ns)
        return effects

    def _on_free(self, message: Free, now_ns: int) -> list[Effect]:
        self._freeing = True
        return self._end_all() + self._ship_if_empty()

    def _on_abandon(self, message: Abandon, now_ns: int) -> list[Effect]:
        return self._alone(message.sentence, now_ns, stop=self.assign.on_lost == "stop")

    # --- the agent alone --------------------------------------------------------------------------------

    def _alone(self, why: str, now_ns: int, *, stop: bool) -> list[Effect]:
        """Nobody leads this run any more: end it as the trial says, then reset."""
        if self._abandoned or self._freeing:
            return self._ship_if_empty()
        self._abandoned = why
        effects: list[Effect] = [self._notice("warning", f"{why}; this node ends its part of the run")]
        part = self.phase
        if part is not None and part.state in ("preparing", "ready", "holding", "refused"):
            effects += self._drop_armed()
            self.phase = None
        elif part is not None and stop and not part.is_reset:
            cancel = Cancel(run=self.run, node="", phase=part.phase, everything=True, sentence=why)
            effects += self._on_cancel(cancel, now_ns)
        return effects + self._reset_alone(now_ns)

    def _reset_alone(self, now_ns: int) -> list[Effect]:
        """Once no phase goes on: end spawned steps, reset if it is due, then be free."""
        part = self.phase
        if part is not None and part.state in ("scheduled", "running"):
            return []
        if part is not None and part.phase == LOCAL_RESET and part.state != "done":
            return []
        if not self.needs_reset:
            self._freeing = True
            return self._end_all() + self._ship_if_empty()
        self.needs_reset = False
        part = PhasePart.of(self.run, LOCAL_RESET, self.assign.reset, failed=True, stopped=True)
        part.clock_is_fresh = True
        self.phase = part
        part.ending = set(self.live)
        return self._end_all() + self._arm_firsts(part) + self._answer_when_prepared(now_ns)

    # --- preparing --------------------------------------------------------------------------------------

    def _arm_firsts(self, part: PhasePart) -> list[Effect]:
        effects: list[Effect] = []
        for lane in part.lanes.values():
            step = part.take_next(lane)
            if step is None:
                continue
            effects.append(self._arm(lane, step))
            part.arming.add(lane.current.key)  # type: ignore[union-attr]
        return effects

    def _arm(self, lane: Lane, step: Step) -> Effect:
        lane.current = StepRun(self.run, step, attempt=1)
        self.live[lane.current.key] = lane.current
        return Arm(lane.current.key, step)

    def _answer_when_prepared(self, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.state != "preparing" or not part.is_prepared:
            return []
        part.state = "ready"
        if part.phase == LOCAL_RESET:
            part.t0_local_ns = 0
            return self._release_firsts(part) + self._begin(part, now_ns)
        return self._answer_again(part)

    def _answer_again(self, part: PhasePart) -> list[Effect]:
        if part.state == "refused" and part.refusal:
            return [self._refused(part.phase, *part.refusal)]
        if part.state == "preparing" or self.clock is None:
            return []
        ready = Ready(
            run=self.run,
            node=self.assign.node,
            phase=part.phase,
            clock_bound_ns=self.clock.bound_ns,
            rtt_ns=self.clock.rtt_ns,
        )
        return [Send(ready)]

    def _refuse(self, part: PhasePart, step: str, sentence: str) -> list[Effect]:
        part.state, part.refusal = "refused", (step, sentence)
        return [*self._drop_armed(), self._refused(part.phase, step, sentence)]

    def _refused(self, phase: str, step: str, sentence: str) -> Send:
        return Send(Refused(run=self.run, node=self.assign.node, phase=phase, step=step, sentence=sentence))

    def _drop_armed(self) -> list[Effect]:
        """Forget what waits for a go that will not come."""
        waiting = [step for step in self.live.values() if step.state in ("arming", "armed")]
        for step in waiting:
            del self.live[step.key]
        return [Drop(step.key) for step in waiting]

    # --- running ----------------------------------------------------------------------------------------

    def _release_firsts(self, part: PhasePart) -> list[Effect]:
        groups: dict[int, list[str]] = {}
        for step in part.firsts():
            if step.state != "armed":
                continue
            at_ns = round((step.step.at_s or 0.0) * NANOSECONDS)
            step.planned_ns = part.t0_local_ns + at_ns if part.t0_local_ns else 0
            step.go, step.state = part.go, "scheduled"
            groups.setdefault(step.planned_ns, []).append(step.key)
        return [Release(tuple(keys), t0_ns) for t0_ns, keys in sorted(groups.items())]

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
            effects.append(self._arm(lane, step))
        return effects + self._finish_phase_if_idle(now_ns)

    def _release_in_turn(self, step: StepRun, now_ns: int) -> list[Effect]:
        """Release a step that is not a first one: now, or at its offset from t0."""
        part = self.phase
        if part is not None and step.step.at_s is not None and part.t0_local_ns:
            step.planned_ns = part.t0_local_ns + round(step.step.at_s * NANOSECONDS)
        step.state = "scheduled"
        return [Release((step.key,), step.planned_ns if step.planned_ns > now_ns else 0)]

    def _finish_phase_if_idle(self, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.state != "running" or not part.is_idle:
            return []
        part.state = "done"
        if part.is_reset:
            self.needs_reset, self._reset_failed = False, part.has_failed
        t, bound = self._fabric(now_ns)
        record = PhaseFinished(t_ns=t, bound_ns=bound, phase=part.phase, failed=part.has_failed)
        effects: list[Effect] = [Report(self.run, record)]
        return effects + self._reset_alone(now_ns) if self._abandoned else effects

    # --- ending -----------------------------------------------------------------------------------------

    def _end(self, step: StepRun, why: Literal["timeout", "stopped"]) -> list[Effect]:
        if step.ending or step.exit:
            return []
        if step.state in ("arming", "armed"):
            return []
        step.ending = why
        return [End(step.key, step.step.signal, step.step.grace_s)]

    def _end_all(self) -> list[Effect]:
        effects = self._drop_armed()
        for step in self.live.values():
            effects += self._end(step, "stopped")
        return effects

    def _skip_armed(self, part: PhasePart, step: StepRun, now_ns: int) -> list[Effect]:
        lane = part.lane_of(step)
        del self.live[step.key]
        effects: list[Effect] = [Drop(step.key)]
        if lane is not None:
            lane.current = None
            lane.skipped.append((step.step, "the phase was ended"))
            effects += self._advance(part, lane, now_ns)
        return effects

    def _finish_if_over(self, step: StepRun, now_ns: int) -> list[Effect]:
        if not step.is_over:
            return []
        del self.live[step.key]
        t, bound = self._fabric(step.exit.t_ns if step.exit else now_ns)
        effects: list[Effect] = [Report(self.run, step.finished(t, bound))]
        part = self.phase
        if part is not None:
            if step.failed:
                part.note_failure(step.step)
            part.ending.discard(step.key)
            lane = part.lane_of(step)
            if lane is not None:
                lane.current = None
                if part.state in ("scheduled", "running"):
                    effects += self._advance(part, lane, now_ns)
        return effects + self._answer_when_prepared(now_ns) + self._ship_if_empty()

    def _ship_if_empty(self) -> list[Effect]:
        if not self._freeing or self.live:
            return []
        self.shipping = True
        return [Ship(self.run, self._reset_failed)]

    # --- reporting --------------------------------------------------------------------------------------

    def _report_skipped(self, lane: Lane, now_ns: int) -> list[Effect]:
        t, bound = self._fabric(now_ns)
        skipped, lane.skipped = lane.skipped, []
        return [
            Report(self.run, StepSkipped(t_ns=t, bound_ns=bound, step=step.step, message=why))
            for step, why in skipped
        ]

    def _notice(self, level: Literal["info", "warning", "error"], message: str) -> Effect:
        return Report(self.run, Notice(t_ns=0, bound_ns=-1, level=level, message=message))

    def _fabric(self, local_ns: int) -> tuple[int, int]:
        """Return fabric time and its bound for a local instant; bound -1 without a clock."""
        if self.clock is None:
            return 0, -1
        return local_ns + self.clock.offset_ns, self.clock.bound_ns

    def _local(self, fabric_ns: int) -> int:
        return fabric_ns - (self.clock.offset_ns if self.clock else 0)
