"""PURE.  plan.json: what a run is to do, in plain JSON values."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from fabric.controller.plan import RunPlan
from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.trial.model import TrialStep
from fabric.trial.variables import address, shared_variables

_ALWAYS: Final = (
    *("phase", "role", "label", "line", "verb", "argv", "env", "dir", "timeout_s", "at_s", "until", "ok"),
    *("on_fail", "when", "signal", "grace_s"),
)
"""Keys of a step that are written whatever they are; the others only if they say something."""


def plan_document(plan: RunPlan) -> dict[str, Any]:
    """Return what plan.json holds: every command, node, cell and repeat.

    A step's environment on a node is ``variables`` and those of its cell, then ``me`` (the node's
    address), ``my_name``, ``my_role``, ``my_index`` (the node's place in its role) and ``repeat``, then
    ``env``, then the step's own ``env``; a `$name` in these two stands for what was before.  A role has the
    same nodes in all cells, or in each cell the number of a list in ``groups``; its variables follow from
    that.  So the plan grows with the nodes plus the steps plus the cells, not with their product: it has to
    fit into a message.
    """
    trial = plan.trial
    roles, groups, by_cell = _grouped(plan)
    return {
        "format": 1,
        "trial": {
            "name": trial.name,
            "file": trial.path,
            "timeout_s": trial.timeout_s,
            "max_skew_s": trial.max_skew_s,
            "lead_s": trial.lead_s,
            "on_lost": trial.on_lost,
            "order": trial.order,
            "quorum": trial.quorum,
            "network": trial.network,
        },
        "seed": plan.seed,
        "repeats": sum(not repeat.is_warmup for repeat in plan.repeats) // len(plan.cells),
        "warmup": sum(repeat.is_warmup for repeat in plan.repeats) // len(plan.cells),
        "phases": list(plan.phases),
        "cycle": list(trial.cycle),
        "matrix": {name: list(values) for name, values in trial.matrix.items()},
        "cells": [
            {"cell": cell.number, "variables": dict(cell.variables), "roles": by_cell[cell.number]}
            for cell in plan.cells
        ],
        "groups": groups,
        "specs": {role: list(texts) for role, texts in trial.roles.items()},
        "roles": roles,
        "missing": dict(plan.missing),
        "variables": _variables(plan, roles),
        "env": dict(trial.env),
        "set": list(trial.sets),
        "resumes": [source.document() for source in plan.resumes],
        "nodes": {node: {"address": address(node, plan.addresses, trial.network)} for node in plan.nodes},
        "steps": [_step(plan, step) for step in trial.steps if step.phase in plan.phases],
    }


def plan_text(document: Mapping[str, Any], limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the document as the broker keeps it: without its longest parts if it is over the limit."""
    whole = json.dumps(document)
    if len(whole) <= limit_bytes:
        return whole
    counted = {name: len(value) for name, value in document.items() if name in ("cells", "nodes", "steps")}
    kept = {
        name: document[name]
        for name in ("format", "trial", "seed", "repeats", "warmup", "phases", "cycle", "resumes")
    }
    return json.dumps({**kept, "counts": counted, "complete": "plan.json of the bundle"})


def _grouped(plan: RunPlan) -> tuple[dict[str, list[str]], list[list[str]], dict[int, dict[str, int]]]:
    """Return the roles that are the same in all cells; lists of nodes; for each cell its other roles."""
    cells = list(plan.roles.values())
    same = {role for role in cells[0] if len({roles[role] for roles in cells}) == 1}
    numbers: dict[tuple[str, ...], int] = {}
    by_cell = {
        number: {
            role: numbers.setdefault(nodes, len(numbers)) for role, nodes in roles.items() if role not in same
        }
        for number, roles in plan.roles.items()
    }
    return {role: list(cells[0][role]) for role in cells[0] if role in same}, [*map(list, numbers)], by_cell


def _variables(plan: RunPlan, roles: Mapping[str, list[str]]) -> dict[str, str]:
    shared = shared_variables(plan.trial, plan.cells[0], plan.roles[plan.cells[0].number], plan.addresses)
    return {name: shared[name] for role in roles for name in (role, f"{role}_all")}


def _step(plan: RunPlan, step: TrialStep) -> dict[str, Any]:
    fields = asdict(step) | {"until": plan.ends(step)[0] if step.verb == "spawn" else None}
    fields["env"] = dict(step.env)
    del fields["metrics"]
    found = {name: value for name, value in fields.items() if name in _ALWAYS or value != _DEFAULTS.get(name)}
    found["step"] = found.pop("label")
    if files := plan.puts.get((step.phase, step.role, step.label)):
        found["files"] = [[file.path, file.sha256] for file in files]
    if step.metrics:
        found["metrics"] = [metric.name for metric in step.metrics]
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """Return a value with the types that JSON has."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


_DEFAULTS: Final = {
    name: field.default_factory() if callable(field.default_factory) else field.default
    for name, field in TrialStep.__dataclass_fields__.items()
}
