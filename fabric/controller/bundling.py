"""Makes the bundle of a run from what the broker has stored, at any time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fabric.controller.connection import Connection
from fabric.controller.lookup import look_up
from fabric.controller.outcome import result_of
from fabric.controller.resuming import records, taken_over
from fabric.controller.retelling import Retelling, stored_plan
from fabric.controller.takeover import Source
from fabric.controller.upkeep import document, run_details
from fabric.controller.verdict import EXIT_CODES
from fabric.protocol.messages import NodeInfo, RunInfo
from fabric.report.bundle import BundleWriter

_STORED: Final = frozenset(("why", "file", "max_skew_s", "nodes", "missing_nodes", "versions"))
"""Parts of a stored result that its controller knew better than the records tell."""


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
    described: dict[str, Any] = json.loads(plan) if plan else {}
    told = Retelling(run, stored_plan(trial, described), _nodes(info, described))
    bundle = BundleWriter(directory / run)
    try:
        bundle.write_inputs(trial, json.dumps(described, indent=2) + "\n")
        gone = _gone(connection, told.plan.resumes)
        for source, read in taken_over(connection, [one for one in told.plan.resumes if one.run not in gone]):
            if told.read(read, is_own=False):
                bundle.write(read, source)
        number = 0
        for read in records(connection, info):
            if told.read(read):
                bundle.write(read)
            number = read.number
        told.end(info.verdict, number)
        stored: dict[str, Any] = json.loads(document(connection, run, "result") or "{}")
        told.lost = {name: node["lost"] for name, node in stored.get("nodes", {}).items() if node.get("lost")}
        result = _result(stored, info, result_of(told))
        result["why"] += [f"run {run}, which it resumes, is not in the store any more" for run in gone]
        result["why"] += [unfit for unfit in bundle.take_unfit() if unfit not in result["why"]]
        bundle.finish(result, latest=latest)
    finally:
        bundle.close()
    return bundle.directory


def _gone(connection: Connection, sources: Sequence[Source]) -> list[str]:
    """Return the runs that were resumed and have been removed since."""
    return [one.run for one in sources if one.repeats and look_up(connection, one.run) is None]


def _nodes(info: RunInfo, plan: Mapping[str, Any]) -> dict[str, NodeInfo]:
    """Return the nodes of a run with what is stored of them; what they are today says nothing of it."""
    known = plan.get("nodes") or {}
    return {
        name: NodeInfo(
            name=name,
            state="busy",
            incarnation=0,
            labels=(),
            addresses={"": known[name]["address"]} if name in known else {},
            facts={},
            run=info.run,
            heard_ns=0,
        )
        for name in info.nodes
    }


def _result(result: Mapping[str, Any], info: RunInfo, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the records tell, with what only the controller knew and had stored.

    Records may have come after the result was stored, and parts of it may have been too long for that.
    """
    known = {name: value for name, value in result.items() if name in _STORED or name not in told}
    verdict = info.verdict or told["verdict"]
    whys = dict.fromkeys([*result.get("why", ()), *told["why"]]) if "phases" not in result else known["why"]
    ended = {
        "verdict": verdict,
        "exit_code": _exit_code(verdict),
        "why": list(whys),
    }
    started = {"started": told["started"] or info.opened_ns / 1e9}
    whole = {**told, **started, **known, **ended}
    return {name: value for name, value in whole.items() if name not in ("counts", "complete")}


def _exit_code(verdict: str) -> int:
    """Return the code of a verdict; of one that this version does not know, that of an error."""
    return next((code for name, code in EXIT_CODES.items() if name == verdict), EXIT_CODES["error"])
