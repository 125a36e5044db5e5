"""What a life of the agent writes down of its part of a run, and what the next one reads out of it."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.executor import Executor
from agents.memo import FORMAT, Change, Context, Head, Scribe
from agents.remembered import Memo
from fabric.errors import DecodeError
from fabric.protocol.codec import pack
from fabric.protocol.messages import Abandon, Abort, Cancel, Free, ReadyWhen
from fabric.protocol.records import Notice
from tests.unit.scripted_node import MS, RUN, Node, assign, step

HEAD = pack(Head(format=FORMAT, software="0"))


class Writing:
    """Keeps the memo of a node as its hands do."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.scribe = Scribe()
        self.bodies: list[bytes] = []

    def write(self, *records: Any) -> None:
        context = Context("1.2", (1, 2, 3, 4, 5), 7, records)
        if not self.bodies:
            self.bodies = [HEAD, *map(pack, self.scribe.whole(self.node.executor, context))]
        elif (change := self.scribe.changed(self.node.executor, context)) is not None:
            self.bodies.append(pack(change))

    def restored(self) -> Executor:
        executor = self.node.executor
        return Memo.read(self.bodies).executor(executor.assign, needs_reset=executor.needs_reset)


def all_of(executor: Executor) -> list[Change]:
    return list(Scribe().whole(executor, Context("", (), 0, ())))


def test_what_is_read_is_what_was_known_after_each_input() -> None:
    """A death can come after any of them, and what is forgotten is done twice or never."""
    node = Node(step("r-1", "0/reset"))
    writing = Writing(node)
    ready = ReadyWhen(port=7400)

    def do(action: Callable[[], object]) -> None:
        action()
        writing.write()
        assert all_of(writing.restored()) == all_of(node.executor)

    do(lambda: None)
    spawned = step("s-1", verb="spawn", ready=ready, env={"A": "own"})
    do(
        lambda: node.prepare(
            step("a-1"), step("a-2", attempts=2), spawned, step("w-1", verb="wait", wait_s=9.0)
        )
    )
    do(node.go)
    do(lambda: node.do(node.executor.receive(Abort(run=RUN, phase="1/run", go=1), node.now_ns)))
    for key in sorted(node.executor.phase.arming if node.executor.phase else ()):
        do(lambda key=key: node.do(node.executor.held(key, True, node.now_ns)))  # type: ignore[misc]
    do(lambda: node.go(2))
    do(node.start_all)
    do(lambda: node.do(node.executor.looked(node.key("s-1"), "", "nothing", node.now_ns)))
    do(lambda: node.do(node.executor.looked(node.key("s-1"), "it listens", "", node.now_ns)))
    do(lambda: node.finish(node.key("a-1")))
    do(node.start_all)
    do(lambda: node.do(node.executor.stream_ended(node.key("a-2"), "stdout", 5, node.now_ns)))
    cancel = Cancel(run=RUN, node="lab1", phase="1/run", everything=True, sentence="")
    do(lambda: node.do(node.executor.receive(cancel, node.now_ns)))
    do(lambda: node.finish(node.key("a-2"), None, 15))
    do(lambda: node.prepare(step("c-1", "1/collect"), phase="1/collect"))  # the spawned step lives on
    do(lambda: node.finish(node.key("s-1")))
    do(lambda: node.do(node.executor.receive(Free(run=RUN, node="lab1"), node.now_ns)))


def test_the_reset_that_a_node_does_alone_is_kept_too() -> None:
    """It must not be done twice, and there is no controller that would prepare it again."""
    node = Node(step("r-1", "0/reset"))
    node.prepare(step("a-1"))
    node.go()
    node.start_all()
    node.do(node.executor.receive(Abandon(run=RUN, sentence="why"), node.now_ns))
    node.finish(node.key("a-1"), None, 15)
    writing = Writing(node)
    writing.write()
    again = writing.restored()
    assert again.phase is not None
    assert again.phase.phase == "0/reset"
    assert all_of(again) == all_of(node.executor)


def test_of_looks_whether_a_step_is_ready_nothing_is_kept() -> None:
    """The next life looks again; the process of the last look is ended."""
    node = Node()
    node.prepare(step("s-1", verb="spawn", ready=ReadyWhen(cmd=("true",))))
    node.go()
    node.start_all()
    assert any(attempt.probe for attempt in node.executor.steps)
    writing = Writing(node)
    writing.write()
    again = writing.restored()
    (attempt,) = again.steps
    assert attempt.probes == 1
    assert attempt.is_waited_for
    assert attempt.deadline_ns is not None
    assert attempt.deadline_ns <= node.now_ns, "it is looked at once"


def test_records_of_the_last_change_alone_may_have_to_be_appended() -> None:
    """Those before were, or the next input would not have been taken."""
    node = Node()
    node.prepare(step("a-1"))
    writing = Writing(node)
    notice = Notice(t_ns=1, bound_ns=0, level="info", message="first")
    writing.write(notice)
    assert Memo.read(writing.bodies).records == (notice,)
    assert Memo.read(writing.bodies).appended == 7
    node.go()
    writing.write()
    assert Memo.read(writing.bodies).records == ()
    assert Memo.read(writing.bodies).clock == (1, 2, 3, 4, 5)


def test_nothing_is_written_when_nothing_has_changed() -> None:
    """The agent asks at each input, of which a heavy talker brings thousands."""
    node = Node()
    node.prepare(step("a-1"))
    writing = Writing(node)
    writing.write()
    before = list(writing.bodies)
    node.now_ns += MS
    writing.write()
    assert writing.bodies == before


@pytest.mark.parametrize(
    "bodies",
    [
        [],
        [HEAD],
        [pack(Head(format=FORMAT + 1, software="9.9"))],
        [HEAD, b"\x80"],
        [HEAD, b"garbage"],
    ],
)
def test_what_another_version_has_written_is_not_believed(bodies: list[bytes]) -> None:
    """Then the programs are ended and the run is an error, which is the truth."""
    with pytest.raises(DecodeError):
        Memo.read(bodies)


def test_a_memo_names_the_steps_with_all_their_variables() -> None:
    """What all steps of a phase have in common is sent once; an attempt outlives the phase."""
    node = Node()
    node.prepare(step("s-1", verb="spawn", env={"OWN": "1"}), env={"SHARED": "2"})
    writing = Writing(node)
    writing.write()
    (attempt,) = writing.restored().steps
    assert attempt.step.env == {"SHARED": "2", "OWN": "1"}
    assert Memo.read(writing.bodies).executor(assign(), needs_reset=True).needs_reset
