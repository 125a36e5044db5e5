"""What a node owes is on its disk until it is done."""

from pathlib import Path

import pytest

from agents.cleaning import UNREADABLE
from agents.dirty import DirtyRuns
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
