"""events.jsonl is in the order of time at the end, and can be followed until then."""

from pathlib import Path

import pytest

from fabric.report import eventfile
from fabric.report.eventfile import EventFile


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("piece_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("places", [1, 3, 1000])
def test_lines_are_in_the_order_of_their_places_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int, places: int
) -> None:
    """Whatever part of it fits into memory; those of one place stay as they came."""
    monkeypatch.setattr(eventfile, "_PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(eventfile, "_PLACES", places)
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    given = [((number * 7919) % 101, number) for number in range(300)]
    for place, number in given:
        file.write(f"{place} {number} {'x' * (number % 50)}".encode(), place)
    file.flush()
    assert [int(line.split()[1]) for line in lines(path)] == list(range(300))
    file.finish()
    assert [tuple(map(int, line.split()[:2])) for line in lines(path)] == sorted(given)
    assert [one.name for one in tmp_path.iterdir()] == ["events.jsonl"]
    file.finish()
    file.close()


def test_a_line_that_is_longer_than_what_is_read_at_once_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a large line is in the next read."""
    monkeypatch.setattr(eventfile, "_PIECE_BYTES", 1)
    file = EventFile(tmp_path / "events.jsonl")
    long = ["a" * 200_000, "b" * 70_000, "c" * 10]
    for place, text in zip((3, 1, 2), long, strict=True):
        file.write(text.encode(), place)
    file.finish()
    assert lines(tmp_path / "events.jsonl") == [long[1], long[2], long[0]]


def test_a_file_that_is_in_order_is_left_as_it_is(tmp_path: Path) -> None:
    """A run of one node costs nothing."""
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    for place in (1, 2, 2, 5):
        file.write(b"x", place)
    before = path.stat().st_ino
    file.finish()
    assert path.stat().st_ino == before
