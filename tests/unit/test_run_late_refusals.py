"""The Run when a node that was ready is not any more: its launcher has died with what was armed there."""

from typing import Any

from fabric.controller.goes import PAUSES_NS
from fabric.controller.run import S
from fabric.protocol.messages import Prepare, Refused, StartPhase
from tests.unit.run_lab import RUN, TRIAL, Lab, through
from tests.unit.test_run_cells import half

DIED = "the launcher died"
REFUSAL = Refused(run=RUN, node="n2", phase="1/run", step="", sentence=DIED)


def asked(**words: Any) -> Lab:
    """Return a run whose first phase was to start, and n2 is not ready any more."""
    lab = Lab(TRIAL.replace('name = "t"', 'name = "t"\nlead = "1s"'), **words)
    lab.open()
    lab.ready()
    return lab


def test_a_node_that_declines_because_of_its_refusal_is_not_asked_again() -> None:
    """No longer lead and no later go would help; the error names what has happened, and nothing else."""
    lab = asked()
    lab.hear(REFUSAL)
    assert lab.phase == "1/run", "the go may be under way"
    lab.abort({"n2": DIED})
    assert lab.count(StartPhase) == 1
    assert lab.whys == f"n2 refused phase 1/run: {DIED}"
    assert (lab.phase, lab.last(Prepare).stopped) == ("1/collect", True)
    through(lab)
    assert lab.verdict == "error"


def test_a_refusal_between_two_tries_at_a_go_counts_at_once() -> None:
    """Nothing is under way then that could start."""
    lab = asked()
    lab.abort({"n1": "n1 did not confirm the go in time"}, late=True)
    lab.hear(REFUSAL)
    assert lab.phase == "1/collect"
    lab.wait(PAUSES_NS[0] / S)
    assert lab.last(StartPhase).phase == "1/run"
    assert lab.count(StartPhase) == 1


def test_a_quorum_starts_without_a_node_that_is_not_ready_any_more() -> None:
    """As without one that never was."""
    lab = asked(plan=half())
    lab.hear(REFUSAL)
    lab.abort({"n2": DIED})
    assert lab.count(StartPhase) == 2
    assert lab.last(StartPhase).nodes == ("n1",)
    lab.commit()
    assert lab.verdict == "pass"


def test_a_reason_that_has_nothing_to_do_with_time_says_nothing_of_the_lead() -> None:
    """The refusal may be lost with the broker: then the go is tried to the end."""
    lab = asked()
    for pause_ns in (*PAUSES_NS, 0):
        lab.abort({"n2": DIED})
        lab.wait(pause_ns / S)
    assert f"could not be started in 4 attempts: n2: {DIED}" in lab.whys
    assert "lead" not in lab.whys


def test_a_late_refusal_of_a_go_that_stands_changes_nothing() -> None:
    """What was confirmed starts; what becomes of it is told by its records."""
    lab = asked()
    lab.hear(REFUSAL)
    lab.commit()
    lab.finish()
    assert lab.phase == "1/collect"
    assert lab.verdict == "pass"
