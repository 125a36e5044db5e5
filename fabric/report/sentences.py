"""What a record says to a person, in one line."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fabric.protocol.records import (
    FileEnded,
    FileMissing,
    Metric,
    MetricMissing,
    Notice,
    OutputDropped,
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    Record,
    RepeatStarted,
    RunEnded,
    RunStarted,
    StepFinished,
    StepReady,
    StepSkipped,
    StepStarted,
    Then,
)
from fabric.report.fold import folded
from fabric.report.quantities import after, counted, duration, lasted, quantity, size
from fabric.report.reasons import describe_reasons
from fabric.report.style import Level

_WHYS: Final = 3
"""Most reasons in one line; all of them are in result.json."""

_THEN: Final[dict[Then, str]] = {
    "": "",
    "again": "; tried again",
    "given_up": "; the phase is given up",
    "without": "; the reset goes on without them",
}


class Said(NamedTuple):
    """A sentence and how bad it is."""

    text: str
    level: Level = "plain"


def sentence_of(record: Record) -> Said | None:
    """Return what to say of a record; nothing for one that another one tells better."""
    say = _SENTENCES.get(type(record))
    said: Said | None = say(record) if say is not None else None
    return said


def ending(record: StepFinished) -> str:
    """Return how a step ended, and after how long: ``exit 1 after 2.1 s``."""
    return (record.message or _ending(record)) + after(record.reason, record.duration_ns, record.seen_late_ns)


def skew(skew_ns: int, bound_ns: int | None) -> str:
    """Return a skew with its bound: ``0.31 ms ± 0.12 ms``."""
    return duration(skew_ns) + (f" ± {duration(bound_ns)}" if bound_ns is not None else "")


def _step_started(record: StepStarted) -> Said:
    again = f", attempt {record.attempt}" if record.attempt > 1 else ""
    pid = f", pid {record.pid}" if record.pid else ""  # 0: the agent does it itself
    return Said(f"started{pid}{again}")


def _step_ready(record: StepReady) -> Said:
    return Said(f"ready: {record.what}" if record.what else "ready")


def _step_finished(record: StepFinished) -> Said:
    how = record.message or f"{_ending(record)} after {lasted(record.duration_ns, record.seen_late_ns)}"
    left = f"; could not be killed: {', '.join(map(str, record.survivors))}" if record.survivors else ""
    if record.failed and record.retried:
        return Said(f"failed: {how}{left}; it is tried again", "warning")
    if record.failed:
        return Said(f"failed: {how}{left}", "error")
    return Said(f"finished: {how}{left}", "warning" if left else "plain")


def _ending(record: StepFinished) -> str:
    if record.exit_code is not None:
        return f"exit {record.exit_code}"
    if record.signal is not None:
        return f"signal {record.signal}"
    return record.reason.replace("_", " ")


def _output_dropped(record: OutputDropped) -> Said:
    lost = f"{size(record.size)} of {record.stream} not kept, from byte {record.offset} on"
    return Said(f"{lost}: {record.why}" if record.why else lost, "warning")


def _file_ended(record: FileEnded) -> Said | None:
    # A fetch may bring ten thousand files: its end says how many; only one that is not whole is news.
    return Said(f"a file is not whole: {record.problem}", "warning") if record.problem else None


def _file_missing(record: FileMissing) -> Said:
    return Said(f"missing: {record.path}: {record.why}", "warning")


def _metric(record: Metric) -> Said:
    return Said(f"{record.name} = {quantity(record.value, record.unit)}")


def _metric_missing(record: MetricMissing) -> Said:
    return Said(f"failed: metric {record.name}: {record.why}", "error")


def _step_skipped(record: StepSkipped) -> Said:
    return Said(f"skipped: {record.message}")


def _phase_finished(record: PhaseFinished) -> Said | None:
    # Of a hundred nodes that have finished, only the one that has not done so well is news.
    return Said(f"phase {record.phase}: failed here", "error") if record.failed else None


def _notice(record: Notice) -> Said:
    return Said(record.message, "plain" if record.level == "info" else record.level)


def _run_started(record: RunStarted) -> Said:
    many = f", {record.cells} cells" if record.cells > 1 else ""
    many += f", {record.repeats} repeats" if record.repeats > 1 else ""
    return Said(f"run of {record.name} on {folded(record.nodes)}{many}")


def _repeat_started(record: RepeatStarted) -> Said | None:
    if not record.cell and not record.warmup:
        return None  # its phases bear its number
    kind = f"warm-up, repeat {record.repeat}" if record.warmup else f"repeat {record.repeat}"
    values = " ".join(f"{name}={value}" for name, value in record.variables.items())
    return Said(f"cell {record.cell}, {kind}: {values}" if record.cell else kind)


def _phase_started(record: PhaseStarted) -> Said:
    return Said(f"phase {record.phase}: go {record.go}, lead {duration(record.lead_ns)}")


def _phase_aborted(record: PhaseAborted) -> Said:
    whys = describe_reasons(dict(sorted(record.reasons.items())))
    late = f"too late for {folded(record.started)}" if record.started else "nobody started"
    return Said(
        f"phase {record.phase}: go {record.go} aborted, {late}: {whys}{_THEN[record.then]}", "warning"
    )


def _phase_ended(record: PhaseEnded) -> Said:
    text = f"phase {record.phase}: {'failed' if record.failed else 'done'}"
    if record.skew_ns is not None:
        text += f", skew {skew(record.skew_ns, record.skew_bound_ns)}"
        text += f", latest {record.latest_node}" if record.latest_node else ""
        text += f": {record.delayed_by}" if record.delayed_by else ""
    return Said(text, "error" if record.failed else "plain")


def _run_ended(record: RunEnded) -> Said:
    reasons = [why for why in record.why if why != record.verdict]  # "interrupted" says it all
    whys = ": " + "; ".join(reasons[:_WHYS]) if reasons else ""
    whys += f"; and {counted(len(reasons) - _WHYS, 'more reason')}" if len(reasons) > _WHYS else ""
    return Said(f"verdict {record.verdict}{whys}", "good" if record.verdict == "pass" else "error")


_SENTENCES: Final[dict[type, Callable[[Any], Said | None]]] = {
    StepStarted: _step_started,
    StepReady: _step_ready,
    StepFinished: _step_finished,
    OutputDropped: _output_dropped,
    FileEnded: _file_ended,
    FileMissing: _file_missing,
    Metric: _metric,
    MetricMissing: _metric_missing,
    StepSkipped: _step_skipped,
    PhaseFinished: _phase_finished,
    Notice: _notice,
    RunStarted: _run_started,
    RepeatStarted: _repeat_started,
    PhaseStarted: _phase_started,
    PhaseAborted: _phase_aborted,
    PhaseEnded: _phase_ended,
    RunEnded: _run_ended,
}
