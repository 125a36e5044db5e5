"""How far ahead of t0 a go is sent, and until when it can be taken back."""

from typing import Final

LEAD_MIN_NS: Final = 20_000_000
"""Least lead: a Python turn on a busy machine takes up to ten milliseconds."""

LEAD_NODE_NS: Final = 2_000_000
"""Lead for each node: its go, its confirmation and perhaps an abort pass one broker, and where all agents
share one machine (``--local``) each takes about a millisecond of one of its processors to answer.  With
0.4 ms, 64 agents on two cores did not confirm in time, and the abort reached half of them too late."""

GUARD_MIN_NS: Final = 6_000_000
"""Least guard: what an abort needs to travel and to reach a launcher that is about to spin."""


def lead_ns(max_rtt_ns: int, nodes: int) -> int:
    """Return the time from the go to t0.

    Args:
        max_rtt_ns: Largest of the nodes' smallest round trips to the broker.
        nodes: How many nodes start.

    Four round trips fit in: go and confirmation, the go once more by unicast, and an abort.
    """
    return LEAD_MIN_NS + 4 * max(0, max_rtt_ns) + LEAD_NODE_NS * max(0, nodes)


def guard_ns(lead: int) -> int:
    """Return how long before t0 the broker decides; ``lead`` in nanoseconds.

    An abort takes the way of a go and meets the same delays, so it gets nearly as long as go and
    confirmation have.
    """
    return min(max(GUARD_MIN_NS, lead * 2 // 5), lead // 2)
