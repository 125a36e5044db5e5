"""Trees of directories: programs make them deeper than what the standard library can go down."""

import errno
import os
from pathlib import Path

import pytest

from fabric.trees import make_directories, real_path, remove_tree

DEEP = 1100


def make_deep(top: Path, depth: int = DEEP) -> None:
    """Make directories in one another, as a program does that goes down as it makes them."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("last", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_a_tree_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    """shutil.rmtree ends with a RecursionError, and what is there takes the disk for good."""
    top = tmp_path / "top"
    top.mkdir()
    make_deep(top)
    for number in range(3):
        (top / f"wide-{number}/inner/most").mkdir(parents=True)
        (top / f"wide-{number}/inner/file").touch()
    assert remove_tree(top) == ""
    assert not top.exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    """What a step's directory leads to is somebody else's."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    inner = tmp_path / "top/one/two"
    inner.mkdir(parents=True)
    (inner / "link").symlink_to(other)
    (tmp_path / "top/link").symlink_to(other)
    (tmp_path / "itself").symlink_to(other)
    assert remove_tree(tmp_path / "top") == ""
    assert "itself" in remove_tree(tmp_path / "itself")
    assert (other / "file").exists()


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reason is told."""
    (tmp_path / "top/one").mkdir(parents=True)
    (tmp_path / "top/two/three/four").mkdir(parents=True)
    (tmp_path / "top/one/kept").touch()
    unlink = os.unlink

    def refusing(name: str, *, dir_fd: int) -> None:
        if name == "kept":
            raise PermissionError(errno.EPERM, "not permitted")
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)
    assert remove_tree(tmp_path / "top") == "kept: not permitted"
    assert [path.name for path in tmp_path.rglob("*")] == ["top", "one", "kept"]


def test_nothing_to_remove_is_no_trouble(tmp_path: Path) -> None:
    """Two may remove the same one."""
    assert remove_tree(tmp_path / "nothing") == ""


def test_directories_are_made_however_deep(tmp_path: Path) -> None:
    """Path.mkdir(parents=True) ends with a RecursionError, and with it the agent that puts a file there."""
    deep = tmp_path / "deep"
    make_directories(deep.joinpath(*"a" * DEEP))
    make_directories(deep / "a")
    assert deep.joinpath(*"a" * DEEP).is_dir()
    assert remove_tree(deep) == ""
    deep.touch()
    with pytest.raises(OSError, match="deep"):
        make_directories(deep / "a/b")


def test_links_without_end_are_an_error(tmp_path: Path) -> None:
    """A step's user makes them, and the agent looks where a put goes."""
    (tmp_path / "0").mkdir()
    for number in range(DEEP):
        (tmp_path / f"{number + 1}").symlink_to(f"{number}")
    assert real_path(tmp_path / "9") == str(tmp_path / "0")
    with pytest.raises(OSError, match="symbolic links"):
        real_path(tmp_path / str(DEEP))
