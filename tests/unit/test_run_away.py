"""A run whose broker is away, or answers nothing: every wait has a limit, nobody is blamed for another."""

from fabric.controller.opening import OPEN_NS
from fabric.controller.run import S
from fabric.protocol.limits import NODE_PATIENCE_S
from fabric.protocol.messages import NodeBack, NodeLost
from tests.unit.run_lab import RUN, Lab, running


def away(lab: Lab, seconds: float) -> None:
    """Let the broker be away, and come back."""
    lab.run.disconnected(lab.now_ns)
    assert lab.run.deadline_ns is None
    lab.wait(seconds)
    lab.do(lab.run.connected(lab.now_ns))


def closing() -> Lab:
    """Return a run that has told its verdict."""
    lab = Lab()
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
    lab.come_free()
    return lab


def test_a_broker_that_does_not_answer_the_reservation_ends_the_run() -> None:
    """It lives, for it beats, but its store may hang: a user wants to read what is waited for in vain."""
    lab = Lab()
    lab.wait(OPEN_NS / S - 0.1)
    assert not lab.over
    lab.wait(0.1)
    assert lab.over
    assert lab.verdict == "error"
    assert "did not answer the reservation of the nodes for 30 s" in lab.whys


def test_the_time_in_which_a_broker_is_away_does_not_count() -> None:
    """How long it may be away, --patience says; what it could not pass on is no node's fault."""
    lab = Lab()
    away(lab, 50)
    lab.wait(OPEN_NS / S - 0.1)
    assert not lab.over
    lab.open()
    away(lab, 50)
    lab.wait(20)
    lab.ready()
    assert lab.run.state == "phases"
    assert lab.verdict == "pass"


def test_a_node_that_was_silent_before_the_broker_went_away_is_waited_for() -> None:
    """It may be back for long, and there was nobody to tell it."""
    lab = running()
    lab.hear(NodeLost(run=RUN, node="n1", sentence="n1 is not reachable"))
    lab.wait(1)
    away(lab, 2 * NODE_PATIENCE_S)
    assert "n1" in lab.run.desk.alive
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=1, works_on=True))
    lab.wait(NODE_PATIENCE_S)
    assert "n1" in lab.run.desk.alive


def test_the_end_of_a_run_is_asked_for_again_when_the_broker_is_back() -> None:
    """All is measured: a broker that starts again at this moment must not make an error of it."""
    lab = closing()
    assert lab.run.state == "closing"
    away(lab, 40)
    assert not lab.over
    lab.end()
    assert lab.over
    assert lab.verdict == "pass"


def test_a_broker_that_does_not_confirm_the_end_is_an_error() -> None:
    """The verdict is not on record then."""
    lab = closing()
    lab.wait(16)
    assert lab.over
    assert "did not confirm the end of the run" in lab.whys
