"""What the nodes know of the time, for people."""

from collections.abc import Sequence

from fabric.cli.table import since, table
from fabric.protocol.messages import KernelClock, NodeClock, NodeInfo
from fabric.report.quantities import duration

_HEAD = ("NODE", "STATE", "BOUND", "ROUND TRIP", "ASKED", "OFFSET", "DRIFT", "WALL CLOCK", "KERNEL", "NOTE")


def clocks_of(nodes: Sequence[NodeInfo], now_ns: int) -> list[str]:
    """Return a line for each node.  ``now_ns`` is fabric time."""
    return table(_HEAD, [_row(node, now_ns) for node in nodes])


def details_of(clock: NodeClock, now_ns: int) -> dict[str, str]:
    """Return what is told of one node's clock, by name."""
    rows = {
        "clock bound": duration(clock.bound_ns),
        "clock round trip": duration(clock.rtt_ns),
        "clock asked": f"{since(clock.asked_ns, now_ns)} ago",
        "clock offset": _offset(clock),
        "clock drift": _drift(clock),
        "wall clock": _signed(clock.wall_ns),
        "kernel_clock": _kernel(clock.kernel),
        "clock note": _note(clock),
    }
    return {name: value for name, value in rows.items() if value}


def _row(node: NodeInfo, now_ns: int) -> tuple[str, ...]:
    clock = node.clock
    if clock is None or node.state in ("away", "revoked"):
        return (node.name, node.state, *[""] * (len(_HEAD) - 2))
    return (
        node.name,
        node.state,
        duration(clock.bound_ns),
        duration(clock.rtt_ns),
        since(clock.asked_ns, now_ns),
        _offset(clock),
        _drift(clock),
        _signed(clock.wall_ns),
        _kernel(clock.kernel),
        _note(clock),
    )


def _offset(clock: NodeClock) -> str:
    seconds, rest_ns = divmod(abs(clock.offset_ns), 1_000_000_000)
    sign = "-" if clock.offset_ns < 0 else "+"
    return f"{sign}{seconds}.{rest_ns // 1000:06} s"


def _drift(clock: NodeClock) -> str:
    if clock.drift_ppb is None:
        return ""
    return f"{clock.drift_ppb / 1000:+.1f} ± {clock.drift_bound_ppb / 1000:.1f} ppm"


def _signed(ns: int) -> str:
    return f"{'-' if ns < 0 else '+'}{duration(abs(ns))}"


def _kernel(kernel: KernelClock | None) -> str:
    if kernel is None:
        return ""
    slewed = f", slewed by {kernel.tick_ppb / 1000:+.0f} ppm" if kernel.tick_ppb else ""
    if not kernel.synchronised:
        return f"not synchronised{slewed}"
    return f"synchronised, off by {duration(kernel.maxerror_ns)} at most{slewed}"


def _note(clock: NodeClock) -> str:
    if not clock.contradictions:
        return ""
    return f"contradicted {clock.contradictions} time{'s' if clock.contradictions > 1 else ''}"
