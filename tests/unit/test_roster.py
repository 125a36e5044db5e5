"""Nodes that are lost to a run: how long they are waited for, and when their loss is no matter."""

import pytest

from fabric.protocol.limits import NODE_PATIENCE_S
from fabric.protocol.messages import Freed, NodeLost
from tests.unit.run_lab import RUN, Lab


def freed(node: str) -> Freed:
    return Freed(run=RUN, node=node, incarnation=1, records=0, reset_failed=False)


@pytest.mark.parametrize("gone", [True, False], ids=["goodbye", "silent"])
def test_a_node_that_came_free_may_be_lost_while_others_still_do(gone: bool) -> None:
    """What it had to say is stored: to restart its agent or to shut the machine down is no error then."""
    lab = Lab()
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
    lost = NodeLost(run=RUN, node="n1", sentence="n1 is not reachable", gone=gone)
    for word in (freed("n1"), lost) if gone else (lost, freed("n1")):  # the broker repeats both
        lab.hear(word)
    lab.wait(NODE_PATIENCE_S)
    assert "n1" in lab.run.desk.alive
    lab.hear(freed("n2"))
    lab.end()
    assert (lab.verdict, lab.over) == ("pass", True)
