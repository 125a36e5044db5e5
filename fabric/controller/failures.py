"""PURE.  What the end of a step says about the run."""

from typing import Final

from fabric.controller.desk import Desk
from fabric.protocol.names import StepId
from fabric.protocol.records import StepFinished

S: Final = 1_000_000_000


def describe_failure(desk: Desk, node: str, end: StepFinished) -> str:
    """Return ``trial.toml:12: run/client step client-1 on lab3: exit 1 after 2.1 s, last line: ...``."""
    seconds = f" after {end.duration_ns / S:.1f} s" if end.duration_ns else ""
    last = desk.history.last_line(node, end.step, end.attempt)
    tail = f", last line: {last}" if last else ""
    return f"{desk.plan.describe(end.step, node)}: {end.message}{seconds}{tail}"


def judge(desk: Desk, node: str, end: StepFinished) -> bool:
    """Note what the end of a step says; return whether the repeat is not to go on because of it."""
    _check(desk, node, end)
    if not end.failed or end.retried:
        return False
    line = describe_failure(desk, node, end)
    step = StepId.parse(end.step)
    if step.phase == desk.plan.phases[-1]:
        desk.findings.add("dirty", line)
        return False
    desk.progress.failed = True
    if end.reason == "lost":
        desk.findings.add("error", line)
        desk.is_last_repeat = True
    else:
        desk.findings.add("fail", line)
        source = desk.plan.source(end.step)
        if source is not None and source.on_fail == "continue":
            return False
    desk.progress.stop()
    return True


def _check(desk: Desk, node: str, end: StepFinished) -> None:
    """Note what must not be: bytes that were not stored, processes that could not be killed."""
    what = desk.plan.describe(end.step, node)
    lacking = desk.history.lacking(node, end)
    if lacking:
        desk.findings.add("error", f"{what}: output is incomplete: {lacking}")
    if end.survivors:
        pids = ", ".join(map(str, end.survivors))
        desk.findings.add("dirty", f"{what}: processes could not be killed: {pids}")
