"""report.html: what a run came to, on one page that needs nothing else."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fabric.protocol.names import StepId
from fabric.report.paths import stream_path
from fabric.report.plots import Column, dots
from fabric.report.quantities import beside, duration, lasted, quantity, size
from fabric.report.results import INFRASTRUCTURE, missing_metrics
from fabric.report.style import printable, printable_lines
from fabric.report.summary import untold
from fabric.report.tails import tail

REPORT: Final = "report.html"

MAX_FAILURES: Final = 50
"""Most failed steps whose last output is shown."""

MAX_ROWS: Final = 2000
"""Most rows of a table: a browser scrolls through so many without effort."""

MAX_HELD: Final = 10
"""Most checks that hold and are shown at once: more of them are behind a click."""

TAIL_BYTES: Final = 4096
"""Of each stream of a failed step so many of the last bytes are shown."""

NS: Final = 1e9


def render(result: Mapping[str, Any], bundle: Path) -> str:
    """Return the page.

    Args:
        result: The content of result.json.
        bundle: The directory that has out/; the last output of failed steps is read there.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    loader = PackageLoader("fabric.report", "templates")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(["j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    return environment.get_template("report.html.j2").render(_page(result, bundle))


def _harmless(value: Any) -> Any:
    """Return a value without what moves cursors and hides text: who copies from the page has a terminal."""
    return printable_lines(value) if type(value) is str else value  # Markup is our own


_EMPTY: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("name", "run", "file", "verdict"), ""),
    **dict.fromkeys(("exit_code", "started", "duration_s", "seed")),
    **dict.fromkeys(("why", "checks", "metrics", "phases", "steps", "cells"), ()),
    "nodes": {},
    "matrix": {},
    "versions": {},
}
"""A run that broke off at its beginning has less to tell."""


def _page(result: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    result = {**_EMPTY, **result}
    cells = {cell["cell"]: cell_name(cell) for cell in result["cells"]}
    values = {cell["cell"]: printable(", ".join(cell["variables"].values())) for cell in result["cells"]}
    spared = {name for name, node in result["nodes"].items() if node.get("passed_over")}
    failures = [
        step
        for step in result["steps"]
        if step.get("failed")
        and not step.get("retried")
        and not (step.get("node") in spared and step.get("reason") in INFRASTRUCTURE)
    ]
    started = result["started"]
    return {
        "name": result["name"],
        "run": result["run"],
        "file": result["file"],
        "verdict": result["verdict"],
        "exit_code": result["exit_code"],
        "why": untold(result),
        "started": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if started else "",
        "duration": duration(round(result["duration_s"] * NS)) if result["duration_s"] is not None else "",
        "seed": result["seed"],
        "version": result["versions"].get("testfabric", ""),
        **_checks(result["checks"], cells),
        "metrics": [_metric(metric, cells, values) for metric in result["metrics"] if metric["cells"]],
        "varied": ", ".join(result["matrix"]),
        **_phases(result["phases"]),
        **_steps(result["steps"]),
        "failures": [_failure(step, bundle) for step in failures[:MAX_FAILURES]],
        "failures_left": max(0, len(failures) - MAX_FAILURES),
        "nodes": [_node(name, node) for name, node in result["nodes"].items()],
    }


def cell_name(cell: Mapping[str, Any]) -> str:
    """Return how people call a cell: by what is varied."""
    return printable(", ".join(f"{name}={value}" for name, value in cell["variables"].items())) or "all"


def _checks(checks: Sequence[Mapping[str, Any]], cells: Mapping[int, str]) -> dict[str, Any]:
    """Show what does not hold, then what does, up to a limit."""
    ordered = sorted(checks, key=lambda check: bool(check["ok"]))
    rows = [
        {
            "name": f"{check['metric']}.{check['kind']}",
            "limit": check["limit_text"],
            "value": "none"
            if check["value"] is None
            else beside(check["value"], check["limit"], check["unit"]),
            "where": _where(check, cells),
            "ok": check["ok"],
        }
        for check in ordered[:MAX_ROWS]
    ]
    failed, held = [row for row in rows if not row["ok"]], [row for row in rows if row["ok"]]
    parts = [{"rows": failed, "closed": False}, {"rows": held, "closed": len(held) > MAX_HELD}]
    return {"checks": [part for part in parts if part["rows"]], "checks_left": max(0, len(checks) - MAX_ROWS)}


def _where(place: Mapping[str, Any], cells: Mapping[int, str]) -> str:
    repeat = f"repeat {place['repeat']}"
    return f"{cells.get(place['cell'], '')}, {repeat}" if place["cell"] else repeat


def _metric(metric: Mapping[str, Any], cells: Mapping[int, str], values: Mapping[int, str]) -> dict[str, Any]:
    from markupsafe import Markup

    unit = metric["unit"]
    names = {cell["cell"]: cells.get(cell["cell"], "") for cell in metric["cells"]}
    columns = [
        Column(values.get(cell["cell"], ""), [repeat["value"] for repeat in cell["repeats"]])
        for cell in metric["cells"]
    ]
    numbers = ("median", "mean", "min", "max", "stdev")
    return {
        "name": metric["name"],
        "unit": unit,
        "plot": Markup(dots(columns, unit)),  # noqa: S704 - made of numbers and escaped labels
        "cells": [
            {"name": names[cell["cell"]], "n": cell["n"]}
            | {name: "" if cell[name] is None else quantity(cell[name], unit) for name in numbers}
            for cell in metric["cells"][:MAX_ROWS]
        ],
    }


def _phases(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    from markupsafe import Markup

    measured = [phase for phase in phases if phase.get("skew_s") is not None]
    columns = [
        Column(_phase_name(phase), [phase["skew_s"] * 1e3], [phase["skew_bound_s"] * 1e3])
        for phase in measured
    ]
    return {
        "skew_plot": Markup(dots(columns, "ms")),  # noqa: S704 - made of numbers and escaped labels
        "phases": [_phase(phase) for phase in phases[:MAX_ROWS]],
        "phases_left": max(0, len(phases) - MAX_ROWS),
    }


def _phase_name(phase: Mapping[str, Any]) -> str:
    cell = f"{phase['cell']}." if phase.get("cell") else ""
    return f"{cell}{phase['repeat']}/{phase['phase']}"


def _phase(phase: Mapping[str, Any]) -> dict[str, str]:
    skew, bound, t0, ended = (phase.get(key) for key in ("skew_s", "skew_bound_s", "t0", "ended"))
    aborted = len(phase.get("aborted", ()))
    return {
        "name": _phase_name(phase),
        "skew": "" if skew is None else f"{skew * 1e3:.3f} ms",
        "bound": "" if bound is None else f"\N{PLUS-MINUS SIGN} {bound * 1e3:.3f} ms",
        "earliest": phase.get("earliest_node") or "",
        "latest": phase.get("latest_node") or "",
        "way": phase.get("way") or "",
        "delayed": phase.get("delayed_by") or "",
        "lead": f"{phase['lead_s'] * 1e3:.0f} ms" if phase.get("lead_s") else "",
        "took": duration(round((ended - t0) * NS)) if t0 and ended else "",
        "note": f"{aborted} go aborted" if aborted else "",
    }


def _steps(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ordered = sorted(steps, key=lambda step: not step.get("failed"))
    return {
        "steps": [_step(step) for step in ordered[:MAX_ROWS]],
        "steps_left": max(0, len(steps) - MAX_ROWS),
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    ended = step["state"] == "finished"
    return {
        "place": _step_name(step),
        "node": step["node"],
        "command": step.get("command", ""),
        "failed": step.get("failed", False),
        "message": f"{step['message']}{missing_metrics(step)}" if ended else step.get("why", step["state"]),
        "duration": lasted(round(step["duration_s"] * NS), round(step.get("seen_late_s", 0) * NS))
        if ended
        else "",
        "stdout": size(step["stdout_bytes"]) if ended else "",
        "stderr": size(step["stderr_bytes"]) if ended else "",
        "cpu": duration(round((step["user_s"] + step["system_s"]) * NS)) if ended else "",
    }


def _step_name(step: Mapping[str, Any]) -> str:
    attempt = step.get("attempt", 1)
    again = f", attempt {attempt}" if attempt > 1 else ""
    return f"{_phase_name(step)}/{step['role']} {step['step']}{again}"


def _failure(step: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    place = StepId(step["repeat"], step["phase"], step["role"], step["step"], step.get("cell", 0))
    streams = []
    for name in ("stderr", "stdout"):
        path = stream_path(step["node"], place, step["attempt"], name)
        text = tail(bundle / path, TAIL_BYTES)
        if text:
            streams.append({"name": name, "path": path, "text": text})
    return _step(step) | {"line": step.get("line"), "streams": streams}


def _node(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    named = [
        f"{address} ({network})" if network else address for network, address in node["addresses"].items()
    ]
    return {
        "name": name,
        "lost": node.get("lost") or "",
        "roles": ", ".join(node["roles"]),
        "addresses": ", ".join(named),
        "labels": ", ".join(node["labels"]),
        "facts": ", ".join(f"{key} {value}" for key, value in node["facts"].items()),
    }
