"""What a node owes is on its disk until it is done."""

from pathlib import Path

import pytest

from agents.cleaning import UNREADABLE
from agents.dirty import CLEANED, DirtyRuns
from tests.unit.scripted_node import RUN, assign, step


def table(path: Path) -> DirtyRuns:
    return DirtyRuns(path, lambda: (7, 0))


def test_the_next_life_knows_what_is_owed_and_since_when(tmp_path: Path) -> None:
    """A node that was dirty is dirty after any restart, until somebody has cleaned it."""
    owed = assign(step("a-1", phase="0/reset"))
    assert table(tmp_path).add(RUN, "exit 1", owed)
    next_life = DirtyRuns(tmp_path, lambda: (9, 0))
    assert next_life.add(RUN, "exit 2", owed)
    left = table(tmp_path).first
    assert left is not None
    assert (left.told.run, left.told.why, left.told.since_ns, left.assign) == (RUN, "exit 2", 7, owed)
    next_life.forget(RUN)
    assert table(tmp_path).first is None


@pytest.mark.parametrize("damage", [b"", b"{}\n", b'{"why": "w", "since_ns": 1}\nnonsense'])
def test_what_cannot_be_read_is_dirty_all_the_same(tmp_path: Path, damage: bytes) -> None:
    """A newer or an older version has written it: nobody may take the node for clean."""
    table(tmp_path).add(RUN, "exit 1", assign())
    (tmp_path / "dirty" / RUN).write_bytes(damage)
    left = table(tmp_path).first
    assert left is not None
    assert left.assign is None
    assert left.told.why in (UNREADABLE, "w")


def test_a_full_disk_is_told_to_who_wants_it_kept(tmp_path: Path) -> None:
    """Then it stays owed in the journal, and the next life does it."""
    runs = table(tmp_path)
    (tmp_path / "dirty").write_text("no directory")
    assert not runs.add(RUN, "exit 1", assign())
    assert runs.has(RUN)


def test_what_was_cleaned_is_known_until_the_run_leaves_dirt_again(tmp_path: Path) -> None:
    """The broker may have died before it heard of it; a lost state directory knows of no clean, either."""
    runs = table(tmp_path)
    runs.forget(RUN)
    assert runs.cleaned == ()
    runs.add(RUN, "exit 1", assign())
    assert table(tmp_path).cleaned == ()
    runs.forget(RUN)
    next_life = table(tmp_path)
    assert (next_life.told, next_life.cleaned, runs.cleaned) == ((), (RUN,), (RUN,))
    assert (tmp_path / "cleaned" / RUN).read_bytes() == b"", "the secrets of its reset are gone"
    next_life.add(RUN, "exit 2", assign())
    assert (next_life.cleaned, table(tmp_path).cleaned) == ((), ())


def test_notes_of_cleaned_runs_are_few(tmp_path: Path) -> None:
    """They go with every hello."""
    runs = table(tmp_path)
    names = [f"20260301-{number:06}-ping-k3f9" for number in range(CLEANED + 2)]
    for name in reversed(names):
        runs.add(name, "exit 1", None)
        runs.forget(name)
    kept = tuple(reversed(names[:CLEANED]))
    assert (runs.cleaned, len(list((tmp_path / "cleaned").iterdir()))) == (kept, CLEANED)


def test_a_disk_that_takes_no_note_does_not_end_the_agent(tmp_path: Path) -> None:
    """It is clean in this life, which says so."""
    runs = table(tmp_path)
    runs.add(RUN, "exit 1", assign())
    (tmp_path / "cleaned").write_text("no directory")
    runs.forget(RUN)
    assert (runs.told, runs.cleaned, table(tmp_path).told) == ((), (RUN,), ())
