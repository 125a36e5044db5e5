"""Large directories are taken away at once, and deleted beside the loop."""

import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from agents import removal
from agents.removal import remove_later, remove_leftovers


def finish() -> None:
    for thread in threading.enumerate():
        if thread.name == "removal":
            thread.join()


def test_a_directory_is_gone_at_once_and_deleted_soon(tmp_path: Path) -> None:
    """The next run may want the name; the agent must be heard of meanwhile."""
    scratch = tmp_path / "scratch" / "run"
    (scratch / "dir").mkdir(parents=True)
    (scratch / "dir/file").touch()
    remove_later(tmp_path, scratch)
    assert not scratch.exists()
    finish()
    assert not list((tmp_path / "gone").iterdir())


def test_what_an_earlier_life_left_is_deleted(tmp_path: Path) -> None:
    """It died before it was done."""
    (tmp_path / "gone/run/dir").mkdir(parents=True)
    remove_leftovers(tmp_path, lambda _: True)
    finish()
    assert not (tmp_path / "gone").exists()


def test_the_directories_of_runs_that_are_over_are_deleted_and_no_others(tmp_path: Path) -> None:
    """A life that was killed between its reset and the end of the run owed nothing, so nobody came back."""
    for run in ("over", "owed", "over-too"):
        (tmp_path / "scratch" / run / "dir").mkdir(parents=True)
    remove_leftovers(tmp_path, lambda run: run == "owed")
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["owed"]
    finish()
    assert (tmp_path / "scratch/owed/dir").exists()
    assert not (tmp_path / "gone").exists()


def test_nothing_that_is_in_the_way_keeps_it(tmp_path: Path) -> None:
    """A run whose part was taken up again after a restart ends twice."""
    for _ in range(2):
        scratch = tmp_path / "scratch" / "run"
        (scratch / "dir").mkdir(parents=True)
        remove_later(tmp_path, scratch)
        assert not scratch.exists()
    finish()
    assert not list((tmp_path / "gone").iterdir())


def test_a_directory_that_cannot_be_moved_is_deleted_where_it_is(tmp_path: Path) -> None:
    """The name may be taken by something else; it is better late than never."""
    (tmp_path / "gone").touch()
    scratch = tmp_path / "scratch" / "run"
    (scratch / "dir").mkdir(parents=True)
    remove_later(tmp_path, scratch)
    finish()
    assert not scratch.exists()


@pytest.mark.parametrize(
    "trouble", [Mock(return_value="dir: busy"), Mock(side_effect=RecursionError("busy"))]
)
def test_what_cannot_be_deleted_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Mock
) -> None:
    """The thread died without a word, and the disk was lost for good."""
    (tmp_path / "scratch/run/dir").mkdir(parents=True)
    log = Mock()
    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove_tree", trouble)
        patch.setattr(removal, "log", log)
        remove_later(tmp_path, tmp_path / "scratch/run")
        finish()
    (call,) = log.warning.call_args_list
    assert call.args == ("directory_not_removed",)
    assert "busy" in call.kwargs["why"]
    remove_leftovers(tmp_path, lambda _: True)
    finish()
    assert not (tmp_path / "gone").exists()
