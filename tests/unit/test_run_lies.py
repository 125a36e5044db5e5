"""Nodes that lie: the run ends all the same, and says which node it was."""

from fabric.controller.limits import OVERTIME_NS
from fabric.controller.run import S
from fabric.protocol.messages import Freed, RunClosed
from fabric.protocol.records import Notice
from tests.unit.run_lab import RUN, Lab, running

EVERY_S = 20.0
CHATTER = Notice(t_ns=1, bound_ns=1, level="info", message="still there")


def chatter(lab: Lab, freed: int | None = None) -> float:
    """Let n2 report something again and again until it is given up; return how long that took, in seconds."""
    begun_ns = lab.now_ns
    for number in range(10_000):
        if "n2" not in lab.run.desk.alive or lab.over:
            break
        lab.read("n2", CHATTER)
        if freed is not None:
            lab.hear(Freed(run=RUN, node="n2", incarnation=1, records=freed + number, reset_failed=False))
        lab.wait(EVERY_S)
    return (lab.now_ns - begun_ns) / S


def test_a_node_that_always_has_something_to_report_does_not_keep_a_phase_open() -> None:
    """Slow links are waited for, and not for ever: a trial has no time limit unless it says so."""
    lab = running()
    lab.finish("n1")
    assert chatter(lab) > OVERTIME_NS / S
    assert "n2 did not finish the phase in time" in lab.whys


def test_a_node_that_never_comes_free_does_not_keep_a_run_open() -> None:
    """It says each time that there are more records than it has sent."""
    lab = running()
    while lab.run.state == "phases":
        lab.finish()
        if lab.run.state == "phases":
            lab.start()
    lab.hear(Freed(run=RUN, node="n1", incarnation=1, records=0, reset_failed=False))
    took_s = chatter(lab, freed=1_000_000)
    assert OVERTIME_NS / S - 2 * EVERY_S < took_s < OVERTIME_NS / S + 60
    lab.hear(RunClosed(request=2, run=RUN))
    assert (lab.verdict, lab.over) == ("error", True)
    assert "n2 did not come free" in lab.whys
