"""What `fabric runs RUN` says of the phases."""

from dataclasses import replace

from fabric.cli.runtable import details, was_passed_over
from fabric.protocol.messages import PhaseInfo, RunDetails, RunInfo, StepInfo

INFO = RunInfo(
    run="20260301-102207-ping-k3f9",
    name="ping",
    state="closed",
    verdict="pass",
    operator="ada",
    opened_ns=1_000_000_000,
    closed_ns=9_000_000_000,
    nodes=("lab1", "lab2"),
    last=12,
)


def phase(name: str, **facts: object) -> PhaseInfo:
    known = {"go": 1, "t0_ns": 2_000_000_000, "lead_ns": 20_000_000, "skew_ns": None, "skew_bound_ns": None}
    return PhaseInfo(phase=name, **{**known, "failed": False, **facts})  # type: ignore[arg-type]


def lines_of(*phases: PhaseInfo) -> list[str]:
    known = RunDetails(
        request=1, info=INFO, phases=phases, failed=(), phase_count=len(phases), step_count=0, failed_count=0
    )
    lines = details(known, (), 10_000_000_000)
    return lines[lines.index("") + 1 :]


def test_of_a_start_it_is_said_who_was_first_and_last_and_why() -> None:
    """Who looks up a run of last week wants to know which node to look at, and for what."""
    started = phase(
        "1/run",
        skew_ns=310_000,
        skew_bound_ns=100_000,
        earliest_node="lab1",
        latest_node="lab2",
        way="exec_stop",
        delayed_by="its launcher woke 0.2 ms late",
    )
    head, row, quiet = lines_of(started, phase("1/reset"))
    assert head.split()[5:] == ["ENDED", "EARLIEST", "LATEST", "HELD", "WHY"]
    assert row.split()[-9:] == ["lab1", "lab2", "exec_stop", "its", "launcher", "woke", "0.2", "ms", "late"]
    assert "0.31 ms ± 0.1 ms" in row
    assert quiet.split()[-4:] == ["-"] * 4


def test_what_a_quorum_did_without_is_not_told_as_a_failure() -> None:
    """The run has passed: "1 of 4 steps failed" would send people looking for what is wrong."""
    step = StepInfo(
        node="lab2", step="1/run/a/a-1", attempt=1, reason="lost", exit_code=None, signal=None,
        started_ns=None, finished_ns=None, message="the agent was restarted",
    )  # fmt: skip
    known = RunDetails(
        request=1, info=INFO, phases=(), failed=(step,), phase_count=1, step_count=4, failed_count=1
    )
    told = details(known, (), 10_000_000_000)
    assert "1 of 4 steps are of nodes that were lost, and the quorum held:" in told
    assert was_passed_over(known)
    failed = replace(known, info=replace(INFO, verdict="error"))
    assert "1 of 4 steps failed:" in details(failed, (), 10_000_000_000)


def test_columns_of_which_nothing_is_known_are_not_shown() -> None:
    """Most runs have one node, and no skew."""
    head, _ = lines_of(phase("1/run"))
    assert head.split() == ["PHASE", "GO", "T0", "LEAD", "SKEW", "ENDED"]
