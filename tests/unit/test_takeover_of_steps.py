"""An agent that was restarted goes on with what its last life had: agents.takeover."""

from typing import Any

from agents import takeover
from agents.effects import Arm, Bring, Check, Drop, Effect, End, Hold, Release, Report, Transfer
from agents.executor import Executor
from agents.launcher.events import AdoptedStep, Ended, Exited, Started, StepEvent
from agents.memo import FORMAT, Context, Head, Scribe
from agents.remembered import Memo
from fabric.protocol.codec import pack
from fabric.protocol.messages import Abort, FileSource
from fabric.protocol.records import StepFinished, StepStarted
from tests.unit.scripted_node import MS, RUN, Node, running, step


def after_death(node: Node) -> Executor:
    """Return what the next life knows."""
    bodies = map(pack, Scribe().whole(node.executor, Context("1.2", (), 0, ())))
    memo = Memo.read([pack(Head(format=FORMAT, software="0")), *bodies])
    executor = memo.executor(node.executor.assign, needs_reset=node.executor.needs_reset)
    executor.clock_changed(1, node.executor._stamp.clock)  # type: ignore[arg-type]
    return executor


def adopted(key: str, state: Any, *events: StepEvent, **more: Any) -> dict[str, AdoptedStep]:
    return {key: AdoptedStep(key, 42, state, 3, 4, False, events, **more)}


def of(kind: type, effects: list[Effect]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def reported(kind: type, effects: list[Effect]) -> list[Any]:
    return [effect.record for effect in of(Report, effects) if isinstance(effect.record, kind)]


def started(key: str, t_ns: int) -> Started:
    return Started(key, 42, t_ns, "release", t_ns)


def exited(key: str, t_ns: int, code: int = 0) -> Exited:
    return Exited(key, code, None, 0.0, 0.0, 0, t_ns)


def test_a_program_goes_on_and_its_end_is_reported_once() -> None:
    """That is what it is for: the run must not see that there was another agent."""
    node = running(step("a-1"))
    key = node.key("a-1")
    executor = after_death(node)
    known = adopted(key, "running", started(key, node.now_ns))
    effects = takeover.take_over(executor, known, node.now_ns)
    assert of((Arm, Release, End, Drop), effects) == []  # type: ignore[arg-type]
    assert reported(StepStarted, effects) == []
    node.executor, node.records = executor, []
    node.finish(key)
    assert [end.reason for end in node.of(StepFinished)] == ["exited"]


def test_what_the_launcher_saw_meanwhile_is_taken_in() -> None:
    """The program ended while no agent was there; the next step of its role follows."""
    node = Node()
    node.prepare(step("a-1"), step("a-2"))
    node.go()
    key, t_ns = node.key("a-1"), node.now_ns + 20 * MS
    executor = after_death(node)
    node.now_ns += 500 * MS
    known = adopted(key, "ended", started(key, t_ns), exited(key, t_ns + MS, 0), Ended(key, (), False, False))
    effects = takeover.take_over(executor, known, node.now_ns)
    (start,) = reported(StepStarted, effects)
    assert start.local_ns == t_ns
    effects += executor.stream_ended(key, "stdout", 3, node.now_ns)
    effects += executor.stream_ended(key, "stderr", 0, node.now_ns)
    (end,) = reported(StepFinished, effects)
    assert end.duration_ns == MS
    assert [arm.step.step for arm in of(Arm, effects)] == ["1/run/a/a-2"]


def test_an_armed_step_starts_at_its_instant_in_the_launcher() -> None:
    """The launcher holds the instant already; nobody has to tell it again."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(lead_ns=500 * MS)
    key = node.key("a-1")
    executor = after_death(node)
    t0_ns = node.executor.phase.t0_local_ns if node.executor.phase else 0
    effects = takeover.take_over(executor, adopted(key, "armed", planned_ns=t0_ns), node.now_ns)
    assert of(Release, effects) == []
    node.executor, node.records = executor, []
    node.start_all()
    assert node.of(StepStarted)


def test_a_release_that_was_not_passed_on_is_passed_on_in_time() -> None:
    """The last life died between writing down and telling."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(lead_ns=500 * MS)
    key = node.key("a-1")
    executor = after_death(node)
    assert executor.phase is not None
    effects = takeover.take_over(executor, adopted(key, "armed"), node.now_ns)
    assert of(Release, effects) == [Release((key,), executor.phase.t0_local_ns)]


def test_a_release_that_was_not_passed_on_in_time_is_void() -> None:
    """It was not confirmed either, so nobody starts; the next go finds the step armed."""
    node = Node()
    node.prepare(step("a-1"))
    node.go()
    key = node.key("a-1")
    executor = after_death(node)
    node.now_ns += 500 * MS
    effects = takeover.take_over(executor, adopted(key, "armed"), node.now_ns)
    assert of(Release, effects) == []
    assert executor.phase is not None
    assert executor.phase.state == "ready"
    node.executor, node.sent = executor, []
    node.do(executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    assert node.last().started is False
    node.go(1)
    assert "aborted" in node.last().sentence
    node.go(2)
    assert of(Release, node.effects)[-1].keys == (key,)


def test_a_later_step_that_was_not_released_is_released_at_once() -> None:
    """It has no instant that could be missed."""
    node = running(step("a-1"), step("a-2"))
    node.finish(node.key("a-1"))
    key = node.key("a-2")
    executor = after_death(node)
    effects = takeover.take_over(executor, adopted(key, "armed"), node.now_ns)
    assert of(Release, effects) == [Release((key,), 0)]
    again = takeover.take_over(after_death(node), adopted(key, "armed", planned_ns=0), node.now_ns)
    assert of(Release, again) == []


def test_what_the_launcher_has_not_been_told_to_arm_is_armed_now() -> None:
    """Nothing of it has been: the launcher would know it."""
    node = Node()
    node.is_slow = True
    node.prepare(step("a-1"))
    executor = after_death(node)
    assert takeover.why_not(executor, {}) == ""
    effects = takeover.take_over(executor, {}, node.now_ns)
    assert [arm.key for arm in of(Arm, effects)] == [node.key("a-1")]
    assert of(Check, effects), "the answer to the last question has died with who asked"


def test_a_step_that_is_armed_meanwhile_counts() -> None:
    """The launcher said so to nobody."""
    node = Node()
    node.is_slow = True
    node.prepare(step("a-1"))
    key = node.key("a-1")
    node.executor = executor = after_death(node)
    node.do(takeover.take_over(executor, adopted(key, "armed"), node.now_ns))
    node.do(executor.clock_refreshed(node.now_ns))
    assert type(node.last()).__name__ == "Ready"
    assert of(Arm, node.effects) == [arm for arm in node.wants(Arm) if arm.key == key][:1]


def test_a_program_that_the_launcher_does_not_know_is_not_taken_over() -> None:
    """It was another launcher's: how it ended nobody knows."""
    node = running(step("a-1"))
    assert node.key("a-1") in takeover.why_not(after_death(node), {})


def test_an_end_is_asked_for_once() -> None:
    """A second TERM may mean something else to a program than the first."""
    node = running(step("a-1", timeout_s=1.0))
    key = node.key("a-1")
    node.now_ns += 2000 * MS
    node.do(node.executor.expire(node.now_ns))
    assert node.wants(End)
    known = adopted(key, "running", started(key, node.now_ns))
    assert of(End, takeover.take_over(after_death(node), known, node.now_ns))
    known = adopted(key, "running", started(key, node.now_ns), is_ending=True)
    assert not of(End, takeover.take_over(after_death(node), known, node.now_ns))


def test_an_abort_that_waits_for_the_launcher_asks_it_again() -> None:
    """Its answer went to the last life."""
    node = Node()
    node.prepare(step("a-1"))
    node.go(lead_ns=500 * MS)
    node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns))
    key = node.key("a-1")
    effects = takeover.take_over(after_death(node), adopted(key, "armed"), node.now_ns)
    assert of(Hold, effects) == [Hold((key,))]


def test_files_are_fetched_and_put_from_the_beginning() -> None:
    """What is half done is known to no one; doing it again changes nothing."""
    source = FileSource(path="a", size=1, sha256="0" * 64, mode=0o644)
    node = running(step("p-1", verb="put", files=(source,)), step("a-1", bring=("out.json",)))
    node.do(node.executor.expire(node.now_ns))
    node.finish(node.key("a-1"))
    effects = takeover.take_over(after_death(node), {}, node.now_ns)
    assert [effect.key for effect in of(Transfer, effects)] == [node.key("p-1")]
    assert [effect.key for effect in of(Bring, effects)] == [node.key("a-1")]


def test_a_wait_ends_when_it_would_have() -> None:
    """The local clock goes on while agents come and go."""
    node = running(step("w-1", verb="wait", wait_s=1.0))
    node.do(node.executor.expire(node.now_ns))
    executor = after_death(node)
    takeover.take_over(executor, {}, node.now_ns + 400 * MS)
    assert executor.deadline_ns == node.now_ns + 1000 * MS
    late = after_death(node)
    effects = takeover.take_over(late, {}, node.now_ns + 3000 * MS)
    assert reported(StepFinished, effects)
