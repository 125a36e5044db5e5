"""PURE.  A plan as JSON: every step of every cell on every node, with all that it gets."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, Final

from fabric.controller.document import plan_document
from fabric.controller.plan import RunPlan
from fabric.protocol.messages import Step
from fabric.trial.drafts import AT, Draft, Form, drafts, values_of

_LEFT_OUT: Final = ("files", "target", "repeat")
"""What is known only when the run begins; a put says its sources, a stop the name of what it stops."""


def plan_json(plan: RunPlan) -> Iterator[str]:
    """Yield the text of a JSON object, piece by piece: a line for each step of a cell on a node.

    ``plan`` is what plan.json holds; ``steps`` has the steps of the cells, each with ``cell``, ``node`` and
    its whole environment, but for `$repeat`.
    """
    yield f'{{"format": 1, "plan": {json.dumps(plan_document(plan))}, "steps": ['
    separator = "\n"
    for cell in plan.cells:
        for draft in drafts(plan.trial, cell, plan.roles[cell.number], plan.addresses):
            if draft.source.phase not in plan.phases:
                continue
            form = Form(json.dumps({"cell": cell.number, **_fields(plan, draft)}), is_json=True)
            nodes = values_of(draft.source, draft.nodes, plan.addresses, plan.trial.network)
            lines = [form.fill(values) for values in nodes]
            yield separator + ",\n".join(lines)
            separator = ",\n"
    yield "\n]}\n"


def _fields(plan: RunPlan, draft: Draft) -> dict[str, Any]:
    source, step = draft.source, draft.step
    found: dict[str, Any] = {
        "phase": source.phase,
        "role": source.role,
        "step": source.label,
        "node": step.env["my_name"],
        "line": source.line,
        **{field.name: getattr(step, field.name) for field in fields(Step) if _is_shown(field, step)},
    }
    found["env"] = {name: value for name, value in step.env.items() if value != "$repeat"}
    found["at_s"] = AT
    if step.stdin is not None:
        found["stdin"] = step.stdin.decode()
    if step.ready is not None:
        ready = step.ready
        found["ready"] = {
            field.name: getattr(ready, field.name) for field in fields(ready) if _is_shown(field, ready)
        }
    if source.verb == "spawn":
        found["until"] = plan.ends(source)[0]
    if source.put:
        found["put"] = [{"source": put.source, "target": put.target} for put in source.put]
    if source.stop:
        found["stop"] = source.stop
    return found


def _is_shown(field: Any, owner: Any) -> bool:
    """Whether a field is always there, or says something."""
    if field.name in _LEFT_OUT or field.name == "step":
        return False
    default = field.default if field.default is not MISSING else None
    if field.default_factory is not MISSING:
        default = field.default_factory()
    is_required = field.default is MISSING and field.default_factory is MISSING
    return is_required or getattr(owner, field.name) != default
