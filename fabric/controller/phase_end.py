"""PURE.  The end of a phase: how far apart its nodes have started, and whether that was too far."""

from fabric.controller.desk import Desk
from fabric.controller.skew import Skew, excess, skew_of
from fabric.protocol.records import PhaseEnded


def phase_ended(desk: Desk, phase_id: str, t0_ns: int, now_ns: int) -> PhaseEnded:
    """Return the record of the end of a phase; note a skew that is not within the limit of the trial."""
    skew = judge_skew(desk, phase_id, t0_ns)
    t, bound = desk.fabric(now_ns)
    return PhaseEnded(
        t_ns=t,
        bound_ns=bound,
        phase=phase_id,
        failed=phase_id in desk.failed_phases,
        skew_ns=skew.skew_ns if skew else None,
        skew_bound_ns=skew.bound_ns if skew else None,
        latest_node=skew.latest_node if skew else "",
        earliest_node=skew.earliest_node if skew else "",
        way=skew.way if skew else "",
        delayed_by=skew.delayed_by if skew else "",
    )


def judge_skew(desk: Desk, phase_id: str, t0_ns: int) -> Skew | None:
    """Return how far apart the nodes have started, once; note it if that was too far."""
    limit_s = desk.plan.trial.max_skew_s
    starts = desk.history.starts.pop(phase_id, [])
    skew = skew_of(t0_ns, starts)
    if skew is not None and (over := excess(skew, limit_s)):
        desk.findings.add("invalid", f"phase {phase_id}: {over}")
    without = sorted({node for node, start in starts if start.go and start.bound_ns < 0})
    if limit_s is not None and without:
        desk.findings.add(
            "invalid", f"phase {phase_id}: the skew is not known: {without[0]} has no clock bound"
        )
    return skew
