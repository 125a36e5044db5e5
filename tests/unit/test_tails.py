"""The last lines of failed steps: what explains most failures, without opening the bundle."""

from pathlib import Path

import pytest

from fabric.report import tails
from fabric.report.tails import tail, with_last_lines
from tests.unit.report_results import failed, result, step


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "1" / "run" / "lab3"
    folder.mkdir(parents=True)
    return folder


def lines(tmp_path: Path) -> list[str]:
    (found,) = with_last_lines(result(failed(last=[])), tmp_path)["steps"]
    last: list[str] = found["last"]
    return last


def test_both_streams_have_their_share(out: Path, tmp_path: Path) -> None:
    """The error is on the one, and what led to it on the other."""
    (out / "client-1.stdout").write_text("".join(f"o{number}\n" for number in range(30)))
    assert lines(tmp_path) == [f"o{number}" for number in range(10, 30)]
    (out / "client-1.stderr").write_text("e0\ne1")
    assert lines(tmp_path) == [*(f"o{number}" for number in range(20, 30)), "e0", "e1"]


def test_a_step_that_was_not_started_has_none(tmp_path: Path) -> None:
    """There is no file of it."""
    assert lines(tmp_path) == []


def test_a_step_that_passed_is_left_as_it_is(out: Path, tmp_path: Path) -> None:
    """result.json would be as large as the output."""
    (out / "client-1.stdout").write_text("x\n")
    assert "last" not in with_last_lines(result(step()), tmp_path)["steps"][0]


def test_only_so_many_steps_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of nodes may fail in the same way."""
    monkeypatch.setattr(tails, "MAX_STEPS", 2)
    steps = [{**failed(node=f"n{number}")} for number in range(4)]
    for entry in steps:
        del entry["last"]
    found = with_last_lines(result(*steps), tmp_path)["steps"]
    assert ["last" in entry for entry in found] == [True, True, False, False]


def test_the_end_of_a_long_file_begins_with_a_line(tmp_path: Path) -> None:
    """Half a line, or half a character, looks like an error of its own."""
    path = tmp_path / "out"
    path.write_bytes("ä\n".encode() * 100 + b"\xff\n")
    assert tail(path, 10) == "ä\nä\n\N{REPLACEMENT CHARACTER}\n"
    path.write_bytes(b"x" * 100)
    assert tail(path, 10) == "x" * 10
