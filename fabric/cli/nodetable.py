"""Nodes, for people."""

from collections.abc import Sequence

from fabric.cli.clocktable import details_of
from fabric.cli.instants import utc
from fabric.cli.table import since, table
from fabric.protocol.messages import NodeInfo
from fabric.report.style import printable


def table_of(nodes: Sequence[NodeInfo], now_ns: int) -> list[str]:
    """Return a line for each node.  ``now_ns`` is fabric time."""
    rows = [
        (
            node.name,
            node.state,
            node.run,
            node.operator,
            since(node.since_ns, now_ns) if node.since_ns else "",
            _heard(node, now_ns),
            ",".join(node.labels),
            _addresses(node),
            _note(node),
        )
        for node in nodes
    ]
    head = ("NODE", "STATE", "RUN", "OPERATOR", "SINCE", "HEARD", "LABELS", "ADDRESS", "NOTE")
    return table(head, rows)


def details(node: NodeInfo, now_ns: int) -> list[str]:
    """Return all that is known of a node, one line for each thing."""
    rows = {"node": node.name, "state": node.state}
    if node.run:
        rows["run"] = f"{node.run} of {node.operator}, since {utc(node.since_ns)}"
    if node.state == "revoked":
        rows["key"] = f"revoked; `fabric keys invite --role node --name {node.name}` lets it in again"
    if node.drained_by:
        rows["drained"] = f"by {node.drained_by}, since {utc(node.drained_ns)}{_why(node)}"
    if node.dirty_run:
        rows["dirty"] = f"since {utc(node.dirty_ns)}, by the reset of run {node.dirty_run}{_dirty_why(node)}"
        rows["way out"] = f"fabric nodes clean {node.name}"
    rows["heard"] = f"{_heard(node, now_ns)} ago" if node.heard_ns else "never"
    rows["labels"] = ", ".join(_label(node, label) for label in node.labels) or "-"
    rows |= {f"address {name}".rstrip(): at for name, at in sorted(node.addresses.items())}
    rows["agent"] = f"start {node.incarnation}"
    rows |= dict(sorted(node.facts.items()))
    if node.clock is not None and node.state not in ("away", "revoked"):
        rows |= details_of(node.clock, now_ns)  # newer than the fact of that name
    width = max(map(len, rows))
    return [f"{printable(name):<{width}}  {printable(value)}" for name, value in rows.items()]


def _heard(node: NodeInfo, now_ns: int) -> str:
    return since(node.heard_ns, now_ns) if node.heard_ns else "never"


def _addresses(node: NodeInfo) -> str:
    return " ".join(f"{name}={at}" if name else at for name, at in sorted(node.addresses.items()))


def _note(node: NodeInfo) -> str:
    """Say what keeps runs off a node, or should."""
    notes = [f"drained by {node.drained_by}{_why(node)}"] if node.drained_by else []
    notes += ["not back since the broker's start"] if node.expected else []
    notes += ["its key was revoked"] if node.state == "revoked" else []
    notes += [f"dirty by run {node.dirty_run}{_dirty_why(node)}"] if node.dirty_run else []
    return "; ".join(notes)


def _dirty_why(node: NodeInfo) -> str:
    return f": {node.dirty_why}" if node.dirty_why else ""


def _why(node: NodeInfo) -> str:
    return f": {node.drained_why}" if node.drained_why else ""


def _label(node: NodeInfo, label: str) -> str:
    return f"{label} (given)" if label in node.given_labels else label
