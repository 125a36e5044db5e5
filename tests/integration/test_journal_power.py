"""What outlives a power cut of a node, and what its next life makes of the rest."""

import os
from pathlib import Path

import pytest

from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.journal import Journal
from agents.parts import Part
from agents.recovery import end_journals, left_parts
from agents.state import AgentState
from fabric.protocol.messages import Assign
from tests.integration.test_journal_files import RUN, begun, shipped, started
from tests.unit.scripted_node import Node, step


@pytest.fixture
def state(tmp_path: Path) -> AgentState:
    return AgentState.lock(tmp_path)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of what was made durable, in the order of it."""
    paths: list[str] = []
    for name in ("fsync", "fdatasync"):
        plain = getattr(os, name)

        def sync(fd: int, plain: object = plain) -> None:
            paths.append(Path(f"/proc/self/fd/{fd}").readlink().name)
            plain(fd)  # type: ignore[operator]

        monkeypatch.setattr(os, name, sync)
    return paths


def dirty_runs(state: AgentState) -> DirtyRuns:
    return DirtyRuns(state.directory, lambda: (7, 0))


def recover_journals(state_dir: Path) -> list[Journal]:
    journals = Journal.recover(state_dir)
    end_journals(journals)
    return journals


def assign() -> Assign:
    return Assign(run=RUN, node="lab1", on_lost="stop", lease_s=20.0, reset=())


def test_a_journal_of_another_boot_is_shipped_as_it_is(state: AgentState) -> None:
    """What would be appended has numbers that the sink may know as those of other records."""
    part = Part.open(state, Executor(assign()), dirty_runs(state))
    part.journal.append(started())
    part.journal.append(begun(1))
    part.journal.close()
    (part.journal.path / "boot").write_text("another one")
    (recovered,) = recover_journals(state.directory)
    assert [record for record, _ in shipped(recovered)] == [started(), begun(1)]
    (left,) = left_parts([recovered])
    assert left.assign == assign()
    assert not left.needs_reset
    assert "lab1 was booted anew" in left.why


def test_a_sink_that_has_more_than_the_disk_frees_the_journal(state: AgentState) -> None:
    """It acknowledges what was sent before the cut."""
    journal = Journal.create(state.directory, RUN, 1)
    journal.append(started())
    journal.close()
    (journal.path / "boot").unlink()  # the cut has taken it, too
    (recovered,) = recover_journals(state.directory)
    recovered.acknowledge(9)
    assert recovered.is_shipped
    assert recovered.appended == 1


def test_a_journal_of_this_boot_needs_nobody_to_end_its_part(state: AgentState) -> None:
    """Nothing of it is missing, so its steps are reported as lost in it, and nothing is to be reset."""
    part = Part.open(state, Executor(assign()), dirty_runs(state))
    part.journal.append(started())
    part.journal.close()
    recovered = recover_journals(state.directory)
    assert recovered[0].appended > 1
    assert left_parts(recovered) == []


def test_that_a_reset_is_due_is_on_the_disk_before_anything_can_start(
    state: AgentState, synced: list[str]
) -> None:
    """The launcher releases what it holds whether or not its agent lives."""
    node = Node()
    part = Part.open(state, node.executor, dirty_runs(state))
    assert not synced
    node.is_slow = True
    node.prepare(step("a-1"))
    part.save()
    *names, own = [path.name for path in (state.directory, *part.journal.path.parents[:2], part.journal.path)]
    assert synced[0].startswith("state")
    assert set(synced[1:]) == {*names, own}
    (left,) = left_parts([part.journal])
    assert left.needs_reset


def test_what_has_not_changed_is_not_written_again(state: AgentState, synced: list[str]) -> None:
    """From the second repeat on it is one byte; that it is not due any more waits for nothing."""
    node = Node()
    part = Part.open(state, node.executor, dirty_runs(state))
    node.prepare(step("a-1"))
    part.save()
    del synced[:]
    part.save()
    node.executor.phase.state = "refused"  # type: ignore[union-attr]
    part.save()
    assert not synced
    assert left_parts([part.journal]) == []
    node.prepare(step("a-1", phase="2/run"), phase="2/run")
    part.save()
    assert synced == ["state"]


def test_that_a_node_is_dirty_is_on_the_disk_before_its_reset_is_owed_no_more(
    state: AgentState, synced: list[str]
) -> None:
    """It waits for a person now: the next boot must neither forget it nor do the reset by itself."""
    part = Part.open(state, Executor(assign(), needs_reset=True), dirty_runs(state))
    del synced[:]
    part.executor.parting.dirty = "exit 1"
    part.save()
    assert synced == [f".{RUN}", "dirty", "state"]
    assert left_parts([part.journal]) == []
    assert dirty_runs(state).why(RUN) == "exit 1"


def test_the_count_of_lives_is_on_the_disk(tmp_path: Path, synced: list[str]) -> None:
    """Two lives with one number would number their records alike; the name counts as well as the file."""
    AgentState.lock(tmp_path / "agent")
    assert synced[-2:] == ["incarnation.new", "agent"]
