"""PURE.  The records that frame a run and its repeats."""

from fabric.controller.desk import Desk
from fabric.controller.effects import Effect, Note
from fabric.protocol.records import RepeatEnded, RepeatStarted, RunStarted
from fabric.trial.cells import Repeat


def run_started(desk: Desk, now_ns: int) -> Effect:
    """Note that the nodes have their part of the run."""
    t, bound = desk.fabric(now_ns)
    plan = desk.plan
    record = RunStarted(
        t_ns=t,
        bound_ns=bound,
        name=plan.trial.name,
        nodes=tuple(desk.alive),
        phases=plan.phases,
        cells=len(plan.cells),
        repeats=len(plan.repeats),
    )
    return Note(record)


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


def repeat_ended(desk: Desk, repeat: Repeat, now_ns: int) -> Effect:
    """Note that a repeat is over."""
    t, bound = desk.fabric(now_ns)
    record = RepeatEnded(
        t_ns=t,
        bound_ns=bound,
        cell=repeat.cell.number,
        repeat=repeat.number,
        failed=desk.progress.failed,
    )
    return Note(record)
