"""PURE.  What the end of a step says about the run."""

from fabric.controller.desk import Desk
from fabric.controller.effects import Effect
from fabric.controller.measures import Measured, describe_check
from fabric.protocol.messages import GoAborted, Refused
from fabric.protocol.names import StepId
from fabric.protocol.records import StepFinished
from fabric.report.fold import folded
from fabric.report.quantities import after
from fabric.report.reasons import describe_reasons

_RUNNING = 3
"""So many steps that still ran are named; result.json has all of them."""


def describe_failure(desk: Desk, node: str, end: StepFinished) -> str:
    """Return ``trial.toml:12: run/client step client-1 on lab3: exit 1 after 2.1 s, last line: ...``."""
    last = desk.history.last_line(node, end.step, end.attempt)
    tail = f", last line: {last}" if last else ""
    lasted = after(end.reason, end.duration_ns, end.seen_late_ns)
    return f"{desk.plan.describe(end.step, node)}: {end.message}{lasted}{tail}"


def judge(desk: Desk, node: str, end: StepFinished) -> bool:
    """Note what the end of a step says; return whether the repeat is not to go on because of it."""
    _check(desk, node, end)
    source = desk.plan.source(end.step)
    if not end.failed and source is not None and desk.is_measuring:
        desk.awaited += len(source.metrics)
    if not end.failed or end.retried:
        return False
    line = describe_failure(desk, node, end)
    step = StepId.parse(end.step)
    if end.reason == "lost" and node in desk.spared and step.phase != desk.plan.phases[-1]:
        return False  # its agent is back and tells what was lost with it: that was known, and passed over
    desk.failed_phases.add(step.phase_id)
    if step.phase == desk.plan.phases[-1]:
        desk.findings.add("dirty", line)
        return False
    desk.progress.failed = True
    if end.reason == "lost":
        desk.findings.add("error", line)
        desk.is_last_repeat = True
    else:
        desk.findings.add("fail", line)
        if source is not None and source.on_fail == "continue":
            return False
    desk.progress.stop()
    return True


def judge_refusal(desk: Desk, message: Refused, *, is_reset: bool) -> None:
    """Note why a node cannot do a phase: the trial's mistake if it is about a step, else the node's."""
    if message.step:
        desk.findings.add("fail", f"{desk.plan.describe(message.step, message.node)}: {message.sentence}")
    else:
        sentence = f"{message.node} refused phase {message.phase}: {message.sentence}"
        desk.findings.add("dirty" if is_reset else "error", sentence)
        desk.is_last_repeat = True
    desk.progress.stop()


def judge_no_start(desk: Desk, phase_id: str, tries: int, message: GoAborted) -> None:
    """Note that a phase could not be started; the lead is to be looked at only if somebody was late."""
    lead_s = desk.plan.trial.lead_s
    is_named = message.late and lead_s is not None
    hint = f"; its lead of {(lead_s or 0.0) * 1e3:g} ms may be too short" if is_named else ""
    sentence = f"phase {phase_id} could not be started in {tries} attempts"
    desk.findings.add("error", f"{sentence}: {describe_reasons(message.reasons)}{hint}")
    desk.is_last_repeat = True
    desk.progress.stop()


def judge_metric(desk: Desk, measured: Measured) -> bool:
    """Note a metric; return whether the repeat is not to go on because it could not be found."""
    desk.awaited -= 1
    if desk.is_void(measured):
        return False
    step = StepId.parse(measured.step)
    if measured.value is not None:
        desk.measures.add(measured.spec.name, (step.cell, step.repeat), measured.node, measured.value)
        return False
    desk.measures.miss(measured)
    where = f"{desk.plan.trial.path}:{measured.spec.line}: {step.phase}/{step.role} step {step.label}"
    what = f"on {measured.node}: metric {measured.spec.name}: {measured.why}"
    desk.findings.add("fail", f"{where} {what}")
    desk.failed_phases.add(step.phase_id)
    desk.progress.failed = True
    source = desk.plan.source(measured.step)
    if source is not None and source.on_fail == "continue":
        return False
    desk.progress.stop()
    return True


def judge_checks(desk: Desk) -> None:
    """Note which checks do not hold; why a repeat that failed lacks a value is known already."""
    failed = {(repeat.cell.number, repeat.number) for repeat, has_failed in desk.done if has_failed}
    names = {repeat.cell.number: repeat.cell.variables.items() for repeat, _ in desk.done}
    for result in desk.measures.check([repeat for repeat, _ in desk.done]):
        cell, repeat = result.place
        if not result.ok and not (result.value is None and result.place in failed):
            values = " ".join(f"{name}={value}" for name, value in names[cell])
            where = f"cell {cell} ({values}), repeat {repeat}" if cell else f"repeat {repeat}"
            desk.findings.add("fail", describe_check(desk.plan.trial, result, where))


def tell_cut(desk: Desk, phase_id: str, why: str, now_ns: int) -> list[Effect]:
    """Say once why all that runs is ended; what Ctrl-C does is said elsewhere, and is no failure."""
    if desk.findings.has("interrupted"):
        return []
    desk.failed_phases.add(phase_id)
    return desk.notice(f"phase {phase_id} is ended early: {why}", now_ns)


def name_failure(node: str, end: StepFinished) -> str:
    """Return ``run/client step client-1 failed on lab3``."""
    step = StepId.parse(end.step)
    return f"{step.phase}/{step.role} step {step.label} failed on {node}"


def describe_timeout(desk: Desk, where: str, phase_id: str) -> str:
    """Say that the whole trial took too long, and what it was at."""
    trial = desk.plan.trial
    what = f"{trial.path}: the trial was not done within its timeout of {trial.timeout_s:g} s"
    return f"{what} ({where}{still_running(desk, phase_id)})"


def still_running(desk: Desk, phase_id: str) -> str:
    """Return the steps of a phase that are not over, some of them: ``; a step a-1 ran on lab[1-3]``."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for node, name, attempt in desk.history.started:
        step, source = StepId.parse(name), desk.plan.source(name)
        is_over = (node, name, attempt) in desk.history.finished
        if step.phase_id == phase_id and not is_over and (source is None or source.verb != "spawn"):
            nodes.setdefault((step.role, step.label), []).append(node)
    texts = [f"{role} step {label} ran on {folded(found)}" for (role, label), found in nodes.items()]
    more = f", and {len(texts) - _RUNNING} more" if len(texts) > _RUNNING else ""
    return "; " + ", ".join(texts[:_RUNNING]) + more if texts else ""


def _check(desk: Desk, node: str, end: StepFinished) -> None:
    """Note what must not be: bytes that were not stored, processes that could not be killed."""
    what = desk.plan.describe(end.step, node)
    lacking = desk.history.lacking(node, end)
    if lacking and not desk.passes_over:
        desk.findings.add("error", f"{what}: output is incomplete: {lacking}")
    for gap in desk.history.gaps(node, end):
        desk.findings.add("invalid", f"{what}: {gap}")
    if end.survivors:
        pids = ", ".join(map(str, end.survivors))
        desk.findings.add("dirty", f"{what}: processes could not be killed: {pids}")
