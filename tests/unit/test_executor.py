"""The Executor with a scripted launcher: what a node does with its part of a run."""

import pytest

from agents.effects import Arm, Drop, End, Hold, Release, Send, Ship
from agents.executor import BEGIN_NS
from agents.going import LATE_NS
from agents.memo import FORMAT, Context, Head, Scribe
from agents.remembered import Memo
from agents.step_run import Exit, Start
from fabric.protocol.codec import pack
from fabric.protocol.messages import (
    Abandon,
    Abort,
    Aborted,
    Cancel,
    Confirm,
    Declined,
    Free,
    PhaseDone,
    Prepare,
    Ready,
    Refused,
)
from fabric.protocol.records import PhaseFinished, StepFinished, StepSkipped, StepStarted
from fabric.timing.offset import Estimate
from tests.unit.scripted_node import MS, OFFSET_NS, RUN, Node, owing, running, step

T0_NS = OFFSET_NS + 1020 * MS
"""Of a go that a node gets at the beginning of its time."""


def test_a_node_is_ready_only_when_the_first_step_of_every_role_is_armed() -> None:
    """Ready is the promise that nothing but the release is missing."""
    node = Node()
    message = Prepare(
        run=RUN, node="lab1", phase="1/run", end=(), failed=False, stopped=False,
        steps=(step("a-1"), step("a-2"), step("b-1")),
    )  # fmt: skip
    effects = node.executor.receive(message, node.now_ns)
    assert [effect.key.split("/")[-1] for effect in effects if isinstance(effect, Arm)] == ["a-1|1", "b-1|1"]
    node.executor.checked("1/run", None, node.now_ns)
    node.executor.clock_refreshed(node.now_ns)
    assert node.executor.armed(node.key("a-1"), node.now_ns) == []
    (ready,) = node.executor.armed(node.key("b-1"), node.now_ns)
    assert isinstance(ready, Send)
    assert isinstance(ready.message, Ready)
    assert ready.message.clock_bound_ns == 50_000


def test_a_node_without_the_present_clock_of_the_broker_is_not_ready() -> None:
    """No start without a bound: the broker was restarted, and its new clock is not known yet."""
    node = Node()
    node.executor.clock_changed(0, Estimate(OFFSET_NS, 50_000, 100_000))
    node.prepare(step("a-1"))
    assert node.sent == []
    node.executor.clock_changed(2, Estimate(OFFSET_NS, -1, 0))
    node.prepare(step("a-1"))
    assert node.sent == [], "a guess is no bound"
    node.executor.clock_changed(2, Estimate(OFFSET_NS, 50_000, 100_000))
    node.prepare(step("a-1"))
    assert isinstance(node.last(), Ready)
    node.go(epoch=1)
    assert isinstance(node.last(), Declined), "t0 is an instant of another clock"


def test_a_repeated_prepare_arms_nothing_twice() -> None:
    """The controller repeats what is not answered; a step must not start twice for it."""
    node = Node()
    node.prepare(step("a-1"))
    node.prepare(step("a-1"))
    assert len(node.wants(Arm)) == 1
    assert [type(message) for message in node.sent] == [Ready, Ready]


def test_a_prepare_that_has_learnt_of_a_failure_arms_what_follows_it() -> None:
    """A step failed elsewhere while this node was ready: what wants success must not begin."""
    node = Node()
    steps = (step("a-1"), step("b-1", when="failed"))
    node.prepare(*steps)
    assert [effect.step.step for effect in node.wants(Arm)] == ["1/run/a/a-1"]
    node.prepare(*steps, failed=True, stopped=True)
    assert [effect.key.split("|")[1] for effect in node.wants(Drop)] == ["1/run/a/a-1"]
    assert [effect.step.step for effect in node.wants(Arm)][1:] == ["1/run/b/b-1"]
    assert isinstance(node.last(), Ready)


def test_a_wrong_program_is_refused_and_the_rest_is_dropped() -> None:
    """Nothing has started anywhere when a trial cannot work."""
    node = Node()
    node.bad_programs = {"nope"}
    node.prepare(step("a-1"), step("b-1", argv=("nope",)))
    assert isinstance(node.last(), Refused)
    assert (node.last().step, node.last().sentence) == ("1/run/b/b-1", "no such program")
    assert [effect.key for effect in node.wants(Drop)] == [f"{RUN}|1/run/a/a-1|1"]
    node.go()
    assert isinstance(node.last(), Declined)


def test_what_a_node_lacks_is_no_step_s_fault() -> None:
    """A launcher without a descriptor left is an error of the lab, not a failure of what is tested."""
    node, why = Node(), "no process for it: Too many open files"
    node.is_slow = True
    node.prepare(step("a-1"))
    node.do(node.executor.arm_failed(node.key("a-1"), why, node.now_ns, lacks=True))
    assert (node.last().step, node.last().sentence) == ("", f"step a-1: {why}")

    later = running(step("a-1"), step("a-2"))
    later.is_slow = True
    later.finish(later.key("a-1"))
    later.do(later.executor.arm_failed(later.key("a-2"), why, later.now_ns, lacks=True))
    assert (later.of(StepFinished)[-1].reason, later.of(StepFinished)[-1].message) == ("lost", why)


def test_first_steps_are_released_together_at_t0_and_those_with_an_offset_later() -> None:
    """One release for one instant is what keeps the skew small."""
    node = Node()
    node.prepare(step("a-1"), step("b-1"), step("c-1", at_s=2.0))
    node.go(lead_ns=20 * MS)
    t0_ns = node.now_ns + 20 * MS
    releases = [(len(effect.keys), effect.t0_ns) for effect in node.wants(Release)]
    assert releases == [(2, t0_ns), (1, t0_ns + 2000 * MS)]
    assert isinstance(node.last(), Confirm)


def test_the_same_go_again_is_confirmed_and_releases_nothing() -> None:
    """The go comes by broadcast and by unicast."""
    node = Node()
    node.prepare(step("a-1"))
    node.go()
    node.go()
    assert [type(message) for message in node.sent] == [Ready, Confirm, Confirm]
    assert len(node.wants(Release)) == 1


def test_a_go_that_comes_too_late_is_declined() -> None:
    """A late start would be a silent skew; the broker aborts and tries again."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(lead_ns=LATE_NS - 1)
    assert isinstance(node.last(), Declined)
    assert "too late" in node.last().sentence
    assert node.last().late
    assert not node.wants(Release)


def test_a_go_of_another_life_of_the_broker_starts_nothing() -> None:
    """Its t0 counts on another clock."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(epoch=2)
    assert isinstance(node.last(), Declined)
    assert not node.wants(Release)


def test_an_abort_takes_the_release_back_and_the_next_go_works() -> None:
    """All or none: who had confirmed must not start."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(1)
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    assert node.wants(Hold)
    node.do(node.executor.held(node.key("a-1"), True, node.now_ns))
    assert node.last() == Aborted(run=RUN, phase="1/run", go=1, started=False)
    node.go(1)
    assert isinstance(node.last(), Declined)
    node.go(2)
    assert isinstance(node.last(), Confirm)
    node.start_all()
    assert [start.go for start in node.of(StepStarted)] == [2]


def test_an_abort_that_comes_too_late_is_told() -> None:
    """A partial start must never pass as none."""
    node = running(step("a-1"))
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    assert node.last() == Aborted(run=RUN, phase="1/run", go=1, started=True, t0_ns=T0_NS)


def test_a_release_that_could_not_be_held_is_told() -> None:
    """The launcher may have released in the very moment."""
    node = Node()
    node.prepare(step("a-1"))
    node.go()
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    node.do(node.executor.held(node.key("a-1"), False, node.now_ns))
    assert node.last() == Aborted(run=RUN, phase="1/run", go=1, started=True, t0_ns=T0_NS)


def test_a_release_that_could_not_be_held_is_told_though_its_step_is_over() -> None:
    """An agent that was held up reads the abort before it hears that the step has begun, and ended."""
    node = Node()
    node.prepare(step("a-1"))
    node.go()
    key = node.key("a-1")
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    node.do(node.executor.started(key, Start(42, node.now_ns, "exec"), node.now_ns))
    node.finish(key)
    assert not isinstance(node.last(), Aborted)
    node.do(node.executor.held(key, False, node.now_ns))
    answer, done = node.sent[-2:]
    assert isinstance(answer, Aborted)
    assert answer.started
    assert isinstance(done, PhaseDone)
    assert node.of(PhaseFinished)


def test_a_phase_that_the_controller_has_given_up_is_ended_when_the_next_one_is_prepared() -> None:
    """No abort has come through: the node began alone, and must not keep the others from their reset."""
    node = running(step("a-1"))
    node.prepare(step("a-1", phase="1/reset"), phase="1/reset")
    assert node.wants(End)
    assert not isinstance(node.last(), Refused)
    node.finish(node.key("a-1"))
    node.prepare(step("a-1", phase="1/reset"), phase="1/reset")
    assert isinstance(node.last(), Ready)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize("state", ["ready", "scheduled", "running"])
def test_an_old_prepare_does_not_end_the_present_phase(state: str, *, is_restarted: bool) -> None:
    """It was under way for long: what began it must not undo its successor, which others count on."""
    node = Node()
    startup = step("b-1", phase="1/startup")
    node.prepare(startup, phase="1/startup")
    node.go(phase="1/startup")
    node.start_all()
    node.finish(node.key("b-1"))
    node.prepare(step("a-1"))
    if state != "ready":
        node.go()
    if state == "running":
        node.start_all()
    if is_restarted:
        writing = Scribe().whole(node.executor, Context("", (), 0, ()))
        bodies = [pack(Head(format=FORMAT, software="")), *map(pack, writing)]
        node.executor = Memo.read(bodies).executor(node.executor.assign, needs_reset=False)
    said = len(node.sent)
    node.prepare(startup, phase="1/startup")
    assert len(node.sent) == said
    assert node.executor.phase is not None
    assert (node.executor.phase.phase, node.executor.phase.state) == ("1/run", state)
    assert not node.wants(Drop)
    assert not node.wants(End)


def test_a_phase_that_has_begun_by_an_earlier_go_is_told_to_have_begun() -> None:
    """Its abort was lost, and the next go must not be thought to have started nobody."""
    node = running(step("a-1"))
    node.go(2)
    assert isinstance(node.last(), Declined)
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=2), node.now_ns))
    assert isinstance(node.last(), Aborted)
    assert (node.last().go, node.last().started) == (2, True)


def test_an_abort_before_its_go_voids_the_go() -> None:
    """Broadcast and unicast may overtake each other."""
    node = Node()
    node.prepare(step("a-1"))
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    node.go(1)
    assert isinstance(node.last(), Declined)


def test_steps_of_a_role_follow_each_other_and_the_phase_ends_after_the_last() -> None:
    """Order within a role, and one end per phase."""
    node = running(step("a-1"), step("a-2"))
    assert len(node.of(StepStarted)) == 1
    node.finish(node.key("a-1"))
    assert not node.of(PhaseFinished)
    node.start_all()
    node.finish(node.key("a-2"))
    assert [end.step for end in node.of(StepFinished)] == ["1/run/a/a-1", "1/run/a/a-2"]
    assert len(node.of(PhaseFinished)) == 1
    assert [start.go for start in node.of(StepStarted)] == [1, 0]


def test_instants_are_fabric_time_with_the_bound() -> None:
    """A time without its bound proves nothing."""
    node = running(step("a-1"))
    (start,) = node.of(StepStarted)
    assert (start.t_ns, start.bound_ns) == (node.now_ns + OFFSET_NS, 50_000)
    assert start.planned_ns == start.t_ns
    assert start.local_ns == node.now_ns  # or a program's own times could not be put beside it


def test_a_failed_step_keeps_the_next_from_beginning_but_not_those_for_failures() -> None:
    """`when` decides: passed is skipped, failed and always run."""
    node = running(step("a-1"), step("a-2"), step("a-3", when="failed"), step("a-4", when="always"))
    node.finish(node.key("a-1"), code=1)
    node.start_all()
    node.finish(node.key("a-3"))
    node.start_all()
    node.finish(node.key("a-4"))
    assert [skip.step for skip in node.of(StepSkipped)] == ["1/run/a/a-2"]
    assert node.of(PhaseFinished)[0].failed


def test_on_fail_continue_goes_on() -> None:
    """The failure counts, the role goes on."""
    node = running(step("a-1", on_fail="continue"), step("a-2"))
    node.finish(node.key("a-1"), code=3)
    node.start_all()
    node.finish(node.key("a-2"))
    assert [end.failed for end in node.of(StepFinished)] == [True, False]


def test_exit_codes_in_ok_are_success() -> None:
    """`ok = [0, 3]`."""
    node = running(step("a-1", ok=(0, 3)))
    node.finish(node.key("a-1"), code=3)
    assert not node.of(StepFinished)[0].failed


def test_a_step_whose_time_is_up_is_ended_once_and_fails() -> None:
    """The limit counts from the start, and its message names it."""
    node = running(step("a-1", timeout_s=2.0))
    node.now_ns += 2000 * MS - 1
    assert node.executor.expire(node.now_ns) == []
    node.now_ns += 1
    node.do(node.executor.expire(node.now_ns))
    assert [(end.signal, end.grace_s) for end in node.wants(End)] == [(15, 5.0)]
    assert node.executor.expire(node.now_ns) == []
    node.finish(node.key("a-1"), code=None, signal=15)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("timeout", True)
    assert "2 s" in end.message


def test_a_spawned_step_lives_until_the_phase_that_ends_it_and_then_counts_as_success() -> None:
    """`until`: the prepare of that phase ends it and waits for its end."""
    node = running(step("a-1", verb="spawn", timeout_s=None))
    assert len(node.of(PhaseFinished)) == 1
    node.prepare(phase="1/collect", end=("1/run/a/a-1",))
    assert len(node.wants(End)) == 1
    assert not any(isinstance(message, Ready) and message.phase == "1/collect" for message in node.sent)
    node.finish(node.key("a-1"), code=None, signal=15)
    assert isinstance(node.last(), Ready)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("stopped", False)


def test_a_spawned_step_that_ends_by_itself_is_a_failure() -> None:
    """A server that died must not go unnoticed, even with exit code 0."""
    node = running(step("a-1", verb="spawn", timeout_s=None))
    node.finish(node.key("a-1"), code=0)
    (end,) = node.of(StepFinished)
    assert (end.reason, end.failed) == ("ended_early", True)


def test_cancel_ends_commands_and_begins_nothing() -> None:
    """Ctrl-C: the phase ends soon, spawned steps stay for collect."""
    node = running(step("a-1"), step("a-2"), step("b-1", verb="spawn", timeout_s=None))
    cancel = Cancel(run=RUN, node="lab1", phase="1/run", everything=False, sentence="interrupted")
    node.do(node.executor.receive(cancel, node.now_ns))
    node.do(node.executor.receive(cancel, node.now_ns))
    assert [end.key for end in node.wants(End)] == [node.key("a-1")]
    node.finish(node.key("a-1"), code=None, signal=15)
    assert [skip.step for skip in node.of(StepSkipped)] == ["1/run/a/a-2"]
    assert len(node.of(PhaseFinished)) == 1
    assert node.key("b-1")


def test_a_step_is_over_only_when_tree_and_streams_have_ended_too() -> None:
    """A grandchild that holds the pipe still has output to give."""
    node = running(step("a-1"))
    key = node.key("a-1")
    node.do(node.executor.exited(key, Exit(0, None, 0, 0, 0, node.now_ns), node.now_ns))
    node.do(node.executor.stream_ended(key, "stdout", 5, node.now_ns))
    assert not node.of(StepFinished)
    node.do(node.executor.ended(key, (), True, node.now_ns))
    assert not node.of(StepFinished)
    node.do(node.executor.stream_ended(key, "stderr", 0, node.now_ns))
    (end,) = node.of(StepFinished)
    assert (end.stdout_bytes, end.stderr_bytes, end.pipe_held) == (5, 0, True)


def test_an_end_that_was_seen_late_says_by_how_much_and_never_more_than_the_program_lasted() -> None:
    """The true duration lies between the stated one less that and the stated one; none is below nothing."""
    for late_ns, told_ns in ((2 * MS, 2 * MS), (31 * MS, 5 * MS), (0, 0)):
        node = running(step("a-1"))
        key = node.key("a-1")
        node.now_ns += 5 * MS
        end = Exit(0, None, 0, 0, 0, node.now_ns, seen_late_ns=late_ns)
        node.do(node.executor.exited(key, end, node.now_ns))
        node.do(node.executor.ended(key, (), False, node.now_ns))
        for stream in ("stdout", "stderr"):
            node.do(node.executor.stream_ended(key, stream, 0, node.now_ns))
        (finished,) = node.of(StepFinished)
        assert (finished.duration_ns, finished.seen_late_ns) == (5 * MS, told_ns)


def test_free_ends_everything_and_says_so_when_nothing_is_left() -> None:
    """The node may serve the next run only then."""
    node = running(step("a-1"), step("b-1", verb="spawn", timeout_s=None))
    free = Free(run=RUN, node="lab1")
    node.do(node.executor.receive(free, node.now_ns))
    assert len(node.wants(End)) == 2
    assert not node.wants(Ship)
    node.finish(node.key("a-1"), code=None, signal=15)
    node.finish(node.key("b-1"), code=None, signal=15)
    assert node.wants(Ship)[0] == Ship(RUN, dirty="")


def test_a_lost_controller_makes_the_node_stop_reset_and_come_free() -> None:
    """Nobody else will clean up; once, and in this order."""
    node = owing(step("a-1"), step("b-1", verb="spawn", timeout_s=None))
    abandon = Abandon(run=RUN, sentence="the controller is gone")
    node.do(node.executor.receive(abandon, node.now_ns))
    node.do(node.executor.receive(abandon, node.now_ns))
    node.finish(node.key("a-1"), code=None, signal=15)
    node.finish(node.key("b-1"), code=None, signal=15)
    assert "0/reset" in node.executor.steps.keys[0]
    node.start_all()
    node.finish(node.key("a-1"))
    assert [start.step for start in node.of(StepStarted)].count("0/reset/a/a-1") == 1
    assert node.wants(Ship)


def test_a_spawned_step_that_dies_before_the_reset_ends_it_leaves_no_dirty_node() -> None:
    """What is left of a run may die of what ends the run; the reset has undone all that it is for."""
    node = owing(step("a-1", verb="spawn", timeout_s=None))
    key = node.key("a-1")
    node.do(node.executor.exited(key, Exit(None, 9, 0.1, 0.2, 1000, node.now_ns), node.now_ns))
    node.do(node.executor.lease_ended("the broker was silent", node.now_ns))
    node.finish(key, code=None, signal=9)
    node.start_all()
    node.finish(node.key("a-1"))
    assert [end.reason for end in node.of(StepFinished)] == ["ended_early", "exited"]
    assert node.wants(Ship)[0] == Ship(RUN, dirty="")


def test_with_on_lost_continue_the_phase_goes_on_to_its_end() -> None:
    """The network under test may cut the control network."""
    node = owing(on_lost="continue")
    node.do(node.executor.lease_ended("the broker was silent", node.now_ns))
    assert not node.wants(End)
    node.finish(node.key("a-1"))
    node.start_all()
    node.finish(node.key("a-1"))
    assert [end.step for end in node.of(StepFinished)] == ["1/run/a/a-1", "0/reset/a/a-1"]
    assert node.wants(Ship)


def test_a_node_that_reset_already_does_not_reset_again_alone() -> None:
    """Undo exactly once."""
    node = owing()
    node.finish(node.key("a-1"))
    node.prepare(step("a-1", phase="1/reset", when="always"), phase="1/reset")
    node.go(phase="1/reset")
    node.start_all()
    node.finish(node.key("a-1"))
    node.do(node.executor.receive(Abandon(run=RUN, sentence="gone"), node.now_ns))
    assert node.wants(Ship)
    assert not any(start.step.startswith("0/reset") for start in node.of(StepStarted))


def test_a_reset_whose_program_is_missing_fails_but_the_rest_of_it_runs() -> None:
    """One broken line must not keep the others from cleaning up."""
    node = Node()
    node.bad_programs = {"nope"}
    steps = (
        step("a-1", phase="1/reset", when="always", argv=("nope",)),
        step("b-1", phase="1/reset", when="always"),
    )
    node.prepare(*steps, phase="1/reset")
    assert isinstance(node.last(), Ready)
    node.go(phase="1/reset")
    node.start_all()
    node.finish(node.key("b-1"))
    assert {end.step: end.reason for end in node.of(StepFinished)} == {
        "1/reset/a/a-1": "not_started",
        "1/reset/b/b-1": "exited",
    }
    assert node.of(PhaseFinished)[0].failed


def test_a_dead_launcher_ends_what_runs_as_lost_and_what_was_armed_as_refused() -> None:
    """How a step ended is not known then, and the record must say so."""
    node = running(step("a-1"))
    node.do(node.executor.launcher_died("the launcher died", node.now_ns))
    key = node.key("a-1")
    node.do(node.executor.stream_ended(key, "stdout", 5, node.now_ns))
    node.do(node.executor.stream_ended(key, "stderr", 0, node.now_ns))
    assert node.of(StepFinished)[0].reason == "lost"
    assert node.of(PhaseFinished)

    armed = Node()
    armed.prepare(step("a-1"))
    armed.do(armed.executor.launcher_died("the launcher died", armed.now_ns))
    assert isinstance(armed.last(), Refused)
    armed.go()
    assert armed.last().sentence == "the launcher died"  # the refusal may come after the last node's ready


def test_a_dead_launcher_does_not_keep_a_reset_from_being_done() -> None:
    """There is a new launcher at once, and cleaning up is what is wanted of it."""
    node = Node()
    node.prepare(step("a-1", phase="1/reset", when="always"), phase="1/reset")
    node.do(node.executor.launcher_died("the launcher died", node.now_ns))
    assert isinstance(node.last(), Ready)
    assert len(node.wants(Arm)) == 2
    node.go(phase="1/reset")
    node.start_all()
    node.finish(node.key("a-1"))
    assert [end.reason for end in node.of(StepFinished)] == ["exited"]


def test_a_launcher_that_dies_while_a_node_resets_alone_does_not_keep_it_for_ever() -> None:
    """Nobody would ask again: a refusal has no reader any more."""
    node = owing()
    node.finish(node.key("a-1"))
    node.is_slow = True
    node.do(node.executor.receive(Abandon(run=RUN, sentence="gone"), node.now_ns))
    node.is_slow = False
    node.do(node.executor.launcher_died("the launcher died", node.now_ns))
    node.start_all()
    node.finish(node.key("a-1"))
    assert node.wants(Ship)


def test_a_reset_that_was_cut_short_is_done_again_alone_but_only_once() -> None:
    """The lease of a launcher may end it; a reset that cannot work must not go on for ever."""
    node = owing()
    node.finish(node.key("a-1"))
    node.prepare(step("a-1", phase="1/reset", when="always"), phase="1/reset")
    node.go(phase="1/reset")
    node.start_all()
    node.finish(node.key("a-1"), code=None, signal=15)
    assert node.executor.needs_reset
    node.do(node.executor.receive(Abandon(run=RUN, sentence="gone"), node.now_ns))
    assert node.executor.needs_reset  # until it is done: the agent may be killed meanwhile
    node.start_all()
    node.finish(node.key("a-1"), code=1)
    assert [ship.dirty for ship in node.wants(Ship)] == ["reset/a/a-1: exit 1"]
    assert len(node.wants(Arm)) == 3
    assert not node.executor.needs_reset


def test_a_start_says_how_it_was_held_and_when_its_launcher_did_what() -> None:
    """What made it late is found from these, on the clock of all nodes; 0 stays "not known"."""
    node = Node()
    node.prepare(step("a-1"), step("b-1"))
    node.go(lead_ns=20 * MS)
    t0_ns = node.now_ns + 20 * MS
    node.now_ns = t0_ns + MS
    ordered_ns, woke_ns = t0_ns - 15 * MS, t0_ns + 5
    first = Start(7, t0_ns + 9, "release", "exec_stop", "", True, ordered_ns, woke_ns)
    node.do(node.executor.started(node.key("a-1"), first, node.now_ns))
    second = Start(8, t0_ns + 99, "exec", "gate", "refused", ordered_ns=ordered_ns)
    node.do(node.executor.started(node.key("b-1"), second, node.now_ns))
    one, two = node.of(StepStarted)
    assert (one.pid, one.event, one.way, one.way_why, one.linked) == (7, "release", "exec_stop", "", True)
    assert (one.ordered_ns, one.woke_ns) == (ordered_ns + OFFSET_NS, woke_ns + OFFSET_NS)
    assert (one.t_ns - one.planned_ns, one.planned_ns) == (9, t0_ns + OFFSET_NS)
    assert (two.way, two.way_why, two.linked, two.woke_ns) == ("gate", "refused", False, 0)


def test_an_agent_does_not_wake_at_t0_for_what_its_launcher_will_tell() -> None:
    """It would take the processor from those who start then; for a silent launcher it does not wait long."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(lead_ns=20 * MS)
    t0_ns = node.now_ns + 20 * MS
    assert node.executor.deadline_ns == t0_ns + BEGIN_NS
    node.now_ns = t0_ns + BEGIN_NS
    node.do(node.executor.expire(node.now_ns))
    assert node.executor.phase is not None
    assert node.executor.phase.state == "running"


def test_a_node_that_has_nothing_to_start_is_done_at_t0() -> None:
    """It takes the processor from nobody, and the others would wait for its word."""
    node = Node()
    node.prepare()
    node.go()
    assert node.executor.deadline_ns == T0_NS - OFFSET_NS
    node.do(node.executor.expire(T0_NS - OFFSET_NS))
    assert node.of(PhaseFinished)
