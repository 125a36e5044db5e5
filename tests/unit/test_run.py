"""The Run with a scripted broker: what becomes of a trial in every sort of trouble."""

import pytest

from fabric.controller.goes import PAUSES_NS
from fabric.controller.outcome import result_of
from fabric.controller.run import S
from fabric.protocol.limits import BARRIER_S, GO_ATTEMPTS, NODE_PATIENCE_S, SILENCE_S
from fabric.protocol.messages import (
    Assign,
    Cancel,
    CloseRun,
    Denied,
    Free,
    Freed,
    NodeBack,
    NodeLost,
    OpenRun,
    Prepare,
    Refused,
    RunClosed,
    StartPhase,
)
from fabric.protocol.records import Notice, Output, PhaseEnded, PhaseFinished, PhaseStarted, RunEnded
from tests.unit.run_lab import RUN, T0_NS, TRIAL, Lab, finished, running, started, through


def test_a_run_goes_through_its_phases_and_passes() -> None:
    """Reserve, assign, prepare, go, run, ... reset, free, verdict, close: in this order."""
    lab = Lab()
    assert isinstance(lab.told[0], OpenRun)
    lab.open()
    assert lab.count(Assign) == 2
    through(lab)
    assert [message.phase for message in lab.told if isinstance(message, StartPhase)] == [
        "1/run",
        "1/collect",
        "1/reset",
    ]
    assert (lab.verdict, lab.over) == ("pass", True)
    assert isinstance(lab.last(CloseRun), CloseRun)


def test_repeats_do_all_phases_again() -> None:
    """`repeat = 2`."""
    lab = through(running(repeats=2))
    phases = [message.phase for message in lab.told if isinstance(message, StartPhase)]
    assert phases[3:] == ["2/run", "2/collect", "2/reset"]


def test_a_busy_node_ends_the_run_with_the_brokers_sentence() -> None:
    """By whom and since when; nothing was started."""
    lab = Lab()
    lab.hear(Denied(request=1, code="busy", sentence="n1 is reserved by run X of ann since 10:22"))
    assert (lab.verdict, lab.over) == ("error", True)
    assert "of ann since" in lab.whys
    assert lab.count(Assign) == 0


def test_a_record_that_was_said_again_does_not_spoil_the_end() -> None:
    """The feed brings a record before it is durable: the run may be closed when its repetition arrives."""
    lab = running()
    lab.finish()
    while lab.run.state == "phases":
        lab.go_through()
    lab.come_free()
    lab.hear(Denied(request=0, code="closed", sentence=f"run {RUN} is not open"))
    assert not lab.over
    lab.hear(RunClosed(request=2, run=RUN))
    assert (lab.verdict, lab.over, lab.whys) == ("pass", True, "")


def test_a_broker_without_room_ends_the_run_after_a_while() -> None:
    """What the nodes report arrives nowhere: a run that waited for it would never end."""
    lab = running()
    full = Denied(request=0, code="no_room", sentence="the broker cannot store records: no space left")
    for _ in range(30):
        lab.hear(full)
        lab.wait(1.0)
    assert not lab.over
    lab.hear(full)
    assert (lab.verdict, lab.over) == ("error", True)
    assert "no space left; the run was given up: within" in lab.whys


def test_a_run_whose_own_records_are_refused_ends_at_once() -> None:
    """They would be refused for ever, and nothing that the run does could be told any more."""
    lab = running()
    refused = Denied(
        request=0, run=RUN, code="refused", sentence="what the run reports of itself is refused: x"
    )
    lab.hear(refused)
    assert (lab.verdict, lab.over) == ("error", True)
    assert "is refused: x; the run was given up: within" in lab.whys


def test_what_is_not_answered_is_said_again_and_only_that() -> None:
    """The network loses messages; who has answered is left alone."""
    lab = Lab()
    lab.open()
    lab.ready("n1")
    before = lab.count(Prepare)
    lab.wait(0.9)
    assert lab.count(Prepare) == before
    lab.wait(0.1)
    assert lab.count(Prepare) == before + 1
    assert lab.last(Prepare).node == "n2"


def test_a_silent_node_is_named_at_the_barrier_and_the_others_reset() -> None:
    """The moment before, the moment itself."""
    lab = Lab()
    lab.open()
    lab.ready("n1")
    lab.wait(BARRIER_S - 0.1)
    assert lab.verdict == "pass"
    lab.wait(0.1)
    assert lab.verdict == "error"
    assert "n2 was not ready in time (preparing phase 1/run)" in lab.whys
    assert lab.phase == "1/collect"
    assert lab.last(Prepare).node == "n1"
    assert lab.last(Prepare).stopped


def test_a_refused_step_is_a_failure_at_its_place_and_nothing_starts() -> None:
    """An unknown program is the trial's mistake, not the lab's."""
    lab = Lab()
    lab.open()
    lab.ready("n1")
    lab.hear(Refused(run=RUN, node="n2", phase="1/run", step="1/run/a/a-1", sentence="no program `work`"))
    assert lab.count(StartPhase) == 0
    assert lab.whys == "t.toml:7: run/a step a-1 on n2: no program `work`"
    through(lab)
    assert lab.verdict == "fail"


def test_all_nodes_that_refuse_in_time_are_told() -> None:
    """Four mistakes on four nodes are mended at once, and not in four runs."""
    lab = Lab()
    lab.open()
    lab.hear(Refused(run=RUN, node="n1", phase="1/run", step="1/run/a/a-1", sentence="no program `work`"))
    assert lab.phase == "1/run"
    lab.hear(Refused(run=RUN, node="n2", phase="1/run", step="1/run/a/a-1", sentence="no user `joe`"))
    assert "no program `work`" in lab.whys
    assert "no user `joe`" in lab.whys
    assert lab.phase != "1/run"


def test_a_refusal_does_not_wait_long_for_others() -> None:
    """A node that is busy checking has a moment, no more."""
    lab = Lab()
    lab.open()
    lab.hear(Refused(run=RUN, node="n1", phase="1/run", step="1/run/a/a-1", sentence="no program `work`"))
    lab.wait(1.0)
    assert lab.phase != "1/run"
    assert lab.count(StartPhase) == 0


def test_an_aborted_go_is_tried_again_and_then_given_up() -> None:
    """Bounded, and it says why."""
    lab = Lab()
    lab.open()
    lab.ready()
    for _ in range(GO_ATTEMPTS - 1):
        lab.abort({"n2": "n2 did not confirm the go in time"})
        goes = lab.count(StartPhase)
        lab.wait(7)
        assert lab.count(StartPhase) == goes + 1
    assert lab.last(StartPhase).go == GO_ATTEMPTS
    lab.abort({"n2": "n2 did not confirm the go in time"})
    thens = [note.then for note in lab.notes if note.kind == "phase_aborted"]
    assert thens == ["again"] * (GO_ATTEMPTS - 1) + ["given_up"]
    assert "n2 did not confirm" in lab.whys
    assert lab.verdict == "error"
    assert lab.phase == "1/collect"


def test_a_node_that_is_silent_for_a_while_does_not_end_the_run_before_its_phase() -> None:
    """A cut that a running phase survives must not be the end of one that was about to start."""
    assert sum(PAUSES_NS) > (SILENCE_S + 2) * S
    assert sum(PAUSES_NS) < (SILENCE_S + NODE_PATIENCE_S) * S
    assert len(PAUSES_NS) == GO_ATTEMPTS - 1


def test_a_reset_that_some_cannot_start_is_done_by_the_others() -> None:
    """And the numbers of its goes go on, for the broker keeps the answers."""
    lab = running()
    lab.finish()
    lab.go_through()
    lab.ready()
    for _ in range(GO_ATTEMPTS):
        lab.abort({"n2": "n2 did not confirm the go in time"})
        lab.wait(7)
    assert lab.last(StartPhase).phase == "1/reset"
    assert lab.last(StartPhase).nodes == ("n1",)
    assert lab.last(StartPhase).go == GO_ATTEMPTS + 1
    assert lab.notes[-1].then == "without"


def test_a_partial_start_is_ended_and_says_why_the_others_did_not_start() -> None:
    """All or none; where that failed, nothing was measured, and the lab is to blame."""
    lab = Lab()
    lab.open()
    lab.ready()
    lab.abort({"n2": "silent"}, started=("n1",))
    assert lab.verdict == "invalid"
    assert "phase 1/run began on n1 only, and was ended there: n2: silent" in lab.whys
    assert lab.last(Cancel).node == "n1"
    assert lab.last(Cancel).everything


def test_the_skew_of_a_phase_is_recorded_with_its_bound() -> None:
    """Latest minus earliest, and the sum of the two bounds."""
    lab = Lab()
    lab.open()
    lab.start(late_ns=3_000_000)
    lab.finish()
    ended = next(note for note in lab.notes if isinstance(note, PhaseEnded))
    assert (ended.skew_ns, ended.skew_bound_ns, ended.latest_node) == (3_000_000, 1000, "n2")


@pytest.mark.parametrize(
    ("late_ns", "verdict"), [(1_999_000, "pass"), (1_999_001, "invalid"), (2_001_001, "invalid")]
)
def test_skew_over_the_limit_is_invalid(late_ns: int, verdict: str) -> None:
    """`max_skew`: what is not proven to be within the limit is not; two clocks are known to 500 ns each."""
    lab = Lab(TRIAL.replace('name = "t"', 'name = "t"\nmax_skew = "2ms"'))
    lab.open()
    lab.start(late_ns=late_ns)
    lab.finish()
    assert lab.verdict == verdict
    proof = "is over max_skew 2 ms" if late_ns > 2_001_000 else "is not proven to be within max_skew 2 ms"
    assert verdict == "pass" or (proof in lab.whys and "n2 was the last" in lab.whys)


def test_clocks_that_cannot_prove_the_limit_are_told_before_the_first_go() -> None:
    """Who waits an hour for a verdict that can only be invalid could have known it at once."""
    lab = Lab(TRIAL.replace('name = "t"', 'name = "t"\nmax_skew = "1us"'))
    lab.open()
    lab.ready()
    (told,) = [note for note in lab.notes if isinstance(note, Notice)]
    assert told.message.startswith("max_skew 0.001 ms cannot be proven")
    assert "n1 ± 0.001 ms, n2 ± 0.001 ms" in told.message
    assert not any(isinstance(note, PhaseStarted) for note in lab.notes)
    lab.commit()
    lab.finish()
    lab.ready()
    assert sum(isinstance(note, Notice) for note in lab.notes) == 1


def test_a_start_by_a_go_that_was_taken_back_makes_the_run_invalid_whenever_it_is_heard_of() -> None:
    """A node that no abort could reach began alone; its record comes when the network is there again."""
    lab = Lab()
    lab.open()
    lab.ready()
    lab.abort({"n1": "n1 did not answer the abort", "n2": "n2 did not confirm the go in time"})
    assert lab.verdict == "pass"
    lab.read("n1", started("1/run/a/a-1", T0_NS))
    assert lab.verdict == "invalid"
    assert "phase 1/run began on n1 though its go was taken back" in lab.whys


def test_a_failed_step_ends_the_phase_everywhere_and_says_where() -> None:
    """File and line, how it ended, its last words."""
    lab = running()
    said = b"first\nno route to host\n"
    output = Output(
        t_ns=0, bound_ns=0, step="1/run/a/a-1", attempt=1, stream="stderr", offset=0, size=len(said)
    )
    lab.read("n1", output, said)
    lab.read(
        "n1", finished("1/run/a/a-1", failed=True, exit_code=7, message="exit 7", stderr_bytes=len(said))
    )
    assert lab.whys == "t.toml:7: run/a step a-1 on n1: exit 7 after 2.0 s, last line: no route to host"
    assert {message.node for message in lab.told if isinstance(message, Cancel)} == {"n1", "n2"}
    lab.read("n1", PhaseFinished(t_ns=0, bound_ns=0, phase="1/run", failed=True))
    lab.finish("n2", reason="stopped", exit_code=None, signal=15)
    assert lab.last(Prepare).phase == "1/collect"
    assert lab.last(Prepare).stopped
    assert through(lab).verdict == "fail"


def test_on_fail_continue_cancels_nothing_but_fails_the_run() -> None:
    """The failure is counted, the phase goes on."""
    lab = running(TRIAL.replace('a = "work"', 'a = { cmd = "work", on_fail = "continue" }'))
    lab.read("n1", finished("1/run/a/a-1", failed=True, exit_code=7, message="exit 7"))
    assert lab.count(Cancel) == 0
    assert lab.verdict == "fail"


def test_a_failed_reset_is_dirty_whatever_else() -> None:
    """It overrides the others: the lab needs a person."""
    lab = running()
    lab.finish()
    lab.go_through()
    lab.start()
    lab.finish(failed=True, exit_code=1, message="exit 1")
    lab.end()
    assert lab.verdict == "dirty"


def test_missing_output_is_an_error() -> None:
    """A pass with bytes missing would be a lie."""
    lab = running()
    lab.read("n1", finished("1/run/a/a-1", stdout_bytes=5))
    assert lab.verdict == "error"
    assert "stdout has 0 of 5 bytes" in lab.whys


def test_a_lost_node_is_waited_for_and_then_named() -> None:
    """It may only be a short cut."""
    lab = running()
    lost = NodeLost(run=RUN, node="n2", sentence="n2 is not reachable, last heard 5 s ago")
    lab.hear(lost)
    lab.wait(NODE_PATIENCE_S - 0.001)
    lab.hear(NodeBack(run=RUN, node="n2", incarnation=1, works_on=True))
    lab.wait(1)
    assert lab.verdict == "pass"
    lab.hear(lost)
    lab.wait(NODE_PATIENCE_S)
    assert "n2 is not reachable, last heard 5 s ago, nor in the 10 s after that (running" in lab.whys
    assert lab.last(Cancel).node == "n1"
    lab.finish("n1", reason="stopped")
    assert lab.last(Prepare).node == "n1"
    assert lab.verdict == "error"


def test_a_node_that_restarted_is_lost_at_once() -> None:
    """Its part of the run is gone; waiting would not bring it back."""
    lab = running()
    lab.hear(NodeBack(run=RUN, node="n2", incarnation=2, works_on=False))
    assert "n2 has restarted" in lab.whys


def test_a_node_that_says_that_it_has_no_part_is_lost_at_once() -> None:
    """It answers so to whatever it is asked, also when nobody could tell that it has restarted."""
    lab = running()
    lab.hear(Freed(run=RUN, node="n2", incarnation=2, records=0, reset_failed=False))
    assert "n2 has left the run before its end (running" in lab.whys
    assert lab.last(Cancel).node == "n1"


def test_a_node_that_came_free_is_not_lost_though_its_word_was_lost_with_the_broker() -> None:
    """The next broker sees a node without a part of the run; it has not restarted, and is asked again."""
    lab = Lab()
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=1, works_on=False))
    lab.hear(NodeBack(run=RUN, node="n2", incarnation=1, works_on=False, alone=True))
    lab.end()
    assert (lab.verdict, lab.over) == ("pass", True)
    lab = Lab()
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    assert "n1 has restarted and lost its part of the run (freeing)" in lab.whys


def test_a_node_that_says_again_that_it_is_free_gives_the_others_no_more_time() -> None:
    """The broker says so every few seconds, for a controller that may have missed it."""
    lab = Lab()
    lab.open()
    while lab.run.state == "phases":
        lab.go_through()
    for _ in range(6):
        lab.hear(Freed(run=RUN, node="n1", incarnation=1, records=0, reset_failed=False))
        lab.wait(5)
    assert "n2 did not come free" in lab.whys


def test_a_node_that_ends_between_its_confirmation_and_the_go_is_not_waited_for() -> None:
    """The broker counts it among those that start; nobody will ever say that it has finished."""
    lab = Lab()
    lab.open()
    lab.ready()
    lab.hear(NodeLost(run=RUN, node="n2", sentence="the agent on n2 has ended: SIGTERM", gone=True))
    lab.wait(0)
    lab.commit()
    assert lab.last(Cancel).node == "n1"
    lab.finish("n1", reason="stopped")
    assert lab.phase == "1/collect"


def test_a_node_whose_agent_said_goodbye_is_lost_at_once() -> None:
    """Somebody has stopped it: there is nothing to wait for."""
    lab = running()
    lab.hear(NodeLost(run=RUN, node="n2", sentence="the agent on n2 has ended: SIGTERM", gone=True))
    lab.wait(0)
    assert "the agent on n2 has ended: SIGTERM (running" in lab.whys
    assert lab.last(Cancel).node == "n1"
    assert lab.verdict == "error"
    lab.finish("n1", reason="stopped")
    (ended,) = (note for note in lab.notes if isinstance(note, PhaseEnded))
    assert ended.failed, "half of the phase is missing"


def test_a_failure_that_ends_a_phase_is_told_once() -> None:
    """The others' steps read `ended by the fabric`, and nothing else says why."""
    lab = running()
    for node in ("n1", "n2"):
        lab.read(node, finished("1/run/a/a-1", failed=True, exit_code=7, message="exit 7"))
    told = [note.message for note in lab.notes if isinstance(note, Notice)]
    assert told == ["phase 1/run is ended early: run/a step a-1 failed on n1"]


def test_a_phase_that_did_not_end_has_every_field() -> None:
    """A script that asks each phase for its skew must not break at the one that was not started."""
    lab = Lab()
    lab.open()
    lab.ready()
    lab.abort({"n1": "busy"})
    (aborted,) = result_of(lab.run)["phases"]
    lab = running()
    lab.finish()
    ended = result_of(lab.run)["phases"][0]
    assert aborted.keys() == ended.keys()
    assert (aborted["failed"], aborted["skew_s"], ended["failed"]) == (None, None, False)


def test_the_timeout_of_the_trial_fails_it() -> None:
    """And collect and reset still happen."""
    lab = running(TRIAL.replace('name = "t"', 'name = "t"\ntimeout = "10s"'))
    lab.wait(9.9)
    assert lab.verdict == "pass"
    lab.wait(0.2)
    assert lab.verdict == "fail"
    ran = "running phase 1/run; a step a-1 ran on n[1-2]"
    assert lab.whys == f"t.toml: the trial was not done within its timeout of 10 s ({ran})"
    assert lab.count(Cancel) == 2
    lab.finish(reason="stopped")
    assert [note.failed for note in lab.notes if isinstance(note, PhaseEnded)] == [True]


def test_one_interrupt_ends_the_phase_collects_and_resets() -> None:
    """Ctrl-C once."""
    lab = running(repeats=3)
    lab.do(lab.run.interrupt(lab.now_ns))
    assert lab.last(Cancel).everything is False
    lab.finish(reason="stopped")
    assert lab.phase == "1/collect"
    assert lab.last(Prepare).stopped is False
    through(lab)
    assert lab.phase == "1/reset"
    assert lab.verdict == "interrupted"


def test_two_interrupts_reset_only() -> None:
    """Ctrl-C twice."""
    lab = running()
    lab.do(lab.run.interrupt(lab.now_ns))
    lab.do(lab.run.interrupt(lab.now_ns))
    assert lab.last(Cancel).everything is True
    lab.finish(reason="stopped")
    assert lab.phase == "1/reset"


def test_three_interrupts_leave() -> None:
    """Ctrl-C three times: the leases clean up."""
    lab = running()
    for _ in range(3):
        lab.do(lab.run.interrupt(lab.now_ns))
    assert lab.over
    assert lab.verdict == "interrupted"


def test_the_verdict_waits_until_every_record_of_a_free_node_was_read() -> None:
    """The last words of a node come by the feed, its freedom by control: they race."""
    lab = running()
    lab.finish()
    lab.go_through()
    lab.go_through()
    assert lab.count(Free) == 2
    known = lab.run.desk.history.read_records["n1", 1]
    lab.hear(Freed(run=RUN, node="n1", incarnation=1, records=known + 1, reset_failed=False))
    lab.hear(Freed(run=RUN, node="n2", incarnation=1, records=0, reset_failed=False))
    assert not any(isinstance(note, RunEnded) for note in lab.notes)
    lab.read("n1", finished("1/run/a/a-9"))
    assert any(isinstance(note, RunEnded) for note in lab.notes)


def test_a_broker_that_is_gone_for_good_is_an_error() -> None:
    """With the sentence of the connection."""
    lab = running()
    lab.do(lab.run.broker_gone("no word from the broker for 60 s"))
    assert (lab.verdict, lab.over) == ("error", True)


def test_the_result_says_what_happened() -> None:
    """result.json is what scripts read."""
    lab = through(running())
    result = result_of(lab.run)
    assert (result["verdict"], result["exit_code"]) == ("pass", 0)
    assert len([step for step in result["steps"] if step["phase"] == "run"]) == 2
    assert result["nodes"]["n1"]["roles"] == ["a"]


def test_each_try_at_a_go_gets_more_time() -> None:
    """Who was too busy to confirm the first go would be so for two more that are just like it."""
    lab = Lab()
    lab.open()
    lab.ready()
    allowed = [lab.last(StartPhase).max_rtt_ns]
    for _ in range(GO_ATTEMPTS - 1):
        lab.abort({"n1": "n1 did not confirm the go in time"})
        lab.wait(7)
        allowed.append(lab.last(StartPhase).max_rtt_ns)
    assert len(set(allowed)) == GO_ATTEMPTS - 1
    assert allowed == sorted(allowed)


def test_a_reset_that_has_begun_on_one_node_only_follows_on_the_other() -> None:
    """Ending it where it has begun would leave both nodes dirty for the sake of simultaneity."""
    lab = Lab(phases=())
    lab.open()
    lab.ready()
    lab.abort({"n2": "n2 did not confirm the go in time"}, started=("n1",))
    lab.wait(2)
    assert lab.last(StartPhase).nodes == ("n2",)
    lab.commit()
    lab.finish("n2")
    assert lab.run.state == "phases"
    lab.finish("n1")
    lab.end()
    assert lab.count(Cancel) == 0
    assert (lab.verdict, lab.over) == ("pass", True)


COLLECTS = TRIAL.replace('a = "gather"', 'a = { cmd = "gather", when = "always" }')


def test_what_is_collected_after_a_failure_is_collected_though_a_node_is_lost_before_it_starts() -> None:
    """What explains the failure is wanted most when something fails."""
    lab = running(COLLECTS)
    lab.finish()
    assert lab.phase == "1/collect"
    lab.hear(NodeBack(run=RUN, node="n1", incarnation=2, works_on=False))
    assert (lab.phase, lab.last(Prepare).node, lab.last(Prepare).stopped) == ("1/collect", "n2", True)
    lab.ready("n2")
    assert lab.last(StartPhase).nodes == ("n2",)


def test_what_follows_a_failure_is_done_without_a_node_that_refuses_it() -> None:
    """One node's broken line must not cost the files of the others."""
    lab = running(COLLECTS)
    lab.finish()
    lab.hear(Refused(run=RUN, node="n1", phase="1/collect", step="", sentence="the launcher died"))
    lab.ready("n2")
    assert (lab.phase, lab.last(Prepare).node, lab.last(Prepare).stopped) == ("1/collect", "n2", True)
    lab.ready("n2")
    assert lab.last(StartPhase).nodes == ("n2",)
    lab.commit()
    lab.finish("n2")
    assert lab.phase == "1/reset"
    assert lab.count(Cancel) == 0


def test_nodes_that_kept_a_go_from_coming_for_the_same_reason_are_told_together() -> None:
    """Sixty sentences that differ in a number are read by nobody."""
    lab = Lab()
    lab.open()
    lab.ready()
    late = {node: f"{node} did not confirm the go in time" for node in ("n1", "n2")}
    lab.abort(late, started=("n1",))
    assert "began on n1 only, and was ended there: n[1-2] did not confirm the go in time" in lab.whys


def test_nodes_that_took_long_to_be_ready_get_more_time_for_the_go() -> None:
    """A machine that is busy is busy still when the go comes; the shortest round trip does not show that."""
    lab = Lab()
    lab.open()
    lab.now_ns += S // 5
    lab.ready()
    assert lab.last(StartPhase).ready_ns == S // 5


def test_a_lead_that_is_too_short_is_named_and_keeps_nobody_from_the_reset() -> None:
    """Whoever wrote it has to learn of it, and the nodes are to be clean all the same."""
    lab = Lab(TRIAL.replace('name = "t"', 'name = "t"\nlead = "1ms"'), phases=("run",))
    lab.open()
    lab.ready()
    for _ in range(GO_ATTEMPTS):
        assert lab.last(StartPhase).lead_s == 0.001
        lab.abort({"n2": "n2 did not confirm the go in time"}, late=True)
        lab.wait(7)
    assert "its lead of 1 ms may be too short" in lab.whys
    lab.ready()
    lab.abort({"n2": "n2 did not confirm the go in time"})
    lab.wait(3)
    assert lab.last(StartPhase).phase == "1/reset"
    assert lab.last(StartPhase).lead_s is None
