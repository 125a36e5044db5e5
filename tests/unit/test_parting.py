"""How a node's part of a run ends when nobody leads it, and when that leaves the node dirty."""

import pytest

from agents.effects import Drop, End, Ship
from fabric.protocol.messages import Abandon, Free, Ready
from fabric.protocol.records import Notice
from tests.unit.scripted_node import MS, RUN, Node, owing, step

LEASE_NS = 20_000 * MS


def quiet(node: Node, since_ns: int, for_ns: int) -> None:
    """Let the network be away, and the agent look at it each second."""
    end_ns = node.now_ns + for_ns
    while node.now_ns < end_ns:
        node.now_ns = min(end_ns, node.now_ns + 1000 * MS)
        node.do(node.executor.unheard(since_ns, node.now_ns))


def test_a_node_that_is_cut_off_stops_at_the_end_of_its_lease() -> None:
    """Not before: a cut that is shorter costs nothing."""
    node = owing()
    since_ns = node.now_ns
    quiet(node, since_ns, LEASE_NS - 1)
    assert not node.wants(End)
    quiet(node, since_ns, 1)
    assert len(node.wants(End)) == 1


def test_with_on_lost_continue_what_runs_goes_on_and_another_lease_follows() -> None:
    """Also what is spawned; the network may be back when the steps are over, and the next phase come."""
    node = owing(step("a-1"), step("b-1", verb="spawn", timeout_s=None), on_lost="continue")
    since_ns = node.now_ns
    quiet(node, since_ns, 5 * LEASE_NS)
    assert not node.wants(End)
    said = [notice.message for notice in node.of(Notice)]
    assert said == ["nothing was heard of the broker; what runs here goes on"]
    node.finish(node.key("a-1"))
    quiet(node, since_ns, 5 * LEASE_NS)
    assert node.executor.is_led, "b-1 still runs"
    node.finish(node.key("b-1"))
    quiet(node, since_ns, LEASE_NS - 1000 * MS)
    assert node.executor.is_led
    quiet(node, since_ns, 1000 * MS)
    node.start_all()
    node.finish(node.key("a-1"))
    assert node.wants(Ship) == [Ship(RUN, dirty="")]


def test_with_on_lost_continue_a_network_that_is_back_is_as_if_it_had_never_been_away() -> None:
    """And a second cut has its own notice, and its own lease."""
    node = Node(on_lost="continue")
    node.prepare(step("a-1"))
    node.go()
    node.start_all()
    quiet(node, node.now_ns, 3 * LEASE_NS)
    node.finish(node.key("a-1"))
    node.prepare(step("b-1", phase="1/collect"), phase="1/collect")
    assert isinstance(node.last(), Ready)
    node.go(phase="1/collect")
    node.start_all()
    quiet(node, node.now_ns, 3 * LEASE_NS)
    assert not node.wants(End)
    assert len(node.of(Notice)) == 2


def test_what_is_armed_and_not_started_does_not_go_on() -> None:
    """Its go may never come: nobody waits for it with a program that is held."""
    node = Node(step("a-1", phase="0/reset", when="always"), on_lost="continue")
    node.prepare(step("a-1"))
    quiet(node, node.now_ns, LEASE_NS)
    assert len(node.wants(Drop)) == 1
    assert not node.executor.is_led


@pytest.mark.parametrize("has_reset", [True, False])
def test_a_reset_that_is_due_when_the_run_is_over_leaves_the_node_dirty(has_reset: bool) -> None:
    """Nobody has undone what the phases did; a trial without a reset wants nothing undone."""
    reset = (step("a-1", phase="0/reset", when="always"),) if has_reset else ()
    node = Node(*reset)
    node.prepare(step("a-1"))
    node.go()
    node.start_all()
    node.finish(node.key("a-1"))
    node.do(node.executor.receive(Free(run=RUN, node="lab1"), node.now_ns))
    assert node.wants(Ship) == [Ship(RUN, dirty="its reset was not done" if has_reset else "")]


def test_a_reset_that_is_cut_short_by_the_end_of_the_run_leaves_the_node_dirty() -> None:
    """What was ended in the middle has not succeeded, though nothing of it failed."""
    node = owing()
    node.finish(node.key("a-1"))
    node.prepare(step("a-1", phase="1/reset", when="always"), phase="1/reset")
    node.go(phase="1/reset")
    node.start_all()
    node.do(node.executor.receive(Free(run=RUN, node="lab1"), node.now_ns))
    node.finish(node.key("a-1"), code=None, signal=15)
    assert [ship.dirty for ship in node.wants(Ship)] == ["its reset was not done"]


def test_why_a_node_is_dirty_has_the_last_line_of_the_step_that_failed() -> None:
    """Of a reset that a node did alone nobody has seen anything."""
    node = owing()
    node.finish(node.key("a-1"))
    node.do(node.executor.receive(Abandon(run=RUN, sentence="gone"), node.now_ns))
    key = node.key("a-1")
    node.start_all()
    assert node.executor.reads_output(key)
    node.do(node.executor.wrote(key, "stderr", b"rm: busy\n", node.now_ns))
    node.finish(key, code=1)
    assert node.executor.parting.dirty == "reset/a/a-1: exit 1, its last line: rm: busy"
