"""From records to the rows of phases and steps.  Applied twice, a record changes nothing more."""

from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Table, Update, bindparam, func, insert, select, update

from fabric.protocol.records import (
    MetricMissing,
    PhaseEnded,
    PhaseStarted,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from fabric.store.schema import phases, steps

PhaseRecord = PhaseStarted | PhaseEnded
StepRecord = StepStarted | StepFinished | StepSkipped | MetricMissing

PHASE_RECORDS: Final = (PhaseStarted, PhaseEnded)
STEP_RECORDS: Final = (StepStarted, StepFinished, StepSkipped, MetricMissing)


def upsert(
    connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any], **otherwise: Any
) -> None:
    """Change a row, or insert it with the values of ``otherwise`` besides.  In every database's SQL."""
    change = _update(table, tuple(key), tuple(values))
    row = {f"key_{name}": value for name, value in key.items()} | values
    if not connection.execute(change, row).rowcount:
        connection.execute(insert(table), key | otherwise | values)


@cache
def _update(table: Table, key: tuple[str, ...], names: tuple[str, ...]) -> Update:
    """Make a statement once: that takes SQLAlchemy three times as long as to execute it."""
    where = (table.c[name] == bindparam(f"key_{name}") for name in key)
    return update(table).where(*where).values({name: bindparam(name) for name in names})


def save_phase(connection: Connection, run: str, record: PhaseRecord) -> None:
    """Note that a phase started or ended."""
    if isinstance(record, PhaseStarted):
        key = {"run": run, "phase": record.phase, "go": record.go}
        upsert(connection, phases, key, {"t0_ns": record.t0_ns, "lead_ns": record.lead_ns})
        return
    last_go = select(func.max(phases.c.go)).where(phases.c.run == run, phases.c.phase == record.phase)
    key = {"run": run, "phase": record.phase, "go": connection.execute(last_go).scalar() or 0}
    values = {
        "failed": record.failed,
        "skew_ns": record.skew_ns,
        "skew_bound_ns": record.skew_bound_ns,
        "earliest_node": record.earliest_node or None,
        "latest_node": record.latest_node or None,
        "delayed_by": record.delayed_by or None,
        "way": record.way or None,
    }
    upsert(connection, phases, key, values, t0_ns=0, lead_ns=0)


def save_step(connection: Connection, run: str, node: str, record: StepRecord) -> None:
    """Note that a step started, finished, was skipped, or lacks a metric; the last is said by the run."""
    if isinstance(record, MetricMissing):
        node = record.node
    attempt = 0 if isinstance(record, StepSkipped) else record.attempt
    key = {"run": run, "node": node, "step": record.step, "attempt": attempt}
    upsert(connection, steps, key, _step_values(record), message="")


def _step_values(record: StepRecord) -> dict[str, Any]:
    match record:
        case StepStarted():
            return {"started_ns": record.t_ns}
        case StepSkipped():
            return {
                "finished_ns": record.t_ns,
                "reason": "skipped",
                "failed": False,
                "message": record.message,
            }
        case StepFinished():
            return {
                "finished_ns": record.t_ns,
                "reason": record.reason,
                "failed": record.failed and not record.retried,  # else it is not the end of the step
                "exit_code": record.exit_code,
                "signal": record.signal,
                "message": record.message,
            }
        case MetricMissing():
            return {"failed": True, "message": f"metric {record.name}: {record.why}"}
