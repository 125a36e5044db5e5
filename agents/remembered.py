"""PURE.  From the memo of an earlier life of the agent back to what it knew of a run."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from agents.executor import Executor
from agents.memo import FORMAT, Attempt, AttemptNow, Change, Head, PartNow, PhaseNow, Plan
from agents.parting import LOCAL_RESET
from agents.phase import PhasePart
from agents.readiness import Readiness
from agents.step_run import StepRun
from fabric.errors import DecodeError
from fabric.protocol.codec import unpack
from fabric.protocol.messages import Assign
from fabric.protocol.records import Record, Stream


@dataclass(slots=True)
class Memo:
    """All changes together."""

    launcher: str = ""
    clock: tuple[int, ...] = ()
    appended: int = 0
    records: tuple[Record, ...] = ()
    plan: Plan | None = None
    phase: PhaseNow | None = None
    part: PartNow | None = None
    attempts: dict[str, tuple[Attempt, AttemptNow]] = field(default_factory=dict)

    @classmethod
    def read(cls, bodies: Iterable[bytes]) -> "Memo":
        """Read what was written, in its order.

        Raises:
            DecodeError: If it is of another version, or nothing whole.
        """
        memo, rest = cls(), iter(bodies)
        head = unpack(next(rest, b""), Head)
        if head.format != FORMAT:
            raise DecodeError(f"memo: format {head.format} of testfabric {head.software:.20} is not known")
        for body in rest:
            memo.add(unpack(body, Change))
        if memo.part is None:
            raise DecodeError("memo: it is not whole")
        return memo

    def add(self, change: Change) -> None:
        """Take the next change.

        Raises:
            DecodeError: If it speaks of an attempt of which nothing is known.
        """
        self.launcher = change.launcher
        self.clock = change.clock or self.clock
        self.appended, self.records = change.appended, change.records
        for key in change.gone:
            self.attempts.pop(key, None)
        begun = iter(change.begun)
        for now in change.attempts:
            known = self.attempts.get(now.key)
            attempt = known[0] if known else next(begun, None)
            if attempt is None:
                raise DecodeError(f"memo: of {now.key:.80} nothing is known")
            self.attempts[now.key] = (attempt, now)
        if change.plan is not None:
            self.plan, self.phase = (change.plan if change.plan.phase else None), None
        self.phase = change.phase or self.phase
        self.part = change.part or self.part

    def executor(self, assign: Assign, *, needs_reset: bool) -> Executor:
        """Return what that life had."""
        executor = Executor(assign, needs_reset=needs_reset)
        assert self.part is not None
        parting, lanes = executor.parting, executor.lanes
        parting.abandoned, parting.freeing = self.part.abandoned, self.part.freeing
        parting.dirty, parting.why_failed = self.part.dirty, self.part.why_failed
        parting.has_shipped = self.part.has_shipped
        lanes.brings = self.part.brings
        lanes.past.extend(self.part.past)
        lanes.steps.over.update(self.part.over)
        for attempt, now in self.attempts.values():
            lanes.steps.put_back(_step_run(assign.run, attempt, now))
        if self.plan is not None and self.phase is not None:
            lanes.part = _phase_part(executor, self.plan, self.phase)
        return executor


def _step_run(run: str, attempt: Attempt, now: AttemptNow) -> StepRun:
    step = StepRun(run, attempt.step, attempt.attempt)
    step.state, step.planned_ns, step.go = now.state, now.planned_ns, now.go
    step.start, step.started_ns, step.exit, step.done = now.start, now.started_ns, now.exit, now.done
    step.not_started, step.lost, step.ending = now.not_started, now.lost, now.ending
    step.tree_ended, step.survivors, step.pipe_held = now.tree_ended, now.survivors, now.pipe_held
    step.sizes.update({cast("Stream", stream): size for stream, size in now.sizes.items()})
    step.probes, step.files = now.probes, now.files
    if attempt.step.verb == "spawn" and attempt.step.ready is not None:
        step.readiness = Readiness(attempt.step.ready)
        step.readiness.is_over = not now.is_waited_for
        if now.ready_limit_ns:
            step.readiness.go_on(now.ready_limit_ns, 0)
    return step


def _phase_part(executor: Executor, plan: Plan, now: PhaseNow) -> PhasePart:
    part = PhasePart.of(
        executor.run, plan.phase, plan.env, plan.steps, failed=now.failed, stopped=now.stopped
    )
    for role, lane in part.lanes.items():
        left = now.left.get(role, 0)
        of_lane = {step.step: step for step in lane.queue}
        lane.queue = deque(list(lane.queue)[len(lane.queue) - left :])
        lane.current = executor.steps.get(now.current.get(role, ""))
        lane.skipped = [(of_lane[step], why) for step, why in now.skipped.items() if step in of_lane]
    part.state, part.cut, part.go, part.voided = now.state, now.cut, now.go, now.voided
    part.t0_ns, part.t0_local_ns = now.t0_ns, now.t0_local_ns
    part.ending, part.arming = set(now.ending), set(now.arming)
    part.has_failed, part.kept = now.has_failed, now.kept
    part.asked = (now.asked[0], now.asked[1])
    part.refusal = (now.refusal[0], now.refusal[1]) if now.refusal else None
    alone = part.phase == LOCAL_RESET
    part.clock_is_fresh, part.is_checked = alone, alone or part.is_reset
    return part
