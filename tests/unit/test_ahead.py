"""The next phase is prepared while the records of the present one are on their way; its go waits for them."""

from typing import Any

from fabric.protocol.messages import Cancel, PhaseDone, Prepare, Ready, Refused, StartPhase
from fabric.protocol.records import PhaseFinished
from tests.unit.run_lab import RUN, Lab, finished, running, through

SPAWNS = """
[trial]
name = "t"
[nodes]
a = ["n1", "n2"]
[run]
a = { spawn = "serve" }
[collect]
a = "gather"
[reset]
a = "clean"
"""


def say_done(lab: Lab, *nodes: str, phase: str = "1/run", failed: bool = False) -> None:
    for node in nodes or ("n1", "n2"):
        lab.hear(PhaseDone(run=RUN, node=node, phase=phase, failed=failed))


def prepared(lab: Lab) -> list[str]:
    return [message.phase for message in lab.told if isinstance(message, Prepare)]


def records(lab: Lab, phase: str, *nodes: str, **changes: Any) -> None:
    for node in nodes or ("n1", "n2"):
        lab.read(node, finished(f"{phase}/a/a-1", **changes))
        lab.read(node, PhaseFinished(t_ns=0, bound_ns=0, phase=phase, failed=False))


def test_when_all_nodes_say_that_they_are_done_the_next_phase_is_prepared() -> None:
    """Arming takes as long as the disk does: side by side they take half."""
    lab = running()
    say_done(lab, "n1")
    assert prepared(lab) == ["1/run"] * 2
    say_done(lab, "n2")
    assert prepared(lab) == ["1/run"] * 2 + ["1/collect"] * 2


def test_the_go_waits_for_the_records_of_the_end() -> None:
    """What a phase rests on has to be stored, and to be known, before it begins."""
    lab = running()
    say_done(lab)
    lab.ready()
    assert lab.count(StartPhase) == 1
    records(lab, "1/run", "n1")
    assert lab.count(StartPhase) == 1
    records(lab, "1/run", "n2")
    assert lab.last(StartPhase).phase == "1/collect"
    assert lab.last(StartPhase).nodes == ("n1", "n2")
    assert prepared(lab) == ["1/run"] * 2 + ["1/collect"] * 2
    lab.commit()
    records(lab, "1/collect")
    assert through(lab).verdict == "pass"


def test_who_is_ready_after_the_records_completes_the_barrier() -> None:
    """The answers may come before and after: each counts once."""
    lab = running()
    say_done(lab)
    lab.ready("n1")
    records(lab, "1/run")
    assert lab.count(StartPhase) == 1
    lab.ready("n2")
    assert lab.last(StartPhase).phase == "1/collect"


def test_a_failure_in_the_records_has_the_phase_prepared_anew() -> None:
    """The metric, or the bytes, that are missing are found in the records: other steps begin then."""
    lab = running()
    say_done(lab)
    lab.ready()
    records(lab, "1/run", "n1")
    records(lab, "1/run", "n2", exit_code=1, failed=True)
    assert lab.count(StartPhase) == 1
    again = [message for message in lab.told if isinstance(message, Prepare)][-2:]
    assert {(message.phase, message.failed, message.stopped) for message in again} == {
        ("1/collect", True, True)
    }
    lab.ready()
    assert lab.last(StartPhase).phase == "1/collect"


def test_a_node_that_says_it_has_failed_has_nothing_prepared() -> None:
    """What comes next is not known before the controller has judged."""
    lab = running()
    say_done(lab, "n1")
    say_done(lab, "n2", failed=True)
    assert prepared(lab) == ["1/run"] * 2


def test_a_step_that_the_next_phase_ends_is_not_ended_ahead() -> None:
    """It lives until that phase begins, and ending it cannot be taken back."""
    lab = running(SPAWNS)
    say_done(lab)
    assert prepared(lab) == ["1/run"] * 2
    for node in ("n1", "n2"):
        lab.read(node, PhaseFinished(t_ns=0, bound_ns=0, phase="1/run", failed=False))
    assert prepared(lab) == ["1/run"] * 2 + ["1/collect"] * 2


def test_an_interrupt_meanwhile_leaves_what_was_prepared() -> None:
    """Twice Ctrl-C means that only the reset comes, whatever the nodes have armed."""
    lab = running()
    say_done(lab)
    lab.ready()
    for _ in range(2):
        lab.do(lab.run.interrupt(lab.now_ns))
    assert lab.last(Cancel).phase == "1/run"
    records(lab, "1/run")
    assert prepared(lab)[-2:] == ["1/reset"] * 2
    told = len(prepared(lab))
    lab.wait(1.1)
    assert prepared(lab)[told:] == ["1/reset"] * 2, "what is not wanted any more is not said again"


def test_a_node_that_is_lost_meanwhile_has_the_phase_prepared_anew() -> None:
    """Who is there has changed, and with it who starts."""
    lab = running()
    say_done(lab)
    lab.ready()
    lab.do(lab.run._go_on(lab.run._node_gone("n2", "n2 is gone", lab.now_ns), lab.now_ns))
    records(lab, "1/run", "n1")
    assert [message.node for message in lab.told if isinstance(message, Prepare)][-1] == "n1"
    assert lab.count(StartPhase) == 1


def test_a_refusal_ahead_counts_when_the_phase_has_come() -> None:
    """It is a refusal as any other."""
    lab = running()
    say_done(lab)
    lab.hear(Refused(run=RUN, node="n2", phase="1/collect", step="1/collect/a/a-1", sentence="no such file"))
    assert lab.verdict == "pass"
    lab.ready("n1")
    records(lab, "1/run")
    assert "no such file" in lab.whys


def test_words_about_a_phase_that_is_not_to_come_change_nothing() -> None:
    """They may be late by any time."""
    lab = running()
    say_done(lab, phase="1/startup")
    lab.hear(Ready(run=RUN, node="n1", phase="1/collect", clock_bound_ns=1, rtt_ns=2))
    assert prepared(lab) == ["1/run"] * 2
    assert lab.count(StartPhase) == 1


def test_the_first_phase_of_the_next_repeat_is_prepared_ahead_too() -> None:
    """That is most phases of a benchmark."""
    lab = running(phases=("run",), repeats=2)
    records(lab, "1/run")
    lab.start()
    assert lab.phase == "1/reset"
    say_done(lab, phase="1/reset")
    assert prepared(lab)[-2:] == ["2/run"] * 2
    lab.ready()
    records(lab, "1/reset")
    assert lab.last(StartPhase).phase == "2/run"
