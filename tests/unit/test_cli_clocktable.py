"""What the nodes know of the time, as people see it."""

from typing import Any

from fabric.cli.clocktable import clocks_of, details_of
from fabric.protocol.messages import KernelClock, NodeClock, NodeInfo

S = 1_000_000_000
NOW_NS = 1_764_000_000 * S


def node(name: str, clock: NodeClock | None, state: Any = "free") -> NodeInfo:
    return NodeInfo(
        name=name, state=state, incarnation=1, labels=(), addresses={}, facts={}, run="", heard_ns=NOW_NS,
        clock=clock,
    )  # fmt: skip


def known(**changes: Any) -> NodeClock:
    fields: dict[str, Any] = {
        "epoch": 1, "told_ns": NOW_NS, "asked_ns": NOW_NS - 2 * S,
        "offset_ns": 1_763_990_000 * S + 123_456_789, "bound_ns": 84_000,
        "rtt_ns": 170_000, "wall_ns": -3_210_000,
        "contradictions": 0,
    }  # fmt: skip
    return NodeClock(**(fields | changes))


def kernel(**changes: Any) -> KernelClock:
    fields: dict[str, Any] = {
        "synchronised": True, "maxerror_ns": 1_500_000, "esterror_ns": 0, "frequency_ppb": 12_000,
        "tick_ppb": 0, "status": 0,
    }  # fmt: skip
    return KernelClock(**(fields | changes))


def test_each_node_has_a_line_with_its_bound_and_its_kernels_view() -> None:
    """Who wants a small skew proven has to see at once which node stands in the way."""
    lines = clocks_of(
        [
            node("lab1", known(kernel=kernel(), drift_ppb=-12_300, drift_bound_ppb=4_000)),
            node("lab2", known(kernel=kernel(synchronised=False, tick_ppb=83_333_000), contradictions=2)),
            node("lab3", known(), state="away"),
            node("lab4", None),
        ],
        NOW_NS,
    )
    assert lines[0].split()[:4] == ["NODE", "STATE", "BOUND", "ROUND"]
    wanted = "lab1 free 0.084 ms 0.17 ms 2 s +1763990000.123456 s -12.3 ± 4.0 ppm -3.21 ms"
    assert " ".join(lines[1].split()) == f"{wanted} synchronised, off by 1.5 ms at most -"
    assert "not synchronised, slewed by +83333 ppm" in lines[2]
    assert lines[2].endswith("contradicted 2 times")
    assert lines[3].split() == ["lab3", "away", *"--------"], "what it knew is of another time"
    assert lines[4].split() == ["lab4", "free", *"--------"]


def test_of_one_node_the_same_is_told() -> None:
    """Beside its other facts; what is not known is left out."""
    rows = details_of(known(offset_ns=-1_500), NOW_NS)
    assert rows["clock offset"] == "-0.000001 s"
    assert rows["clock asked"] == "2 s ago"
    assert "clock drift" not in rows
    assert "kernel_clock" not in rows
