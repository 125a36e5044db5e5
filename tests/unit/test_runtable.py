"""What `fabric runs RUN` says of the phases."""

from fabric.cli.runtable import details
from fabric.protocol.messages import PhaseInfo, RunDetails, RunInfo

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


def test_columns_of_which_nothing_is_known_are_not_shown() -> None:
    """Most runs have one node, and no skew."""
    head, _ = lines_of(phase("1/run"))
    assert head.split() == ["PHASE", "GO", "T0", "LEAD", "SKEW", "ENDED"]
