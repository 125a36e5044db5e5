"""PURE.  result.json: what a run came to, for programs."""

from typing import Any, Final

from fabric import __version__
from fabric.controller.run import Run
from fabric.controller.verdict import EXIT_CODES
from fabric.protocol.names import StepId, parse_phase
from fabric.protocol.records import PhaseAborted, PhaseEnded, PhaseStarted, StepFinished, StepStarted

NS: Final = 1e9


def result_of(run: Run) -> dict[str, Any]:
    """Return the content of result.json.  Instants are seconds of fabric time, durations seconds."""
    verdict = run.findings.verdict
    return {
        "format": 1,
        "run": run.run,
        "name": run.plan.trial.name,
        "verdict": verdict,
        "exit_code": EXIT_CODES[verdict],
        "why": list(run.findings.whys),
        **_times(run),
        "repeats": len(run.plan.repeats),
        "phases": _phases(run),
        "steps": _steps(run),
        "nodes": _nodes(run),
        "versions": {"testfabric": __version__},
    }


def _times(run: Run) -> dict[str, Any]:
    """Return when the run began, and how long it took to the end of its last phase."""
    started, phases = run.history.run_started, run.history.phases
    if started is None:
        return {"started": None, "duration_s": None}
    ended_ns = max((record.t_ns for record in phases), default=started.t_ns)
    return {"started": started.t_ns / NS, "duration_s": (ended_ns - started.t_ns) / NS}


def _phases(run: Run) -> list[dict[str, Any]]:
    """Return each phase that was started, with its skew; and each go that was aborted."""
    found: dict[str, dict[str, Any]] = {}
    for record in run.history.phases:
        cell, repeat, name = parse_phase(record.phase)
        entry = found.setdefault(record.phase, {"cell": cell, "repeat": repeat, "phase": name, "aborted": []})
        match record:
            case PhaseStarted():
                entry |= {"go": record.go, "t0": record.t0_ns / NS, "lead_s": record.lead_ns / NS}
            case PhaseAborted():
                entry["aborted"].append({"go": record.go, "reasons": dict(record.reasons)})
            case PhaseEnded():
                entry |= _ended(record)
    return list(found.values())


def _ended(record: PhaseEnded) -> dict[str, Any]:
    known = record.skew_ns is not None and record.skew_bound_ns is not None
    return {
        "ended": record.t_ns / NS,
        "failed": record.failed,
        "skew_s": record.skew_ns / NS if known and record.skew_ns is not None else None,
        "skew_bound_s": record.skew_bound_ns / NS if known and record.skew_bound_ns is not None else None,
        "latest_node": record.latest_node or None,
    }


def _steps(run: Run) -> list[dict[str, Any]]:
    history = run.history
    keys = dict.fromkeys([*history.started, *history.finished])
    steps = [
        _step(node, step, attempt, history.started.get(key), history.finished.get(key))
        for key in keys
        for node, step, attempt in [key]
    ]
    skipped = [
        _place(node, step) | {"state": "skipped", "why": skip.message}
        for (node, step), skip in history.skipped.items()
    ]
    return steps + skipped


def _step(
    node: str, step: str, attempt: int, start: StepStarted | None, end: StepFinished | None
) -> dict[str, Any]:
    entry = _place(node, step) | {"attempt": attempt, "state": "finished" if end else "unknown"}
    if start is not None:
        entry |= {
            "started": start.t_ns / NS,
            "started_bound_s": start.bound_ns / NS if start.bound_ns >= 0 else None,
            "started_event": start.event,
            "planned": start.planned_ns / NS if start.planned_ns else None,
        }
    if end is not None:
        entry |= {
            "reason": end.reason,
            "failed": end.failed,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "message": end.message,
            "duration_s": end.duration_ns / NS,
            "stdout_bytes": end.stdout_bytes,
            "stderr_bytes": end.stderr_bytes,
            "user_s": end.user_s,
            "system_s": end.system_s,
            "max_rss_kib": end.max_rss_kib,
            "pipe_held": end.pipe_held,
            "survivors": list(end.survivors),
        }
    return entry


def _place(node: str, step: str) -> dict[str, Any]:
    repeat, phase, role, label, cell = StepId.parse(step)
    return {"cell": cell, "repeat": repeat, "phase": phase, "role": role, "step": label, "node": node}


def _nodes(run: Run) -> dict[str, Any]:
    return {
        name: {
            "roles": [role for role, members in run.plan.trial.roles.items() if name in members],
            "addresses": dict(info.addresses),
            "labels": list(info.labels),
            "facts": dict(info.facts),
        }
        for name, info in run.nodes.items()
    }
