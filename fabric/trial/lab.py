"""PURE.  The lab as a trial sees it: which nodes bear a label, which can be had, and why not."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from fabric.protocol.messages import NodeInfo
from fabric.report.fold import folded, group, natural
from fabric.trial.draw import shuffled
from fabric.trial.nodespec import Both, Label, Names, Not, Pool, Term, is_named
from fabric.trial.problems import did_you_mean

NAMES_CHARS: Final = 60
"""Most characters of a list of nodes in a sentence."""

_BUSY: Final = "in use by run"

UNKNOWN: Final = "unknown to the broker"

WAIT: Final = "--wait waits until they are free, for an hour at most, --wait=30m for so long"

_SHOWN: Final = 4  # nodes that a hint tells of


class Lab:
    """All nodes that a broker knows; without a broker every node is there that is named."""

    def __init__(self, registry: Iterable[NodeInfo] | None) -> None:
        self.is_known = registry is not None
        self._nodes = {
            node.name: node for node in sorted(registry or (), key=lambda node: natural(node.name))
        }

    def members(self, pool: Pool) -> tuple[str, ...]:
        """Return the nodes of a pool, whatever they do now: in the order of their names, or as named."""
        terms = pool.terms if isinstance(pool, Both) else (pool,)
        named = next((term.names for term in terms if isinstance(term, Names)), None)
        every = tuple(self._nodes) if named is None else tuple(dict.fromkeys(named))
        return tuple(node for node in every if all(self._fits(node, term) for term in terms))

    def all_of(self, pool: Pool) -> tuple[str, ...]:
        """Return the nodes of a pool without those that an operator has taken out of use."""
        return tuple(node for node in self.members(pool) if is_named(pool) or not self._is_drained(node))

    def why_not(self, node: str) -> str:
        """Return why a node cannot be had, such as ``away, last heard ...``; "" if it can."""
        if not self.is_known:
            return ""
        known = self._nodes.get(node)
        if known is None:
            return UNKNOWN
        if known.state == "revoked":
            return "shut out: its key was revoked"
        if known.expected:
            return "away: not back since the broker's start"
        if known.state == "away":
            return f"away, last heard {_minute(known.heard_ns)}" if known.heard_ns else "away"
        if known.state == "drained":
            by = f" by {known.drained_by}" if known.drained_by else ""
            return f"drained{by}" + (f" ({known.drained_why})" if known.drained_why else "")
        if known.state == "dirty":
            why = f" ({known.dirty_why})" if known.dirty_why else ""
            return f"dirty since {_minute(known.dirty_ns)}: the reset of run {known.dirty_run} failed{why}"
        if known.state != "busy":
            return ""
        whose = f" of {known.operator} since {_minute(known.since_ns)}" if known.operator else ""
        return f"{_BUSY} {known.run}{whose}"

    def free(self, nodes: Iterable[str], seed: int, role: str) -> list[str]:
        """Return those that can be had, in an order by chance that the seed and the role say."""
        return shuffled([node for node in nodes if not self.why_not(node)], seed, "nodes", role)

    def reasons(self, nodes: Sequence[str]) -> str:
        """Return why these nodes cannot be had: ``lab2 is in use by run ..., lab[7-8] are away``."""
        whys = {node: self.why_not(node) for node in sorted(nodes, key=natural)}
        return ", ".join(
            f"{folded(names, limit=NAMES_CHARS)} {'is' if len(names) == 1 else 'are'} {why}"
            for names, why in group({node: why for node, why in whys.items() if why}, key=str)
        )

    def could_come(self, nodes: Iterable[str]) -> bool:
        """Whether some of these nodes are only busy, so that they can be had later."""
        return any(self.why_not(node).startswith(_BUSY) for node in nodes)

    def without_address(self, nodes: Iterable[str], network: str) -> list[str]:
        """Return those that have no address in a network."""
        return [node for node in nodes if self.is_known and network not in self._nodes[node].addresses]

    def hint(self, nodes: Iterable[str], addresses: Mapping[str, str], *, may_come: bool) -> str:
        """Return what to do about nodes that cannot be had.

        Args:
            nodes: That are missing.
            addresses: By node, where an import has called nodes by what it knows.
            may_come: Waiting could help.
        """
        nodes = list(nodes)
        unknown = [node for node in nodes if self.why_not(node) == UNKNOWN]
        dirty = [node for node in nodes if self.is_known and node in self._nodes]
        dirty = [node for node in dirty if self._nodes[node].state == "dirty"]
        if dirty and not unknown:
            return f"`fabric nodes clean {folded(dirty, limit=NAMES_CHARS)}` does its reset again"
        named = [f"--nodes {addresses[node]}=NODE" for node in unknown if node in addresses]
        if named:
            return f"say which nodes they are: {' '.join(named[:_SHOWN])}; `fabric nodes` shows the lab"
        if may_come and not unknown:
            return f"{WAIT}; `fabric nodes` shows the lab"
        return did_you_mean(unknown[0] if unknown else "", self._nodes, "`fabric nodes` shows the lab")

    def _is_drained(self, node: str) -> bool:
        known = self._nodes.get(node)
        return known is not None and bool(known.drained_by)

    def _fits(self, node: str, term: Term) -> bool:
        match term:
            case Not(inner):
                return not self._fits(node, inner)
            case Label(label):
                return node in self._nodes and label in self._nodes[node].labels
            case Names(names):
                return node in names


def _minute(instant_ns: int) -> str:
    """Return an instant of fabric time; without the seconds nodes that went together are told together."""
    return datetime.fromtimestamp(instant_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
