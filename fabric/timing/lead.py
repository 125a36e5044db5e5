"""How far ahead of t0 a go is sent, and until when it can be taken back."""

from collections import deque
from dataclasses import dataclass
from typing import Final

LEAD_MIN_NS: Final = 20_000_000
"""Least lead while nothing was measured: a Python turn on a busy machine takes up to ten milliseconds."""

LEAD_NODE_NS: Final = 2_000_000
"""... and for each node: its go, its confirmation and perhaps an abort pass one broker, and where all agents
share one machine (``--local``) each takes about a millisecond of one of its processors to answer.  With
0.4 ms, 64 agents on two cores did not confirm in time, and the abort reached half of them too late."""

READY_NS: Final = 400_000_000
"""Of the time that the nodes took to be ready, up to so long, half is added to that lead: round trips of a
quiet moment say little of nodes that have much to do."""

SLACK_NS: Final = 3_000_000
"""What nodes may take longer than they ever did, however fast they were."""

GUARD_MIN_NS: Final = 6_000_000
"""Least guard: what an abort needs to travel and to reach a launcher that is about to spin."""

REMEMBERED: Final = 64
"""So many goes are remembered: the slowest of them is a likely worst case, and load that has gone is
forgotten.  On a machine that stands still for ten milliseconds now and then, the slowest of eight says little
of the next."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """How a go went."""

    nodes: int
    spent_ns: int  # until the last confirmation
    ready_ns: int  # what the nodes had taken to be ready


class Pace:
    """How fast the nodes of a run confirm a go: the lead of the next one follows from that.

    The first go of a run is careful.  For later ones, half as much again as the slowest of the last ones
    needed is there for go and confirmation, and as much for an abort: what made a go late meets the abort,
    too.
    With as much as a go needed, 1 of 46 starts on 64 nodes of two processors was a partial one.
    """

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=REMEMBERED)

    def confirmed(self, nodes: int, spent_ns: int, ready_ns: int) -> None:
        """Note that all nodes had confirmed a go so long after it was sent."""
        self._seen.append(_Seen(nodes, max(0, spent_ns), ready_ns))

    def lead_ns(self, max_rtt_ns: int, nodes: int, ready_ns: int) -> int:
        """Return the time from the go to t0.

        Args:
            max_rtt_ns: Longest recent round trip of a node to the broker.
            nodes: How many nodes start.
            ready_ns: From the prepare to the last node's being ready.
        """
        ready_ns = min(max(0, ready_ns), READY_NS)
        if not self._seen:
            return lead_ns(max_rtt_ns, nodes) + ready_ns // 2
        spent_ns = max(seen.spent_ns * max(nodes, seen.nodes) // seen.nodes for seen in self._seen)
        usual_ns = max(min(seen.ready_ns, READY_NS) for seen in self._seen)
        more_ns = max(0, ready_ns - usual_ns) // 2  # they have more to do than they had then
        needed_ns = max(spent_ns, max_rtt_ns // 2)  # asked while all were asking: longer than a go would meet
        return max(2 * GUARD_MIN_NS, 3 * needed_ns + SLACK_NS) + more_ns


def lead_ns(max_rtt_ns: int, nodes: int) -> int:
    """Return the time from the go to t0 where nothing is known but the nodes' largest round trip.

    Four round trips fit in: go and confirmation, the go once more by unicast, and an abort.
    """
    return LEAD_MIN_NS + 4 * max(0, max_rtt_ns) + LEAD_NODE_NS * max(0, nodes)


def guard_ns(lead: int) -> int:
    """Return how long before t0 the broker decides; ``lead`` in nanoseconds.

    An abort takes the way of a go and meets the same delays, so it gets as long as go and confirmation
    are thought to take.
    """
    return lead // 2


def repeats_ns(lead: int) -> tuple[int, ...]:
    """Return how long after it was sent a go is sent again to those that have not confirmed it.

    Not before they can be expected to have: where 64 agents share two processors, each go that is said twice
    makes all of them later.  A second time for lossy networks.
    """
    return (lead * 2 // 5, lead * 9 // 20)
