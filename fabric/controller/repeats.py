"""PURE.  The records of the controller about a run, its repeats, gos and metrics."""

from fabric.controller.desk import Desk
from fabric.controller.effects import Effect, Note
from fabric.controller.measures import Measured
from fabric.protocol.messages import GoAborted
from fabric.protocol.records import (
    Metric,
    MetricMissing,
    PhaseAborted,
    RepeatEnded,
    RepeatStarted,
    RunStarted,
    Then,
)
from fabric.trial.cells import Repeat


def run_started(desk: Desk, now_ns: int) -> list[Effect]:
    """Note that the nodes have their part of the run, and what is to be said of that."""
    t, bound = desk.fabric(now_ns)
    plan = desk.plan
    record = RunStarted(
        t_ns=t,
        bound_ns=bound,
        name=plan.trial.name,
        nodes=tuple(desk.alive),
        phases=plan.phases,
        cells=len(plan.cells),
        repeats=len(plan.remaining),
        resumes=plan.resumes[-1].run if plan.resumes else "",
    )
    return [Note(record), *(effect for words in plan.notes for effect in desk.notice(words, now_ns))]


def repeat_started(desk: Desk, repeat: Repeat, now_ns: int) -> Effect:
    """Note that a repeat begins."""
    t, bound = desk.fabric(now_ns)
    record = RepeatStarted(
        t_ns=t,
        bound_ns=bound,
        cell=repeat.cell.number,
        repeat=repeat.number,
        warmup=repeat.is_warmup,
        variables=dict(repeat.cell.variables),
    )
    return Note(record)


def phase_aborted(desk: Desk, message: GoAborted, then: Then, now_ns: int) -> Effect:
    """Note that a go was taken back, and what follows."""
    t, bound = desk.fabric(now_ns)
    record = PhaseAborted(
        t_ns=t,
        bound_ns=bound,
        phase=message.phase,
        go=message.go,
        reasons=message.reasons,
        started=message.started,
        then=then,
    )
    return Note(record)


def repeat_ended(desk: Desk, repeat: Repeat, now_ns: int) -> Effect:
    """Note that a repeat is over."""
    desk.done.append((repeat, desk.progress.failed))
    t, bound = desk.fabric(now_ns)
    record = RepeatEnded(
        t_ns=t,
        bound_ns=bound,
        cell=repeat.cell.number,
        repeat=repeat.number,
        failed=desk.progress.failed,
        cut=desk.is_last_repeat,
    )
    return Note(record)


def metric_notes(desk: Desk, measured: Measured, now_ns: int) -> list[Effect]:
    """Note a metric that was found, or was not; nothing if its step was cut before it could say it."""
    if desk.is_void(measured):
        return []
    t, bound = desk.fabric(now_ns)
    if measured.value is None:
        missing = MetricMissing(
            t_ns=t,
            bound_ns=bound,
            node=measured.node,
            step=measured.step,
            attempt=measured.attempt,
            name=measured.spec.name,
            why=measured.why,
        )
        return [Note(missing)]
    record = Metric(
        t_ns=t,
        bound_ns=bound,
        node=measured.node,
        step=measured.step,
        attempt=measured.attempt,
        name=measured.spec.name,
        value=measured.value,
        unit=measured.spec.unit,
    )
    return [Note(record)]
