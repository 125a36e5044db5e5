"""The results of a run in the shape of Conductor's JSON, which its users' scripts read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fabric.protocol.names import StepId
from fabric.report.paths import stream_path
from fabric.report.results import (
    PhaseKey,
    Result,
    StepResult,
    instant,
    phases_of,
    repeats_of,
    steps_of,
)

MAX_MESSAGE_BYTES: Final = 10 * 1024 * 1024
"""Longest message: what Conductor's own messages may have if nothing else is said."""

NOT_STARTED: Final = 127
"""Code of a command that could not be started, as from a shell."""

FAILED: Final = 1
"""Code of a step that failed though its command ended with 0: it yielded no metric, or took too long."""

UNKNOWN: Final = -1
"""Code of a step whose end is not known, as its node was lost."""


def conductor_document(result: Result, bundle: Path, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what Conductor would have written.

    Trials are repeats (in a matrix: of all cells, in the order in which they began), workers are roles; of a
    role with several nodes each node is one, ``role/node``.  A step is there once it has ended, in the order
    of the file.  Its message is what it wrote to stdout, and behind that, if it failed, to stderr.

    Args:
        result: The content of result.json.
        bundle: Where the output of the steps is.
        names: What workers were called in the foreign file, by role.
    """
    steps = steps_of(result)
    phases = phases_of(result)
    workers = _worker_names(steps, names)
    trials = [
        _trial(number, [(key, phases[key]) for key in phases if key[:2] == place], steps, workers, bundle)
        for number, place in enumerate(repeats_of(result), 1)
    ]
    started, duration_s = result.get("started"), result.get("duration_s")
    return {
        "metadata": {
            "start_time": instant(started),
            "end_time": None if started is None else instant(started + (duration_s or 0)),
            "total_trials": len(trials),
            "total_workers": len(set(workers.values())),
        },
        "trials": trials,
    }


def _worker_names(steps: Sequence[StepResult], names: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return the name of the worker for each role and node."""
    nodes: dict[str, set[str]] = {}
    for step in steps:
        nodes.setdefault(step.role, set()).add(step.node)
    return {
        (role, node): names.get(role, role) + (f"/{node}" if len(found) > 1 else "")
        for role, found in nodes.items()
        for node in found
    }


def _trial(
    number: int,
    phases: Sequence[tuple[PhaseKey, Mapping[str, Any]]],
    steps: Sequence[StepResult],
    workers: Mapping[tuple[str, str], str],
    bundle: Path,
) -> dict[str, Any]:
    described = {
        key.phase: _phase(phase, [step for step in steps if step.key == key], workers, bundle)
        for key, phase in phases
    }
    return {"trial_number": number, **_span(list(described.values())), "phases": described}


def _phase(
    phase: Mapping[str, Any],
    steps: Sequence[StepResult],
    workers: Mapping[tuple[str, str], str],
    bundle: Path,
) -> dict[str, Any]:
    done: dict[str, list[StepResult]] = {}
    for step in sorted(steps, key=lambda one: (one.last.get("line") or 0, one.last.get("started") or 0)):
        if not step.skipped:
            done.setdefault(workers[step.role, step.node], []).append(step)
    return {
        "start_time": instant(phase.get("t0")),
        "end_time": instant(phase.get("ended")),
        "workers": {name: _worker(found, bundle) for name, found in done.items()},
    }


def _worker(steps: Sequence[StepResult], bundle: Path) -> dict[str, Any]:
    times = [_times(step) for step in steps]
    starts, ends = [start for start, _ in times if start], [end for _, end in times if end]
    return {
        "start_time": instant(min(starts, default=None)),
        "end_time": instant(max(ends, default=None)),
        "results": [
            {
                "timestamp": instant(end or start),
                "code": _code(step),
                "message": _message(step, bundle),
            }
            for step, (start, end) in zip(steps, times, strict=True)
        ],
    }


def _times(step: StepResult) -> tuple[float | None, float | None]:
    start, duration_s = step.last.get("started"), step.last.get("duration_s")
    return start, None if start is None or duration_s is None else start + duration_s


def _code(step: StepResult) -> int:
    """Return the exit code; minus the signal that ended it, as Python's subprocess has it.

    Scripts take 0 for success, so no step that failed has it.
    """
    entry = step.last
    if entry.get("exit_code") is not None:
        return int(entry["exit_code"]) or (FAILED if step.failed else 0)
    if entry.get("reason") == "stopped" and not step.failed and entry.get("verb", "spawn") == "spawn":
        return 0  # ended as the trial says
    if entry.get("signal") is not None:
        return -int(entry["signal"])
    if entry.get("reason") == "not_started":
        return NOT_STARTED
    return UNKNOWN if step.failed else 0


def _message(step: StepResult, bundle: Path) -> str:
    streams = ("stdout", "stderr") if step.failed else ("stdout",)
    place = StepId(step.key.repeat, step.key.phase, step.role, step.label, step.key.cell)
    attempt = step.last.get("attempt") or 1
    paths = [stream_path(step.node, place, attempt, stream) for stream in streams]
    text = b"".join(_read(bundle / path) for path in paths)
    return text[:MAX_MESSAGE_BYTES].decode(errors="replace")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MESSAGE_BYTES)
    except OSError:
        return b""  # a step that was not started wrote nothing


def _span(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the time over all parts.  ISO 8601 in one zone is sorted as text."""
    starts = [part["start_time"] for part in parts if part["start_time"]]
    ends = [part["end_time"] for part in parts if part["end_time"]]
    return {"start_time": min(starts, default=None), "end_time": max(ends, default=None)}
