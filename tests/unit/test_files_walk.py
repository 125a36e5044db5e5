"""What patterns mean in trees that programs have made: as deep as they like."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.transfers.walk import Entered, Found, Missed, find
from fabric.protocol.limits import MAX_PATH_NAMES
from fabric.trees import make_directories, remove_tree

DEEP = 988


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "place"
    remove_tree(tmp_path / "place")  # pytest itself does not get that deep


def lay(place: Path, depth: int) -> Path:
    """Make a file so deep, with all of the names of its path."""
    deep = place.joinpath(*"a" * (depth - len(place.parts[1:]) - 1))
    make_directories(deep)
    (deep / "f").touch()
    return deep / "f"


@pytest.mark.parametrize(
    ("pattern", "depth"), [("a/**/f", DEEP), ("a", 140), ("**/f", 140), ("a/**", 140), ("**/**/f", 140)]
)
def test_what_lies_too_deep_is_missed_and_the_rest_is_found(place: Path, pattern: str, depth: int) -> None:
    """An agent that went down by calling itself ended there, and so did each life that went on with it."""
    lay(place, depth)
    near = place / "a/f"
    near.touch()
    sights = [sight for sight in find(str(place), pattern) if not isinstance(sight, Entered | None)]
    (missed,) = [sight for sight in sights if isinstance(sight, Missed)]
    assert (missed.path.count("/"), missed.serious) == (MAX_PATH_NAMES, True)
    assert f"more than {MAX_PATH_NAMES} names" in missed.why
    assert [sight for sight in sights if isinstance(sight, Found)] == [Found(str(near))]


@pytest.mark.parametrize("pattern", ["a/**/f", "a", "plain"])
def test_what_is_just_not_too_deep_is_found(place: Path, pattern: str) -> None:
    """The bundle takes as many."""
    path = lay(place, MAX_PATH_NAMES)
    pattern = str(path) if pattern == "plain" else pattern
    assert [sight for sight in find(str(place), pattern) if isinstance(sight, Found | Missed)] == [
        Found(str(path))
    ]


def test_a_file_that_is_named_and_too_deep_is_missed(place: Path) -> None:
    """Nobody would know why it is not in the bundle."""
    path = lay(place, MAX_PATH_NAMES + 1)
    (missed,) = find("/", str(path))
    assert isinstance(missed, Missed)


def test_a_path_that_is_longer_than_the_system_takes_is_missed(place: Path) -> None:
    """It would look as if nothing were there."""
    name = "n" * 250
    for depth in range(20):
        top = place / str(19 - depth)
        top.mkdir(parents=True)
        if depth:
            (place / str(20 - depth)).rename(top / name)
    sights = [*find(str(place), "0/**/f")]
    assert [sight.why for sight in sights if isinstance(sight, Missed)] == ["File name too long"]
