"""PURE.  Starts that were not to be: some nodes have begun a phase whose go was taken back.

An abort that is cut off on its way leaves a node that starts while the others do not.  Either it says so when
it is reached again, or its record does: whenever that comes, the run cannot be trusted.
"""

from collections.abc import Collection

from fabric.controller.desk import Desk
from fabric.controller.entry import Read
from fabric.protocol.messages import GoAborted, GoCommitted
from fabric.protocol.names import StepId
from fabric.protocol.records import Record, StepStarted
from fabric.report.fold import folded
from fabric.report.reasons import describe_reasons


def note_aborted(desk: Desk, message: GoAborted) -> None:
    """Note that a go was taken back: what it has released, or will turn out to have, is not to be trusted."""
    desk.void_goes.add((message.phase, message.go))
    for node, start in desk.history.starts.get(message.phase, ()):
        if node not in message.started:
            _judge(desk, node, start)


def as_committed(message: GoAborted, needed: Collection[str]) -> GoCommitted | None:
    """Return the go as one that stands, if all have started that have something to do in the phase."""
    if not message.t0_ns or not set(needed) <= set(message.started):
        return None
    return GoCommitted(
        run=message.run,
        phase=message.phase,
        go=message.go,
        t0_ns=message.t0_ns,
        lead_ns=message.lead_ns,
    )


def note_partial(desk: Desk, message: GoAborted) -> None:
    """Note that an abort came too late for some."""
    names, whys = folded(message.started), describe_reasons(message.reasons)
    desk.told_partial.update((message.phase, node) for node in message.started)
    desk.findings.add("invalid", f"phase {message.phase} began on {names} only, and was ended there: {whys}")
    desk.progress.stop()
    desk.is_last_repeat = True


def take_record(desk: Desk, read: Read, now_ns: int) -> Record | None:
    """Take in the next record of the run, and find out whether it is of a start that was not to be.

    Returns:
        The record; None if it is one that its node has made up.
    """
    desk.heard_ns[read.node] = now_ns
    if not desk.take(read):
        return None
    if isinstance(read.record, StepStarted) and read.record.go:
        _judge(desk, read.node, read.record)
    return read.record


def _judge(desk: Desk, node: str, start: StepStarted) -> None:
    phase = StepId.parse(start.step).phase_id
    if (phase, start.go) not in desk.void_goes or (phase, node) in desk.told_partial:
        return
    desk.told_partial.add((phase, node))
    how = "though its go was taken back: the abort did not reach it in time"
    desk.findings.add("invalid", f"phase {phase} began on {node} {how}")
    desk.progress.stop()
    desk.is_last_repeat = True
