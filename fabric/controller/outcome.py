"""PURE.  result.json: what a run came to, for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from fabric import __version__
from fabric.controller.desk import Desk
from fabric.controller.measures import metrics_of
from fabric.controller.offsets import late_s, offsets_of
from fabric.controller.plan import RunPlan
from fabric.controller.verdict import EXIT_CODES, Findings
from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.protocol.messages import NodeInfo
from fabric.protocol.names import StepId, parse_phase
from fabric.protocol.records import (
    PhaseAborted,
    PhaseEnded,
    PhaseStarted,
    RepeatStarted,
    StepFinished,
    StepStarted,
)

NS: Final = 1e9


class Told(Protocol):
    """Who knows what a run came to: the run itself, or what its records are told to."""

    @property
    def run(self) -> str:
        """Its id."""

    @property
    def plan(self) -> RunPlan:
        """What was to be done."""

    @property
    def desk(self) -> Desk:
        """What was found in its records."""

    @property
    def findings(self) -> Findings:
        """What leads to the verdict."""

    @property
    def nodes(self) -> Mapping[str, NodeInfo]:
        """That it has."""

    @property
    def lost(self) -> Mapping[str, str]:
        """Nodes that were given up, and why."""


def result_of(run: Told) -> dict[str, Any]:
    """Return the content of result.json.  Instants are seconds of fabric time, durations seconds."""
    verdict = run.findings.verdict
    return {
        "format": 1,
        "run": run.run,
        "name": run.plan.trial.name,
        "verdict": verdict,
        "exit_code": EXIT_CODES[verdict],
        "why": list(run.findings.whys),
        "file": run.plan.trial.path,
        "max_skew_s": run.plan.trial.max_skew_s,
        **_times(run),
        **_sweep(run),
        "phases": _phases(run),
        "steps": _steps(run),
        **_measures(run),
        "nodes": _nodes(run),
        "missing_nodes": [{"node": node, "why": why} for node, why in run.plan.missing.items()],
        "versions": {"testfabric": __version__},
    }


def _times(run: Told) -> dict[str, Any]:
    """Return when the run began, and how long it took to the end of its last phase."""
    started, phases = run.desk.history.run_started, run.desk.history.phases
    if started is None:
        return {"started": None, "duration_s": None}
    ended_ns = max((record.t_ns for record in phases), default=started.t_ns)
    return {"started": started.t_ns / NS, "duration_s": (ended_ns - started.t_ns) / NS}


def _sweep(run: Told) -> dict[str, Any]:
    """Return what was varied, and which repeats were done."""
    warmups = [repeat for repeat in run.plan.repeats if repeat.is_warmup]
    return {
        "seed": run.plan.seed,
        "resumes": [source.run for source in run.plan.resumes],
        "matrix": {name: list(values) for name, values in run.plan.trial.matrix.items()},
        "repeats": max((repeat.number for repeat in run.plan.repeats if not repeat.is_warmup), default=0)
        - max((repeat.number for repeat in warmups), default=0),
        "warmup": max((repeat.number for repeat in warmups), default=0),
        "cells": _cells(run),
    }


_OPEN: Final = dict.fromkeys(("warmup", "started", "ended", "failed", "cut", "run"))
"""Of a repeat that did not end."""


def _cells(run: Told) -> list[dict[str, Any]]:
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for record in run.desk.history.repeats:
        entry = found.setdefault(record.cell, {}).setdefault(
            record.repeat, {"repeat": record.repeat, **_OPEN}
        )
        if isinstance(record, RepeatStarted):
            entry |= {"warmup": record.warmup, "started": record.t_ns / NS}
        else:
            entry |= {"ended": record.t_ns / NS, "failed": record.failed, "cut": record.cut}
    for source in run.plan.resumes:
        for cell, number in source.repeats:
            if number in found.get(cell, {}):
                found[cell][number]["run"] = source.run
    return [
        {
            "cell": cell.number,
            "variables": dict(cell.variables),
            "roles": {role: list(nodes) for role, nodes in run.plan.roles[cell.number].items()},
            "repeats": list(found.get(cell.number, {}).values()),
        }
        for cell in run.plan.cells
    ]


def _measures(run: Told) -> dict[str, Any]:
    """Return the metrics, and what became of the checks."""
    desk = run.desk
    done = [repeat for repeat, _ in desk.done]
    units = {spec.name: spec.unit for _, spec in metrics_of(run.plan.trial)}
    return {
        "metrics": desk.measures.describe(done),
        "checks": [
            {
                "metric": result.check.metric,
                "kind": result.check.kind,
                "line": result.check.line,
                "limit": result.check.limit,
                "limit_text": result.check.text,
                "unit": units[result.check.metric],
                "cell": result.place[0],
                "repeat": result.place[1],
                "value": result.value,
                "ok": result.ok,
            }
            for result in desk.measures.check(done)
        ],
    }


_UNKNOWN: Final = dict.fromkeys(
    (
        "go", "t0", "lead_s", "confirm_s", "ended", "failed",
        "skew_s", "skew_bound_s", "latest_node", "earliest_node", "delayed_by", "way", "at",
    )
)  # fmt: skip

"""Of a phase that was not started, or did not end: a script finds every field in every phase."""


def _phases(run: Told) -> list[dict[str, Any]]:
    """Return each phase that was started, with its skew; and each go that was aborted."""
    found: dict[str, dict[str, Any]] = {}
    for record in run.desk.history.phases:
        cell, repeat, name = parse_phase(record.phase)
        place = {"cell": cell, "repeat": repeat, "phase": name}
        entry = found.setdefault(record.phase, {**place, **_UNKNOWN, "aborted": []})
        match record:
            case PhaseStarted():
                entry |= _started(record)
            case PhaseAborted():
                entry["aborted"].append(
                    {"go": record.go, "reasons": dict(record.reasons), "started": list(record.started)}
                )
            case PhaseEnded():
                entry |= _ended(record)
    _add_offsets(run, found)
    return list(found.values())


def _started(record: PhaseStarted) -> dict[str, Any]:
    return {
        "go": record.go,
        "t0": record.t0_ns / NS,
        "lead_s": record.lead_ns / NS,
        "confirm_s": record.confirm_ns / NS if record.confirm_ns else None,
    }


def _add_offsets(run: Told, found: dict[str, dict[str, Any]]) -> None:
    """Add to each phase how well the offsets of its starts were kept."""
    starts: dict[str, list[tuple[str, StepStarted]]] = {}
    for (node, step, _), start in run.desk.history.started.items():
        starts.setdefault(StepId.parse(step).phase_id, []).append((node, start))
    for record in run.desk.history.phases:
        if isinstance(record, PhaseStarted):
            found[record.phase]["at"] = offsets_of(record.t0_ns, starts.get(record.phase, ()))


def _ended(record: PhaseEnded) -> dict[str, Any]:
    known = record.skew_ns is not None and record.skew_bound_ns is not None
    return {
        "ended": record.t_ns / NS,
        "failed": record.failed,
        "skew_s": record.skew_ns / NS if known and record.skew_ns is not None else None,
        "skew_bound_s": record.skew_bound_ns / NS if known and record.skew_bound_ns is not None else None,
        "latest_node": record.latest_node or None,
        "earliest_node": record.earliest_node or None,
        "delayed_by": record.delayed_by or None,
        "way": record.way or None,
    }


def _steps(run: Told) -> list[dict[str, Any]]:
    history = run.desk.history
    keys = dict.fromkeys([*history.started, *history.finished])
    missing = run.desk.measures.missing
    steps = [
        _step(_place(run, node, step), attempt, history.started.get(key), history.finished.get(key))
        | ({} if key in history.finished else _without_end(run.lost.get(node)))
        | _without(missing.get(key, ()))
        for key in keys
        for node, step, attempt in [key]
    ]
    skipped = [
        _place(run, node, step) | {"state": "skipped", "why": skip.message}
        for (node, step), skip in history.skipped.items()
    ]
    return steps + skipped


def _step(
    place: dict[str, Any], attempt: int, start: StepStarted | None, end: StepFinished | None
) -> dict[str, Any]:
    entry = place | {"attempt": attempt, "state": "finished" if end else "unknown"}
    if start is not None:
        entry |= {
            "started": start.t_ns / NS,
            "started_bound_s": start.bound_ns / NS if start.bound_ns >= 0 else None,
            "started_event": start.event,
            "planned": start.planned_ns / NS if start.planned_ns else None,
            "late_s": late_s(start),
            "way": start.way or None,
            "way_why": start.way_why or None,
        }
    if end is not None:
        entry |= {
            "reason": end.reason,
            "failed": end.failed,
            "retried": end.retried,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "message": end.message,
            "duration_s": end.duration_ns / NS,
            "seen_late_s": end.seen_late_ns / NS,
            "stdout_bytes": end.stdout_bytes,
            "stderr_bytes": end.stderr_bytes,
            "user_s": end.user_s,
            "system_s": end.system_s,
            "max_rss_kib": end.max_rss_kib,
            "pipe_held": end.pipe_held,
            "survivors": list(end.survivors),
        }
    return entry


def _without_end(why: str | None) -> dict[str, Any]:
    """Return what is told of an attempt whose end nobody reported: its node or the run was lost."""
    if why is None:
        return {"reason": "unknown", "message": "its end is not known"}
    return {"reason": "lost", "message": f"its end is not known: {why}"}


def _without(metrics: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what is changed by metrics that were not found: whatever its exit code, the step has failed."""
    if not metrics:
        return {}
    return {"failed": True, "missing_metrics": [{"name": name, "why": why} for name, why in metrics]}


def _place(run: Told, node: str, step: str) -> dict[str, Any]:
    repeat, phase, role, label, cell = StepId.parse(step)
    place = {"cell": cell, "repeat": repeat, "phase": phase, "role": role, "step": label, "node": node}
    source = run.plan.source(step)
    if source is None:
        return place
    origin = {"origin": source.origin} if source.origin else {}
    return place | {"line": source.line, **origin, "verb": source.verb, "command": source.command}


def _nodes(run: Told) -> dict[str, Any]:
    roles = run.plan.roles_by_node
    return {
        name: {
            "roles": list(roles.get(name, ())),
            "addresses": dict(info.addresses),
            "labels": list(info.labels),
            "facts": dict(info.facts),
            "lost": run.lost.get(name),
            "passed_over": name in run.desk.spared,
        }
        for name, info in run.nodes.items()
    }


def result_text(result: Mapping[str, Any], limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the result as the broker keeps it: without its longest parts if it is over the limit."""
    kept, left = dict(result), {}
    text = json.dumps(kept)
    for part in ("steps", "phases", "checks", "cells", "metrics", "nodes"):
        if len(text) <= limit_bytes:
            break
        left[part] = len(kept.pop(part))
        text = json.dumps({**kept, "counts": left, "complete": "result.json of the bundle"})
    while len(text) > limit_bytes and kept["why"]:
        kept["why"] = kept["why"][: len(kept["why"]) // 2]
        text = json.dumps({**kept, "counts": left, "complete": "result.json of the bundle"})
    return text
