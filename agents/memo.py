"""PURE.  What a life of the agent writes down of its part of a run, so that the next one can take it over.

A `Change` is written before what follows from an input is done.  So at any death the memo is at most ahead of
what was done, by the last change; `agents.takeover` sees by launcher and journal how much of it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from agents.executor import Executor
from agents.phase import PhasePart, PhaseState
from agents.step_run import Done, Exit, Start, State, StepRun
from fabric.protocol.messages import Step
from fabric.protocol.records import Reason, Record

FORMAT: Final = 2
"""Of what is written here.  A life that does not know it takes nothing over; see docs/launcher.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """First in the file."""

    format: int
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A phase as it was asked for; without a name: there is none."""

    phase: str
    env: dict[str, str]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseNow:
    """How far the phase has come.  Local instants are monotonic nanoseconds."""

    state: PhaseState
    failed: bool
    stopped: bool
    cut: bool
    left: dict[str, int]  # by role: how many of its steps are still to come
    current: dict[str, str]  # by role: key of the present attempt
    skipped: dict[str, str]  # steps of which that is not reported, and why
    ending: tuple[str, ...]
    arming: tuple[str, ...]
    go: int
    voided: int
    t0_ns: int
    t0_local_ns: int
    has_failed: bool
    asked: tuple[bool, ...]
    refusal: tuple[str, ...]
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt as it was begun."""

    step: Step
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptNow:
    """How far an attempt has come: the fields of `StepRun`."""

    key: str
    state: State
    planned_ns: int
    go: int
    start: Start | None
    started_ns: int
    exit: Exit | None
    done: Done | None
    not_started: str
    lost: str
    ending: Reason | None
    tree_ended: bool
    survivors: tuple[int, ...]
    pipe_held: bool
    sizes: dict[str, int]
    probes: int
    files: Literal["", "wanted", "brought"]
    is_waited_for: bool
    ready_limit_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNow:
    """What is known beside the phase."""

    abandoned: str
    freeing: bool
    dirty: str
    why_failed: str
    has_shipped: bool
    brings: bool
    over: dict[str, str]
    past: tuple[str, ...] = ()  # phases that have been here: a late prepare of one is not taken up


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an input has changed, and the records that follow from it; None and () say: not that."""

    launcher: str  # which one it is that has the programs
    clock: tuple[int, ...]  # epoch, T1 ... T4 of the last exchange with the broker; () before there is one
    appended: int  # number of the journal's last record before ``records``
    records: tuple[Record, ...] = ()  # that are appended to the journal right after this is written
    plan: Plan | None = None
    phase: PhaseNow | None = None
    begun: tuple[Attempt, ...] = ()
    attempts: tuple[AttemptNow, ...] = ()
    gone: tuple[str, ...] = ()
    part: PartNow | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a change is to say beside that of the executor."""

    launcher: str
    clock: tuple[int, ...]
    appended: int
    records: tuple[Record, ...]


@dataclass(slots=True)
class Scribe:
    """Knows what is written, and says what has to be added."""

    _phase_part: PhasePart | None = None
    _phase: PhaseNow | None = None
    _part: PartNow | None = None
    _marks: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def whole(self, executor: Executor, context: Context) -> Iterator[Change]:
        """Return all there is; no change is larger than the message that it comes from."""
        self._marks.clear()
        self._phase_part, self._phase = executor.phase, _phase_now(executor)
        self._part = _part_now(executor)
        for step in _kept(executor):
            self._marks[step.key] = _mark(step)
            yield Change(
                launcher=context.launcher,
                clock=(),
                appended=0,
                begun=(Attempt(step=step.step, attempt=step.attempt),),
                attempts=(_attempt_now(step),),
            )
        yield Change(
            launcher=context.launcher,
            clock=context.clock,
            appended=context.appended,
            records=context.records,
            plan=_plan(executor.phase),
            phase=self._phase,
            part=self._part,
        )

    def changed(self, executor: Executor, context: Context) -> Change | None:
        """Return what is new since the last time, None if nothing is."""
        begun: list[Attempt] = []
        attempts: list[AttemptNow] = []
        gone = tuple(key for key in self._marks if executor.steps.get(key) is None)
        for key in gone:
            del self._marks[key]
        for step in _kept(executor):
            mark, before = _mark(step), self._marks.get(step.key)
            if mark != before:
                self._marks[step.key] = mark
                attempts.append(_attempt_now(step))
                if before is None:
                    begun.append(Attempt(step=step.step, attempt=step.attempt))
        phase, part = _phase_now(executor), _part_now(executor)
        is_new = executor.phase is not self._phase_part
        is_same = not is_new and phase == self._phase and part == self._part
        if is_same and not gone and not attempts and not context.records:
            return None
        change = Change(
            launcher=context.launcher,
            clock=context.clock,
            appended=context.appended,
            records=context.records,
            plan=_plan(executor.phase) if is_new else None,
            phase=phase if is_new or phase != self._phase else None,
            begun=tuple(begun),
            attempts=tuple(attempts),
            gone=gone,
            part=None if part == self._part else part,
        )
        self._phase_part, self._phase, self._part = executor.phase, phase, part
        return change


def _kept(executor: Executor) -> Iterator[StepRun]:
    """Return the attempts but the looks at whether one is ready: the next life looks again."""
    return (step for step in executor.steps if not step.probe)


def _mark(step: StepRun) -> tuple[object, ...]:
    """Return what changes of an attempt: cheap, for it is compared with each input."""
    return (
        step.state,
        step.planned_ns,
        step.started_ns,
        step.exit,
        step.done,
        step.lost,
        step.not_started,
        step.ending,
        step.tree_ended,
        step.pipe_held,
        len(step.sizes),
        step.probes,
        step.files,
        step.is_waited_for,
    )


def _attempt_now(step: StepRun) -> AttemptNow:
    return AttemptNow(
        key=step.key,
        state=step.state,
        planned_ns=step.planned_ns,
        go=step.go,
        start=step.start,
        started_ns=step.started_ns,
        exit=step.exit,
        done=step.done,
        not_started=step.not_started,
        lost=step.lost,
        ending=step.ending,
        tree_ended=step.tree_ended,
        survivors=step.survivors,
        pipe_held=step.pipe_held,
        sizes={stream: size for stream, size in step.sizes.items()},  # noqa: C416 - of str for the codec
        probes=step.probes,
        files=step.files,
        is_waited_for=step.is_waited_for,
        ready_limit_ns=step.readiness.limit_ns if step.readiness else 0,
    )


def _plan(part: PhasePart | None) -> Plan:
    if part is None:
        return Plan(phase="", env={}, steps=())
    return Plan(phase=part.phase, env=dict(part.env), steps=part.steps)


def _phase_now(executor: Executor) -> PhaseNow | None:
    part, steps = executor.phase, executor.steps
    if part is None:
        return None
    lanes = part.lanes.items()
    return PhaseNow(
        state=part.state,
        failed=part.failed,
        stopped=part.stopped,
        cut=part.cut,
        left={role: len(lane.queue) for role, lane in lanes},
        current={
            role: lane.current.key for role, lane in lanes if lane.current and steps.get(lane.current.key)
        },
        skipped={step.step: why for _, lane in lanes for step, why in lane.skipped},
        ending=tuple(part.ending),
        arming=tuple(part.arming),
        go=part.go,
        voided=part.voided,
        t0_ns=part.t0_ns,
        t0_local_ns=part.t0_local_ns,
        has_failed=part.has_failed,
        asked=part.asked,
        refusal=part.refusal or (),
        kept=part.kept,
    )


def _part_now(executor: Executor) -> PartNow:
    parting = executor.parting
    return PartNow(
        abandoned=parting.abandoned,
        freeing=parting.freeing,
        dirty=parting.dirty,
        why_failed=parting.why_failed,
        has_shipped=parting.has_shipped,
        brings=executor.lanes.brings,
        over=dict(executor.steps.over),
        past=tuple(executor.lanes.past),
    )
