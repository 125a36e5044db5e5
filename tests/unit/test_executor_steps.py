"""What a node does by itself, when spawned steps are ready, and when a step is tried again."""

import pytest

from agents.effects import Arm, Bring, Check, Drop, End, Look, Release, Ship, StopTransfer, Transfer
from fabric.protocol.messages import (
    Abandon,
    Abort,
    Aborted,
    Cancel,
    FileSource,
    Free,
    Ready,
    ReadyWhen,
    Refused,
)
from fabric.protocol.records import PhaseFinished, StepFinished, StepReady, StepSkipped, StepStarted
from tests.unit.scripted_node import MS, OFFSET_NS, RUN, Node, running, step

S = 1000 * MS

WAIT = {"verb": "wait", "argv": (), "timeout_s": None}
SPAWN = {"verb": "spawn", "timeout_s": None}


def cancel(*, everything: bool = False) -> Cancel:
    return Cancel(run=RUN, node="lab1", phase="1/run", everything=everything, sentence="interrupted")


def at(node: Node, now_ns: int) -> None:
    """Let this instant come."""
    node.now_ns = now_ns
    node.do(node.executor.expire(now_ns))


# --- what the agent does by itself ------------------------------------------------------------------------


def test_a_first_wait_counts_from_t0_and_the_next_step_begins_after_it() -> None:
    """A wait is the way to let two roles begin at different times."""
    node = Node()
    node.prepare(step("a-1", **WAIT, wait_s=2.0), step("a-2"))
    assert not node.wants(Arm)
    node.go(lead_ns=20 * MS)
    t0_ns = node.now_ns + 20 * MS
    at(node, t0_ns + 3 * MS)  # late, as a shell is
    assert node.executor.deadline_ns == t0_ns + 2 * S
    at(node, t0_ns + 2 * S - 1)
    assert not node.wants(Arm)
    at(node, t0_ns + 2 * S)
    (start,), (end,) = node.of(StepStarted), node.of(StepFinished)
    assert (start.event, start.pid, start.go, start.t_ns) == ("agent", 0, 0, t0_ns + OFFSET_NS)
    assert (end.reason, end.failed, end.duration_ns) == ("done", False, 2 * S)
    assert [arm.step.step for arm in node.wants(Arm)] == ["1/run/a/a-2"]


def test_a_wait_in_the_middle_counts_from_the_end_of_the_step_before() -> None:
    """Steps of a role come one after another."""
    node = running(step("a-1"), step("a-2", **WAIT, wait_s=1.0))
    node.now_ns += 500 * MS
    node.finish(node.key("a-1"))
    at(node, node.now_ns + S - 1)
    assert not node.of(PhaseFinished)
    at(node, node.now_ns + 1)
    assert node.of(PhaseFinished)


def test_offsets_hold_for_steps_that_are_no_programs_too() -> None:
    """`at` counts from the go, whatever the step does."""
    node = running(step("a-1"), step("a-2", **WAIT, wait_s=1.0, at_s=5.0), step("b-1", **WAIT, at_s=2.0))
    t0_ns = node.now_ns
    node.finish(node.key("a-1"))
    at(node, t0_ns + 2 * S)
    assert [end.step for end in node.of(StepFinished)] == ["1/run/a/a-1", "1/run/b/b-1"]
    at(node, t0_ns + 5 * S)
    at(node, t0_ns + 6 * S)
    assert node.of(PhaseFinished)
    planned = {start.step: start.planned_ns - OFFSET_NS - t0_ns for start in node.of(StepStarted)}
    assert planned["1/run/a/a-2"] == 5 * S


def test_a_wait_is_ended_by_its_timeout_by_cancel_and_by_the_end_of_the_run() -> None:
    """Nothing that a node does may keep it from coming free."""
    late = running(step("a-1", **(WAIT | {"timeout_s": 1.0}), wait_s=9.0))
    at(late, late.now_ns + S)
    assert [(end.reason, end.failed) for end in late.of(StepFinished)] == [("timeout", True)]

    cut = running(step("a-1", **WAIT, wait_s=9.0), step("a-2"))
    cut.do(cut.executor.receive(cancel(), cut.now_ns))
    assert [(end.reason, end.failed) for end in cut.of(StepFinished)] == [("stopped", False)]
    assert cut.of(StepSkipped)
    assert cut.of(PhaseFinished)

    freed = running(step("a-1", **WAIT, wait_s=9.0))
    freed.do(freed.executor.receive(Free(run=RUN, node="lab1"), freed.now_ns))
    assert freed.wants(Ship)

    alone = running(step("a-1", **WAIT, wait_s=9.0))
    alone.do(alone.executor.receive(Abandon(run=RUN, sentence="gone"), alone.now_ns))
    assert alone.wants(Ship)


def test_a_phase_of_waits_alone_can_be_aborted_and_tried_again() -> None:
    """There is nothing that the launcher would have to hold back."""
    node = Node()
    node.prepare(step("a-1", **WAIT, wait_s=1.0))
    node.go(1)
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    assert node.last() == Aborted(run=RUN, phase="1/run", go=1, started=False)
    at(node, node.now_ns + S)
    assert not node.of(StepStarted)
    node.go(2)
    at(node, node.now_ns + 20 * MS)
    assert len(node.of(StepStarted)) == 1


def test_stop_ends_a_spawned_step_and_is_done_when_that_is_over() -> None:
    """What comes after a stop may rely on it: the port is free, the file is written."""
    node = running(
        step("a-1", **SPAWN, signal=2, grace_s=1.0), step("a-2", verb="stop", target="1/run/a/a-1")
    )
    assert [(end.signal, end.grace_s) for end in node.wants(End)] == [(2, 1.0)]
    assert not node.of(PhaseFinished)
    node.finish(node.key("a-1"), code=None, signal=2)
    server, stop = node.of(StepFinished)
    assert (server.reason, server.failed) == ("stopped", False)
    assert (stop.reason, stop.failed) == ("done", False)
    assert stop.message == "ended a-1: killed by SIGINT", "the server was, not the stop"
    assert not node.of(PhaseFinished)[0].failed


def test_stop_says_that_there_was_nothing_to_end() -> None:
    """It is what was wanted, but hardly what was expected."""
    node = running(step("a-1", **SPAWN, may_exit=True), step("b-1"))
    node.finish(node.key("a-1"), code=7)
    node.finish(node.key("b-1"))
    stops = (
        step("a-1", "1/collect", verb="stop", target="1/run/a/a-1"),
        step("b-1", "1/collect", verb="stop", target="1/run/a/a-9"),
    )
    node.prepare(*stops, phase="1/collect")
    node.go(phase="1/collect")
    at(node, node.now_ns + 20 * MS)
    over, never = node.of(StepFinished)[2:]
    assert (over.message, over.failed) == ("a-1 was over already: exit 7", False)
    assert (never.message, never.failed) == ("a-9 has never begun here", False)


def test_many_steps_that_are_over_at_once_are_no_deep_matter() -> None:
    """200 steps in a phase, one after another in one turn."""
    stops = [step(f"a-{index}", verb="stop", target="1/run/a/none") for index in range(500)]
    node = running(*stops)
    at(node, node.now_ns)
    assert len(node.of(StepFinished)) == 500
    assert len(node.of(PhaseFinished)) == 1


# --- files ------------------------------------------------------------------------------------------------


def test_a_put_and_a_fetch_are_steps_of_their_lane() -> None:
    """The next step needs what was put; what could not be fetched is a failure."""
    put = step("a-1", verb="put", argv=(), files=(FileSource(path="x", size=1, sha256="0", mode=0o644),))
    node = running(put, step("a-2", verb="fetch", argv=(), paths=("*.log",)), step("a-3"))
    at(node, node.now_ns)
    assert [effect.step.step for effect in node.wants(Transfer)] == ["1/run/a/a-1"]
    node.do(node.executor.transferred(node.key("a-1"), False, "1 file", node.now_ns))
    node.do(node.executor.transferred(node.key("a-2"), True, "nothing is like *.log", node.now_ns))
    assert [(end.reason, end.failed) for end in node.of(StepFinished)] == [("done", False), ("done", True)]
    assert node.of(StepSkipped)
    assert node.of(PhaseFinished)[0].failed


def test_a_transfer_that_takes_too_long_is_stopped_and_over_when_it_says_so() -> None:
    """A file may be half written at that moment."""
    node = running(step("a-1", verb="put", argv=(), timeout_s=2.0))
    at(node, node.now_ns)
    at(node, node.now_ns + 2 * S)
    assert len(node.wants(StopTransfer)) == 1
    assert not node.of(StepFinished)
    node.do(node.executor.transferred(node.key("a-1"), True, "3 of 9 bytes came", node.now_ns))
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("timeout", True)
    assert "3 of 9" in end.message


def test_what_a_full_disk_does_not_take_is_the_labs_matter() -> None:
    """The step has not failed in what it is there to find out; with `retries` it is done again."""
    put = running(step("a-1", verb="put", argv=(), attempts=2))
    at(put, put.now_ns)
    for _ in range(2):
        full = put.executor.transferred(put.key("a-1"), True, "cannot write", put.now_ns, "the disk is full")
        put.do(full)
    ends = put.of(StepFinished)
    assert [(end.reason, end.message, end.retried) for end in ends] == [
        ("lost", "the disk is full", True),
        ("lost", "the disk is full", False),
    ]

    measured = running(step("a-1", bring=("out.json",)))
    key = measured.key("a-1")
    measured.finish(key)
    measured.do(measured.executor.brought(key, measured.now_ns, "the disk is full"))
    (end,) = measured.of(StepFinished)
    assert (end.reason, end.failed, end.message, end.exit_code) == ("lost", True, "the disk is full", 0)


def test_the_files_of_a_metric_are_fetched_before_the_step_is_reported_as_over() -> None:
    """Who reads of the end must find the metric's file before it; but no reset waits for a network."""
    node = running(step("a-1", bring=("out.json",)))
    key = node.key("a-1")
    node.finish(key)
    assert [effect.key for effect in node.wants(Bring)] == [key]
    assert not node.of(StepFinished)
    node.do(node.executor.brought(key, node.now_ns))
    assert len(node.of(StepFinished)) == len(node.of(PhaseFinished)) == 1

    alone = running(step("a-1", bring=("out.json",)))
    key = alone.key("a-1")
    alone.finish(key)
    alone.do(alone.executor.receive(Abandon(run=RUN, sentence="gone"), alone.now_ns))
    assert [effect.key for effect in alone.wants(StopTransfer)] == [key]

    cut = running(step("a-1", bring=("out.json",)))
    cut.do(cut.executor.receive(cancel(everything=True), cut.now_ns))
    cut.finish(cut.key("a-1"), code=None, signal=15)
    assert not cut.wants(Bring)
    assert cut.of(PhaseFinished)


# --- ready ------------------------------------------------------------------------------------------------


def spawned(when: ReadyWhen, *more: object, **changes: object) -> Node:
    return running(step("a-1", **(SPAWN | {"ready": when} | changes)), *more)  # type: ignore[arg-type]


def test_the_lane_and_the_phase_wait_until_a_port_is_listened_on() -> None:
    """A client that starts before its server listens fails for no reason that anybody wants to know."""
    node = spawned(ReadyWhen(port=5201), step("a-2"))
    assert len(node.wants(Look)) == 1  # at once
    key = node.key("a-1")
    pauses = []
    for _ in range(9):
        node.do(node.executor.looked(key, "", "", node.now_ns))
        deadline_ns = node.executor.deadline_ns
        assert deadline_ns is not None
        pauses.append((deadline_ns - node.now_ns) // MS)
        at(node, deadline_ns)
    assert pauses[:3] == [20, 30, 45]
    assert pauses[-1] == 250
    assert not node.of(PhaseFinished)
    assert len(node.wants(Arm)) == 1
    node.do(node.executor.looked(key, "pid 7 (x) on tcp 0.0.0.0:5201 listens", "", node.now_ns))
    (ready,) = node.of(StepReady)
    assert (ready.t_ns, ready.what) == (node.now_ns + OFFSET_NS, "pid 7 (x) on tcp 0.0.0.0:5201 listens")
    assert len(node.wants(Arm)) == 2
    looks = len(node.wants(Look))
    at(node, node.now_ns + 5 * S)
    assert len(node.wants(Look)) == looks


def test_a_step_that_is_not_ready_in_time_is_ended_and_has_failed() -> None:
    """The sentence says what was waited for, and what was there instead."""
    node = spawned(ReadyWhen(port=5201, within_s=3.0), step("a-2"))
    node.do(node.executor.looked(node.key("a-1"), "", "but pid 9 (other) has it", node.now_ns))
    at(node, node.now_ns + 3 * S)
    assert node.executor.deadline_ns is None  # the launcher keeps its grace; nothing is to be done meanwhile
    at(node, node.now_ns + S)
    assert len(node.wants(End)) == 1
    node.finish(node.key("a-1"), code=None, signal=15)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed, end.retried) == ("not_ready", True, False)
    assert end.message == "nothing listens on port 5201 within 3 s (but pid 9 (other) has it)"
    assert node.of(StepSkipped)
    assert node.of(PhaseFinished)[0].failed


@pytest.mark.parametrize("may_exit", [False, True])
def test_a_step_that_ends_while_it_is_waited_for_has_failed_at_once(may_exit: bool) -> None:
    """There is nothing to wait for any more, whatever the step may do later."""
    node = spawned(ReadyWhen(file="x"), may_exit=may_exit)
    node.finish(node.key("a-1"), code=0)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("ended_early", True)
    assert end.message == "ended before it was ready: exit 0"
    assert node.of(PhaseFinished)


def test_a_line_shows_a_step_ready_however_its_bytes_come() -> None:
    """Chunks end where they like, also inside of a letter; and before the launcher has told of the start."""
    node = Node()
    node.prepare(step("a-1", **SPAWN, ready=ReadyWhen(log="höre auf [0-9]+$")))
    key = node.key("a-1")
    assert node.executor.reads_output(key)
    node.go()
    line = "ich höre auf 80\r\n".encode()
    for index in range(len(line)):
        node.do(node.executor.wrote(key, "stderr", line[index : index + 1], node.now_ns))
    assert not node.of(StepReady)
    node.start_all()
    assert len(node.of(StepReady)) == 1
    assert len(node.of(PhaseFinished)) == 1
    assert not node.executor.reads_output(key)


def test_a_prompt_without_an_end_of_line_shows_a_step_ready() -> None:
    """Who asks for something does not end the line."""
    node = spawned(ReadyWhen(log="^login: $"))
    node.do(node.executor.wrote(node.key("a-1"), "stdout", b"hello\nlogin: ", node.now_ns))
    assert len(node.of(StepReady)) == 1


def test_a_wrong_expression_is_refused_before_anything_is_armed() -> None:
    """It would never match, and nobody would know why."""
    node = Node()
    node.prepare(step("b-1"), step("a-1", **SPAWN, ready=ReadyWhen(log="(")))
    assert isinstance(node.last(), Refused)
    assert node.last().step == "1/run/a/a-1"
    assert not node.wants(Arm)


def test_a_command_is_run_again_until_it_succeeds() -> None:
    """One at a time, each a process of the launcher's, so that nothing of it is left; and not reported."""
    node = spawned(ReadyWhen(cmd=("check", "it")), env={"A": "1"}, dir="here")
    for turn in (1, 2):
        arm = node.wants(Arm)[-1]
        assert (arm.step.argv, arm.step.env, arm.step.dir) == (("check", "it"), {"A": "1"}, "here")
        assert arm.key == f"{RUN}|1/run/a/a-1|1|{turn}"
        node.start_all()
        node.do(node.executor.wrote(arm.key, "stderr", b"not yet\n", node.now_ns))
        node.finish(arm.key, code=1 if turn == 1 else 0)
        assert node.executor.deadline_ns is None or turn == 1 or not node.of(StepReady)
        if turn == 1:
            at(node, node.now_ns + 200 * MS - 1)
            assert len(node.wants(Arm)) == 2
            at(node, node.now_ns + 1)
    assert len(node.of(StepReady)) == 1
    assert len(node.of(StepStarted)) == 1
    assert not node.of(StepFinished)
    assert node.executor.steps.keys == [f"{RUN}|1/run/a/a-1|1"]


def test_nobody_reads_the_lines_of_a_step_that_is_ended() -> None:
    """It may print for its whole grace, and nothing that it says can make it ready any more."""
    node = spawned(ReadyWhen(log="up", within_s=1.0))
    key = node.key("a-1")
    assert node.executor.reads_output(key)
    at(node, node.now_ns + S)
    assert not node.executor.reads_output(key)


def test_the_last_words_of_a_command_that_never_succeeds_are_told() -> None:
    """They are recorded nowhere else."""
    node = spawned(ReadyWhen(cmd=("/bin/sh", "-c", "check it"), within_s=1.0))
    probe = node.wants(Arm)[-1].key
    node.start_all()
    node.do(node.executor.wrote(probe, "stdout", b"still\nasleep\n", node.now_ns))
    node.finish(probe, code=3)
    at(node, node.now_ns + S)
    node.finish(node.key("a-1"), code=None, signal=15)
    (end,) = node.of(StepFinished)
    assert end.message == "`check it` did not succeed within 1 s (exit 3, its last line: asleep)"


def test_a_command_that_hangs_is_ended_with_the_wait_for_it() -> None:
    """A probe must not outlive what it looks at."""
    node = spawned(ReadyWhen(cmd=("check",), within_s=1.0))
    node.start_all()
    at(node, node.now_ns + S)
    assert sorted(end.key.count("|") for end in node.wants(End)) == [2, 3]


def test_the_phase_that_ends_a_step_waits_for_its_probe_and_not_for_ever() -> None:
    """A command that has much to say, or ignores TERM, outlives its step by a second."""
    node = spawned(ReadyWhen(cmd=("check",), within_s=1.0))
    node.start_all()
    probe = node.wants(Arm)[-1].key
    at(node, node.now_ns + S)
    node.finish(node.key("a-1"), code=None, signal=15)
    assert node.of(PhaseFinished)
    node.prepare(phase="1/collect", end=("1/run/a/a-1",))
    assert not isinstance(node.last(), Ready)
    node.finish(probe, code=None, signal=9)
    assert isinstance(node.last(), Ready)


def test_a_cancel_leaves_a_spawned_step_that_is_waited_for_alive_and_goes_on() -> None:
    """It lives until its phase comes, as the others do: collect may want to know what it did."""
    node = spawned(ReadyWhen(cmd=("check",)), step("a-2"))
    node.do(node.executor.receive(cancel(), node.now_ns))
    assert len(node.of(PhaseFinished)) == 1
    (end,) = node.wants(End)
    assert end.key == f"{RUN}|1/run/a/a-1|1|1"
    node.finish(end.key, code=None, signal=15)
    assert node.executor.steps.keys == [f"{RUN}|1/run/a/a-1|1"]
    assert [skip.step for skip in node.of(StepSkipped)] == ["1/run/a/a-2"]


def test_a_spawned_step_that_may_exit_has_not_failed_when_it_does() -> None:
    """Some loads end when they have done their work."""
    node = running(step("a-1", **SPAWN, may_exit=True))
    node.finish(node.key("a-1"), code=9)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("exited", False)


# --- attempts ---------------------------------------------------------------------------------------------


def test_an_attempt_that_failed_is_followed_by_the_next_and_the_step_has_not_failed() -> None:
    """With `retry_on = "fail"`; each attempt has its own number, and only the last one counts."""
    node = running(step("a-1", attempts=3, retry_on="fail", timeout_s=1.0, at_s=0.5), step("a-2"))
    node.finish(node.key("a-1"), code=1)
    assert node.wants(Arm)[-1].key.endswith("a-1|2")
    assert node.wants(Release)[-1].t0_ns == 0  # its offset was the first attempt's
    node.start_all()
    at(node, node.now_ns + S)
    node.finish(node.key("a-1"), code=None, signal=15)
    node.start_all()
    node.finish(node.key("a-1"), code=0)
    ends = [(end.attempt, end.reason, end.failed, end.retried) for end in node.of(StepFinished)]
    assert ends == [(1, "exited", True, True), (2, "timeout", True, True), (3, "exited", False, False)]
    node.start_all()
    node.finish(node.key("a-2"))
    assert not node.of(PhaseFinished)[0].failed


def test_the_last_attempt_decides() -> None:
    """Then the step has failed like any other."""
    node = running(step("a-1", attempts=2, retry_on="fail"))
    node.finish(node.key("a-1"), code=1)
    node.start_all()
    node.finish(node.key("a-1"), code=1)
    assert [end.retried for end in node.of(StepFinished)] == [True, False]
    assert node.of(PhaseFinished)[0].failed


def test_by_default_only_an_error_is_tried_again() -> None:
    """A test that fails is a result; a program that could not be started, or was not ready, is none."""
    failing = running(step("a-1", attempts=2))
    failing.finish(failing.key("a-1"), code=1)
    assert [end.retried for end in failing.of(StepFinished)] == [False]

    unready = spawned(ReadyWhen(file="x", within_s=1.0), attempts=2)
    at(unready, unready.now_ns + S)
    unready.finish(unready.key("a-1"), code=None, signal=15)
    assert [end.retried for end in unready.of(StepFinished)] == [True]
    unready.start_all()
    assert unready.wants(Look)[-1].key.endswith("|2")

    absent = Node()
    absent.bad_programs = {"nope"}
    absent.prepare(step("a-1"), step("a-2", argv=("nope",), attempts=3))
    absent.go()
    absent.start_all()
    absent.finish(absent.key("a-1"))
    assert [end.retried for end in absent.of(StepFinished)] == [False, True, True, False]

    put = running(step("a-1", verb="put", argv=(), attempts=2))
    at(put, put.now_ns)
    put.do(put.executor.transferred(put.key("a-1"), True, "cut", put.now_ns))
    assert [end.retried for end in put.of(StepFinished)] == [True]
    assert [effect.key[-1] for effect in put.wants(Transfer)] == ["1", "2"]


def test_a_launcher_that_died_is_no_reason_to_fail_if_another_attempt_is_left() -> None:
    """The new launcher does what the old one could not end."""
    node = running(step("a-1", attempts=2))
    key = node.key("a-1")
    node.do(node.executor.launcher_died("the launcher died", node.now_ns))
    node.do(node.executor.stream_ended(key, "stdout", 5, node.now_ns))
    node.do(node.executor.stream_ended(key, "stderr", 0, node.now_ns))
    assert [(end.reason, end.retried) for end in node.of(StepFinished)] == [("lost", True)]
    assert node.wants(Arm)[-1].key.endswith("|2")


def test_nothing_is_tried_again_in_a_phase_that_was_ended() -> None:
    """Ctrl-C means that nothing more begins; neither does it after another step's failure."""
    node = running(step("a-1", attempts=3, retry_on="fail"), step("b-1"))
    node.finish(node.key("b-1"), code=1)
    node.finish(node.key("a-1"), code=1)
    assert [end.retried for end in node.of(StepFinished)] == [False, False]

    cut = running(step("a-1", attempts=3, retry_on="fail", when="always"))
    cut.do(cut.executor.receive(cancel(everything=True), cut.now_ns))
    cut.finish(cut.key("a-1"), code=1)
    assert [end.retried for end in cut.of(StepFinished)] == [False]


def test_a_spawned_step_that_dies_after_its_lane_went_on_is_not_started_again() -> None:
    """What runs beside it was measured against the one that died."""
    node = running(step("a-1", **SPAWN, attempts=3, retry_on="fail"), step("b-1"))
    node.finish(node.key("a-1"), code=1)
    assert [(end.reason, end.retried) for end in node.of(StepFinished)] == [("ended_early", False)]


# --- looking before anything begins -----------------------------------------------------------------------


def wanted(*steps: object) -> dict[str, str]:
    """Return what is looked for of which step: account, place, port."""
    node = Node()
    node.prepare(*steps)  # type: ignore[arg-type]
    (check,) = node.wants(Check)
    return {
        one.step.step.rpartition("/")[2]: "".join(
            letter
            for letter, is_wanted in zip("apl", (one.account, one.place, one.port), strict=True)
            if is_wanted
        )
        for one in check.wanted
    }


def test_later_steps_are_looked_at_unless_an_earlier_one_may_make_what_they_need() -> None:
    """What is certainly wrong is refused before anything has started anywhere; what may come is not."""
    put = {"verb": "put", "argv": (), "files": (FileSource(path="tool", size=1, sha256="0", mode=0o755),)}
    server = SPAWN | {"ready": ReadyWhen(port=1)}
    assert wanted(step("a-1", **server), step("a-2", user="joe"), step("a-3", user="joe")) == {
        "a-1": "l",  # the launcher looks at the rest of it
        "a-2": "ap",
        "a-3": "a",  # a command came before
    }
    assert wanted(step("a-1"), step("a-2", **server), step("b-1", verb="wait"), step("b-2", **server)) == {
        "a-2": "",
        "b-2": "pl",
    }
    assert wanted(step("a-1", **put), step("a-2", argv=("other",)), step("b-1")) == {"a-2": "p"}
    assert wanted(step("a-1", **put), step("a-2", argv=("./tool",))) == {"a-2": ""}
    assert wanted(step("a-1", **put), step("a-2", dir="sub")) == {"a-2": ""}
    assert wanted(step("a-1", **put), step("a-2", dir="/var")) == {"a-2": "p"}
    assert wanted(step("a-1"), step("a-2", user="joe", when="failed")) == {}


def test_a_phase_with_a_step_that_cannot_be_done_is_refused_with_it() -> None:
    """And what was armed for it is dropped."""
    node = Node()
    node.problem = ("1/run/a/a-2", "there is no program")
    node.prepare(step("a-1"), step("a-2"))
    assert (node.last().step, node.last().sentence) == node.problem
    assert [drop.key for drop in node.wants(Drop)] == [f"{RUN}|1/run/a/a-1|1"]
    assert not node.executor.steps
