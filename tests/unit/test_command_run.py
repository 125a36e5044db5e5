"""The run of one command after Ctrl-C: it ends before all that the nodes have printed was read."""

from fabric.controller.command import LEAVE_NS, Command, command_run
from fabric.protocol.messages import Cancel, CloseRun, Free, Freed, RunClosed
from fabric.protocol.records import RunEnded
from tests.unit.run_lab import RUN, Lab


def running() -> Lab:
    run = command_run(run=RUN, nodes=("n1", "n2"), command=Command.of(["yes"]), lease_s=20.0)
    lab = Lab(run=run)
    lab.open()
    lab.ready()
    lab.commit()
    return lab


def interrupt(lab: Lab) -> None:
    lab.do(lab.run.interrupt(lab.now_ns))
    assert lab.count(Cancel) == 2
    lab.do(lab.run.hurry(lab.now_ns))  # type: ignore[attr-defined]


def test_who_hurries_waits_for_the_nodes_and_not_for_their_records() -> None:
    """What they have printed is stored, so that is no loss."""
    lab = running()
    interrupt(lab)
    assert lab.count(Free) == 2
    for node in ("n1", "n2"):
        assert lab.count(CloseRun) == 0
        lab.hear(Freed(run=RUN, node=node, incarnation=1, records=10**6, reset_failed=False))
    assert any(isinstance(note, RunEnded) for note in lab.notes)
    lab.hear(RunClosed(request=2, run=RUN))
    assert (lab.over, lab.run.findings.verdict) == (True, "interrupted")


def test_nodes_that_were_free_before_the_hurry_are_not_asked_again() -> None:
    """Ctrl-C may come when the command has ended, and only its output is still to be read."""
    lab = running()
    lab.finish()
    for node in ("n1", "n2"):
        lab.hear(Freed(run=RUN, node=node, incarnation=1, records=10**6, reset_failed=False))
    assert lab.count(CloseRun) == 0
    lab.do(lab.run.interrupt(lab.now_ns))
    lab.do(lab.run.hurry(lab.now_ns))  # type: ignore[attr-defined]
    assert (lab.count(Free), lab.count(CloseRun)) == (2, 1)


def test_nodes_that_need_too_long_are_left_to_the_broker() -> None:
    """They may have a gigabyte to ship over a slow line; whoever has pressed Ctrl-C wants to go."""
    lab = running()
    interrupt(lab)
    lab.wait(LEAVE_NS / 1e9 - 0.001)
    assert not lab.over
    assert lab.run.deadline_ns is not None
    lab.wait(0.001)
    assert lab.over
    assert "20" in lab.run.findings.whys[-1]
    assert lab.run.deadline_ns is None
