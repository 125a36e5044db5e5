"""What is said at the end of a run that has not done all of its repeats."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabric.cli.resuming import tell_left
from fabric.controller.entry import Read
from fabric.controller.trialrun import Outcome, _Writer
from fabric.controller.verdict import Verdict
from fabric.protocol.records import RepeatEnded
from fabric.trial.cells import Cell, Repeat

REPEATS = tuple(Repeat(Cell(0, {}), number, is_warmup=False, phases=()) for number in (1, 2, 3))


def left(*ended: tuple[int, bool], nodes: Any = ("lab1",), remaining: tuple[Repeat, ...] = REPEATS) -> int:
    run: Any = SimpleNamespace(nodes=(), plan=SimpleNamespace(repeats=REPEATS, remaining=remaining))
    writer = _Writer(Path("none"), run, {}, lambda *_: None)  # type: ignore[arg-type]
    reads = [
        Read(1, "", RepeatEnded(t_ns=1, bound_ns=0, cell=0, repeat=number, failed=False, cut=cut), b"")
        for number, cut in ended
    ]
    writer.take(reads, 1)
    run.nodes = nodes
    return writer.left


def test_repeats_that_were_cut_are_left() -> None:
    """They are what a run that goes on does; with nothing done the trial can as well be run anew."""
    assert left() == 0
    assert left((1, False), (2, True)) == 2
    assert left((1, False), (2, False), (3, False)) == 0
    assert left((2, True), remaining=REPEATS[1:]) == 2, "the first one was taken over"
    assert left(remaining=REPEATS[1:], nodes=()) == 0, "it was never begun"


@pytest.mark.parametrize(
    ("verdict", "count", "local", "said"),
    [
        ("interrupted", 2, False, "hint: 2 repeats of it have no result yet: fabric-run --resume r1 does"),
        ("error", 1, False, "hint: 1 repeat of it has no result yet: fabric-run --resume r1 does"),
        ("interrupted", 2, True, ""),
        ("interrupted", 0, False, ""),
        ("fail", 2, False, ""),
    ],
)
def test_the_line_that_goes_on_is_told(
    verdict: Verdict, count: int, local: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has lost a night's sweep does not look for an option first."""
    outcome = Outcome(run="r1", verdict=verdict, whys=(), bundle=None, result={}, left=count)
    tell_left(outcome, local=local, quiet=False)
    assert capsys.readouterr().err.startswith(said)
    assert bool(said) == (verdict != "fail" and count > 0 and not local)
    tell_left(outcome, local=local, quiet=True)
    assert capsys.readouterr().err == ""
