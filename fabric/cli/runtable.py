"""Runs, for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from fabric.cli.instants import utc
from fabric.cli.table import table
from fabric.protocol.messages import PhaseInfo, RunDetails, RunInfo, StepInfo
from fabric.report.fold import folded
from fabric.report.quantities import duration, size
from fabric.report.results import INFRASTRUCTURE
from fabric.report.style import printable


def table_of(runs: Sequence[RunInfo], now_ns: int) -> list[str]:
    """Return a line for each run.  ``now_ns`` is fabric time."""
    rows = [
        (
            info.run,
            info.name,
            info.verdict or info.state,
            utc(info.opened_ns),
            _took(info, now_ns),
            size(info.size_bytes) if info.size_bytes else "",
            info.operator,
            folded(info.nodes, limit=60),
        )
        for info in runs
    ]
    return table(("RUN", "TRIAL", "VERDICT", "OPENED", "TOOK", "SIZE", "OPERATOR", "NODES"), rows)


def details(known: RunDetails, whys: Sequence[str], now_ns: int, origin_ns: int | None = None) -> list[str]:
    """Return what there is to say of a run: how it ended and why, phase by phase, what failed.

    ``origin_ns`` is the instant from which `fabric-tail` counts: the run's first record, if it has one.
    """
    info = known.info
    rows = {
        "run": info.run,
        "trial": info.name,
        "state": info.state,
        "verdict": info.verdict or "-",
        "operator": info.operator,
        "opened": utc(info.opened_ns),
        "closed": utc(info.closed_ns) if info.closed_ns else "-",
        "took": _took(info, now_ns),
        "nodes": folded(info.nodes),
        "records": f"{info.last}, {size(info.size_bytes)} on the broker's disk",
        "read it": f"fabric-tail {info.run}",
        "bundle": f"fabric runs bundle {info.run}",
    }
    lines = [f"{name:<9} {printable(value)}" for name, value in rows.items()]
    lines += [f"{'why':<9} {printable(why)}" for why in whys]
    lines += _phases(known, info.opened_ns if origin_ns is None else origin_ns)
    return lines + list(_failed(known))


_HEAD: Final = ("PHASE", "GO", "T0", "LEAD", "SKEW", "ENDED", "EARLIEST", "LATEST", "HELD", "WHY")
_ALWAYS: Final = 6
"""So many columns are shown in any case; of the others, those in which something stands."""


def _phases(known: RunDetails, origin_ns: int) -> list[str]:
    if not known.phases:
        return []
    rows = [
        (
            phase.phase,
            str(phase.go) if phase.go else "",
            f"{(phase.t0_ns - origin_ns) / 1e9:.3f} s" if phase.t0_ns else "",
            duration(phase.lead_ns) if phase.lead_ns else "",
            _skew(phase),
            {None: "not over", True: "failed", False: "done"}[phase.failed],
            phase.earliest_node,
            phase.latest_node,
            phase.way,
            phase.delayed_by,
        )
        for phase in known.phases
    ]
    shown = [column for column in range(len(_HEAD)) if column < _ALWAYS or any(row[column] for row in rows)]
    cells = [tuple(row[column] for column in shown) for row in rows]
    more = known.phase_count - len(known.phases)
    earlier = [f"({more} earlier phases)"] if more else []
    return ["", *earlier, *table(tuple(_HEAD[column] for column in shown), cells)]


def _skew(phase: PhaseInfo) -> str:
    if phase.skew_ns is None:
        return ""
    bound = f" ± {duration(phase.skew_bound_ns)}" if phase.skew_bound_ns is not None else ""
    return f"{duration(phase.skew_ns)}{bound}"


def was_passed_over(known: RunDetails) -> bool:
    """Whether the steps that failed are of nodes without which the quorum held: the run has passed."""
    return known.info.verdict == "pass" and all(step.reason in INFRASTRUCTURE for step in known.failed)


def _failed(known: RunDetails) -> Iterator[str]:
    if not known.failed:
        return
    how = "are of nodes that were lost, and the quorum held" if was_passed_over(known) else "failed"
    yield ""
    yield f"{known.failed_count} of {known.step_count} steps {how}:"
    for step in known.failed:
        again = f", attempt {step.attempt}" if step.attempt > 1 else ""
        yield f"  {step.node} {step.step}{again}: {printable(step.message) or step.reason}{_lasted(step)}"
    more = known.failed_count - len(known.failed)
    if more > 0:
        yield f"  and {more} more"


def _lasted(step: StepInfo) -> str:
    if step.started_ns is None or step.finished_ns is None:
        return ""
    return f" after {duration(max(0, step.finished_ns - step.started_ns))}"


def _took(info: RunInfo, now_ns: int) -> str:
    return duration(max(0, (info.closed_ns or now_ns) - info.opened_ns))
