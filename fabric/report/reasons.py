"""PURE.  Why several nodes did not do something, each node named once."""

from collections.abc import Mapping

from fabric.report.fold import folded, group


def describe_reasons(reasons: Mapping[str, str]) -> str:
    """Return ``lab[1-3] did not confirm the go in time; lab9: disk full``.

    Args:
        reasons: By node, "" for what is no node's; a reason may begin with the name of its node.
    """
    whys = {
        node: why.removeprefix(node).strip() if why.startswith((f"{node} ", f"{node}: ")) else f": {why}"
        for node, why in reasons.items()
    }
    named = {node: why for node, why in whys.items() if node}
    said = [
        f"{folded(nodes)}{'' if why.startswith(':') else ' '}{why}" for nodes, why in group(named, key=str)
    ]
    return "; ".join([*said, *(why.removeprefix(": ") for node, why in whys.items() if not node)])
