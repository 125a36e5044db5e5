"""Whether an agent goes on with what its last life had, or ends it: all of it or nothing."""

from pathlib import Path

import pytest

from agents import inheriting, memofile, parts
from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.journal import Journal
from agents.launcher import wire
from agents.launcher.events import Adopted, AdoptedStep
from agents.memo import Context
from agents.parts import Part
from agents.remembered import Memo
from fabric.protocol.records import Notice
from tests.unit.scripted_node import RUN, Node, assign, step

LAUNCHER = "42.1000"


def dirty_runs(directory: Path) -> DirtyRuns:
    return DirtyRuns(directory, lambda: (0, 0))


def left(directory: Path, node: Node, *, run: str = RUN, life: int = 1) -> None:
    """Leave what an agent leaves that is killed."""
    journal = Journal.create(directory, run, life)
    part = Part(node.executor, journal, directory, dirty_runs(directory))
    part.save()
    part.write_down(Context(LAUNCHER, (), 0, ()))
    part.close()
    journal.close()


def found(*keys: str, **more: object) -> Adopted:
    steps = tuple(AdoptedStep(key, 7, "armed", -1, -1, False, ()) for key in keys)
    return Adopted(steps, **({"wire": wire.VERSION} | more))  # type: ignore[arg-type]


def armed() -> Node:
    node = Node()
    node.prepare(step("a-1"))
    return node


def test_a_part_is_taken_over_with_its_programs(tmp_path: Path) -> None:
    """Journal, memo and launcher tell the same story."""
    node = armed()
    left(tmp_path, node)
    (heir,) = inheriting.heirs(Journal.recover(tmp_path), found(node.key("a-1")), LAUNCHER)
    assert isinstance(heir, inheriting.Heir)
    assert list(heir.steps) == [node.key("a-1")]
    assert heir.executor.is_led
    assert heir.executor.assign == assign()


def test_without_the_launcher_of_that_life_nothing_is_taken_over(tmp_path: Path) -> None:
    """Another one knows nothing of its programs, and one that ends everything has killed them."""
    node = armed()
    left(tmp_path, node)
    journals = Journal.recover(tmp_path)
    assert "gone" in inheriting.heirs(journals, None, "")
    assert inheriting.heirs(journals, found(), "42.1001") == []
    assert "speaks version 1" in inheriting.heirs(journals, found(wire=1), LAUNCHER)
    assert "no agent came" in inheriting.heirs(journals, found(has_ended_all=True), LAUNCHER)
    assert "knows nothing of" in inheriting.heirs(journals, found(), LAUNCHER)


def test_a_program_of_which_nothing_is_known_spoils_it_all(tmp_path: Path) -> None:
    """Who went on with the others would have to end it, and could not say for which run."""
    node = armed()
    left(tmp_path, node)
    other = "20260301-102208-ping-k3f9"
    why = inheriting.heirs(Journal.recover(tmp_path), found(node.key("a-1"), f"{other}|s|1"), LAUNCHER)
    assert isinstance(why, str)
    assert other in why


def test_a_memo_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """It is of another version, or was given up on a full disk."""
    node = armed()
    left(tmp_path, node)
    (path,) = tmp_path.glob("journals/*/*/part")
    path.write_bytes(b"")
    assert inheriting.heirs(Journal.recover(tmp_path), found(), LAUNCHER) == []


def test_a_memo_is_given_up_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes next must not believe what is not true any more."""
    monkeypatch.setattr(memofile, "ANEW_BYTES", 0)  # it is made anew with each change
    journal = Journal.create(tmp_path, RUN, 1)
    part = Part(Executor(assign()), journal, tmp_path, dirty_runs(tmp_path))
    part.write_down(Context(LAUNCHER, (), 0, ()))
    assert (journal.path / "part").exists()
    (journal.path / "part.new").mkdir()  # so that no new one can be made
    node = armed()
    part.executor = node.executor
    part.write_down(Context(LAUNCHER, (), 0, ()))
    part.write_down(Context(LAUNCHER, (), 0, ()))
    assert not (journal.path / "part").exists()
    journal.close()


def test_a_phase_that_is_too_large_for_one_change_begins_the_memo_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is larger than a message, no reader takes; of all there is each step has a change of its own."""
    journal = Journal.create(tmp_path, RUN, 1)
    part = Part(Executor(assign()), journal, tmp_path, dirty_runs(tmp_path))
    part.write_down(Context(LAUNCHER, (), 0, ()))
    begun = (journal.path / "part").stat().st_ino
    part.executor = armed().executor
    monkeypatch.setattr(parts, "MAX_BODY_BYTES", 100)
    part.write_down(Context(LAUNCHER, (), 0, ()))
    assert (journal.path / "part").stat().st_ino != begun
    read = Memo.read(memofile.read_memo(journal.path))
    assert read.plan is not None
    assert read.plan.phase == "1/run"
    assert read.attempts
    journal.close()


def test_records_that_were_about_to_be_appended_are_appended_once(tmp_path: Path) -> None:
    """A death comes before the first, between two, or after the last of them."""
    notices = tuple(Notice(t_ns=number, bound_ns=0, level="info", message="") for number in range(3))
    for appended in range(4):
        root = tmp_path / str(appended)
        journal = Journal.create(root, RUN, 1)
        part = Part(Executor(assign()), journal, root, dirty_runs(root))
        part.save()
        part.write_down(Context(LAUNCHER, (), 0, notices))
        for notice in notices[:appended]:
            journal.append(notice)
        part.close()
        journal.close()
        (heir,) = inheriting.heirs(Journal.recover(root), found(), LAUNCHER)
        assert isinstance(heir, inheriting.Heir)
        inheriting._complete(heir, (0, -1))
        assert heir.journal.appended == len(notices)
        heir.journal.close()


def test_a_long_memo_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as long as some phases, however long the run is."""
    monkeypatch.setattr(memofile, "ANEW_BYTES", 4000)
    node = Node()
    journal = Journal.create(tmp_path, RUN, 1)
    part = Part(node.executor, journal, tmp_path, dirty_runs(tmp_path))
    sizes = []
    for number in range(1, 50):
        node.prepare(step("a-1", f"{number}/run"), phase=f"{number}/run")
        part.write_down(Context(LAUNCHER, (), 0, ()))
        node.do(node.executor.clock_refreshed(node.now_ns))
        part.write_down(Context(LAUNCHER, (), 0, ()))
        sizes.append((journal.path / "part").stat().st_size)
    assert max(sizes) < 8000
    assert sorted(sizes) != sizes
    part.close()
    journal.close()
