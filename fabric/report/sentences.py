"""What a record says to a person, in one line."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fabric.protocol.records import (
    FileEnded,
    FileMissing,
    Notice,
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    Record,
    RunEnded,
    RunStarted,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from fabric.report.style import Level

_SECOND_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _SECOND_NS


class Said(NamedTuple):
    """A sentence and how bad it is."""

    text: str
    level: Level = "plain"


def duration(ns: int) -> str:
    """Return a duration with a unit that fits: ``0.31 ms``, ``2.1 s``, ``3 min 20 s``."""
    if ns < _SECOND_NS:
        return f"{ns / 1e6:.3g} ms" if ns < _SECOND_NS - 500_000 else "1.0 s"  # not "1e+03 ms"
    if ns < _MINUTE_NS:
        return f"{ns / 1e9:.1f} s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    return f"{minutes} min {seconds} s"


def sentence_of(record: Record) -> Said | None:
    """Return what to say of a record; nothing for one that another one tells better."""
    say = _SENTENCES.get(type(record))
    said: Said | None = say(record) if say is not None else None
    return said


def _step_started(record: StepStarted) -> Said:
    again = f", attempt {record.attempt}" if record.attempt > 1 else ""
    process = f", pid {record.pid}" if record.pid else ""  # the agent does some steps itself
    return Said(f"started{process}{again}")


def _file_ended(record: FileEnded) -> Said | None:
    # A fetch may bring ten thousand files: its end says how many; only one that is not whole is news.
    return Said(f"a file is not whole: {record.problem}", "warning") if record.problem else None


def _file_missing(record: FileMissing) -> Said:
    return Said(f"missing: {record.path}: {record.why}", "warning")


def _step_finished(record: StepFinished) -> Said:
    how = record.message or f"{_ending(record)} after {duration(record.duration_ns)}"
    left = f"; could not be killed: {', '.join(map(str, record.survivors))}" if record.survivors else ""
    if record.failed:
        return Said(f"failed: {how}{left}", "error")
    return Said(f"finished: {how}{left}", "warning" if left else "plain")


def _ending(record: StepFinished) -> str:
    if record.exit_code is not None:
        return f"exit {record.exit_code}"
    if record.signal is not None:
        return f"signal {record.signal}"
    return record.reason.replace("_", " ")


def _step_skipped(record: StepSkipped) -> Said:
    return Said(f"skipped: {record.message}")


def _phase_finished(record: PhaseFinished) -> Said | None:
    # Of a hundred nodes that have finished, only the one that has not done so well is news.
    return Said(f"phase {record.phase}: failed here", "error") if record.failed else None


def _notice(record: Notice) -> Said:
    return Said(record.message, "plain" if record.level == "info" else record.level)


def _run_started(record: RunStarted) -> Said:
    return Said(f"run of {record.name} on {', '.join(record.nodes)}")


def _phase_started(record: PhaseStarted) -> Said:
    return Said(f"phase {record.phase}: go {record.go}, lead {duration(record.lead_ns)}")


def _phase_aborted(record: PhaseAborted) -> Said:
    whys = "; ".join(f"{node}: {why}" for node, why in sorted(record.reasons.items()))
    return Said(f"phase {record.phase}: go {record.go} aborted, nobody started: {whys}", "warning")


def _phase_ended(record: PhaseEnded) -> Said:
    text = f"phase {record.phase}: {'failed' if record.failed else 'done'}"
    if record.skew_ns is not None:
        text += f", skew {duration(record.skew_ns)}"
        if record.skew_bound_ns is not None:
            text += f" ± {duration(record.skew_bound_ns)}"
        text += f", latest {record.latest_node}" if record.latest_node else ""
    return Said(text, "error" if record.failed else "plain")


def _run_ended(record: RunEnded) -> Said:
    whys = ": " + "; ".join(record.why) if record.why else ""
    return Said(f"verdict {record.verdict}{whys}", "good" if record.verdict == "pass" else "error")


_SENTENCES: Final[dict[type, Callable[[Any], Said | None]]] = {
    FileEnded: _file_ended,
    FileMissing: _file_missing,
    StepStarted: _step_started,
    StepFinished: _step_finished,
    StepSkipped: _step_skipped,
    PhaseFinished: _phase_finished,
    Notice: _notice,
    RunStarted: _run_started,
    PhaseStarted: _phase_started,
    PhaseAborted: _phase_aborted,
    PhaseEnded: _phase_ended,
    RunEnded: _run_ended,
}
