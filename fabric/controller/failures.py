"""PURE.  What the end of a step says about the run."""

from typing import Final

from fabric.controller.desk import Desk
from fabric.protocol.records import StepFinished

S: Final = 1_000_000_000


def describe_failure(desk: Desk, node: str, end: StepFinished) -> str:
    """Return ``trial.toml:12: run/client step client-1 on lab3: exit 1 after 2.1 s, last line: ...``."""
    seconds = f" after {end.duration_ns / S:.1f} s" if end.duration_ns else ""
    last = desk.history.last_line(node, end.step, end.attempt)
    tail = f", last line: {last}" if last else ""
    return f"{desk.plan.describe(end.step, node)}: {end.message}{seconds}{tail}"


def check_step(desk: Desk, node: str, end: StepFinished) -> None:
    """Note what must not be: bytes that were not stored, processes that could not be killed."""
    what = desk.plan.describe(end.step, node)
    lacking = desk.history.lacking(node, end)
    if lacking:
        desk.findings.add("error", f"{what}: output is incomplete: {lacking}")
    if end.survivors:
        pids = ", ".join(map(str, end.survivors))
        desk.findings.add("dirty", f"{what}: processes could not be killed: {pids}")
