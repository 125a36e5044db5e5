"""A node that still works for a closed run is told so, until it stops."""

from broker.effects import ToNode
from broker.leftovers import Leftovers
from fabric.protocol.messages import Abandon

S = 1_000_000_000
RUN = "20260301-102207-ping-k3f9"
TOLD = [ToNode("lab1", Abandon(run=RUN, sentence=f"run {RUN} is closed"))]


def test_it_is_said_at_once_and_each_second_while_the_node_is_heard_of() -> None:
    """A message can be lost; a node that is away cannot hear it."""
    left = Leftovers()
    assert left.deadline_ns is None
    assert left.add("lab1", RUN, S) == TOLD
    assert left.add("lab1", RUN, S) == []
    assert left.expire(2 * S - 1, lambda _: True) == []
    assert left.expire(2 * S, lambda _: True) == TOLD
    assert left.expire(3 * S, lambda _: False) == []
    assert left.expire(4 * S, lambda _: True) == TOLD


def test_it_ends_when_the_node_has_stopped_or_after_ten_minutes() -> None:
    """A node that was taken out of the lab must not be called for ever."""
    left = Leftovers()
    left.add("lab1", RUN, S)
    left.freed("lab1", RUN)
    assert left.deadline_ns is None
    left.add("lab1", RUN, S)
    left.expire(601 * S, lambda _: True)
    assert left.deadline_ns is None
