"""Makes the bundle of a run from what the broker has stored, at any time."""

import json
from pathlib import Path
from typing import Any, Final

from fabric import __version__
from fabric.controller.connection import Connection
from fabric.controller.tail import RunTail
from fabric.controller.upkeep import document, run_details
from fabric.controller.verdict import EXIT_CODES
from fabric.protocol.messages import RunInfo
from fabric.report.bundle import BundleWriter

_NODE: Final[dict[str, Any]] = {"roles": [], "addresses": {}, "labels": [], "facts": {}, "lost": None}


def write_bundle(connection: Connection, run: str, directory: Path, *, latest: bool = False) -> Path:
    """Write what is stored of a run by now, by the same writer that makes bundles of running runs.

    Of a run that is open, or whose controller died, it is what there is: ``result.json`` says so.

    Args:
        connection: To the broker.
        run: Its whole id.
        directory: The bundle becomes a directory of the run's id in it.
        latest: Let ``latest`` in the directory point to it.

    Returns:
        The bundle's directory.

    Raises:
        UsageError: If it is there already.
        FabricError: If it cannot be read or written.
    """
    info = run_details(connection, run).info
    trial, plan = document(connection, run, "trial"), document(connection, run, "plan")
    bundle = BundleWriter(directory / run)
    try:
        bundle.write_inputs(trial, json.dumps(json.loads(plan), indent=2) + "\n" if plan else "{}\n")
        tail = RunTail(connection, info)
        while not tail.done:
            for read in tail.turn():
                bundle.write(read)
        bundle.finish(_result(connection, info, tail.next - 1), latest=latest)
    finally:
        bundle.close()
    return bundle.directory


def _result(connection: Connection, info: RunInfo, records: int) -> dict[str, Any]:
    """Return what was stored as the result, and behind it what is known without it."""
    stored = document(connection, info.run, "result")
    result: dict[str, Any] = json.loads(stored) if stored else {}
    known = {
        "format": 1,
        "run": info.run,
        "name": info.name,
        "file": "trial.toml",
        "verdict": info.verdict or "error",
        "exit_code": EXIT_CODES["error"],
        "why": [] if info.verdict else [f"the run was open when record {records} was its last one"],
        "started": info.opened_ns / 1e9,
        "duration_s": (info.closed_ns - info.opened_ns) / 1e9 if info.closed_ns else None,
        **{name: [] for name in ("cells", "phases", "steps", "metrics", "checks", "missing_nodes")},
        "matrix": {},
        "nodes": dict.fromkeys(info.nodes, _NODE),
        "versions": {"testfabric": __version__},
    }
    return known | result
