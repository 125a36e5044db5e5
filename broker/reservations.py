"""Who may use which node: all nodes of a run or none."""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.words import when


@dataclass(frozen=True, slots=True)
class Reservation:
    """A node is in use by a run since ``since_ns`` of fabric time."""

    run: str
    operator: str
    since_ns: int


class Reservations:
    """The table of reserved nodes.  It has no more rows than the broker has nodes."""

    def __init__(self) -> None:
        self._by_node: dict[str, Reservation] = {}

    def holder(self, node: str) -> str:
        """Return the run that has the node, or ""."""
        held = self._by_node.get(node)
        return "" if held is None else held.run

    def held(self, node: str) -> Reservation | None:
        """Return by whom a node is reserved."""
        return self._by_node.get(node)

    def reserve(self, nodes: Iterable[str], reservation: Reservation) -> str:
        """Give all nodes to a run, or none.

        Returns:
            "" if it was done, else the sentence that says who has which node and since when.
        """
        nodes = tuple(nodes)
        taken = [node for node in nodes if self.holder(node) not in ("", reservation.run)]
        if taken:
            return "; ".join(_in_use(node, self._by_node[node]) for node in sorted(taken)[:4])
        self._by_node.update(dict.fromkeys(nodes, reservation))
        return ""

    def release(self, run: str) -> None:
        """Take back all nodes of a run.  Doing it again does no harm."""
        self._by_node = {node: held for node, held in self._by_node.items() if held.run != run}


def _in_use(node: str, held: Reservation) -> str:
    return f"{node} is in use by run {held.run} of {held.operator} since {when(held.since_ns)}"
