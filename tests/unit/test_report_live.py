"""The table of the live view: what every node does, in as many lines and columns as there are."""

import pytest

from fabric.protocol.records import (
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    RepeatEnded,
    RepeatStarted,
    RunStarted,
)
from fabric.report.board import Board
from fabric.report.frame import Footer
from fabric.report.panel import panel
from fabric.report.progress import Progress
from fabric.report.style import Palette
from tests.unit.reads import S, finished, missing_metric, plain, said, started

PHASES = ("startup", "run", "reset")


def run_started(count: int, *, cells: int = 1, repeats: int = 1) -> RunStarted:
    nodes = tuple(f"lab{number}" for number in range(1, count + 1))
    return RunStarted(
        t_ns=S, bound_ns=0, name="ping", nodes=nodes, phases=PHASES, cells=cells, repeats=repeats
    )


def phase_started(phase: str, t_s: float) -> PhaseStarted:
    return PhaseStarted(t_ns=round(t_s * S), bound_ns=0, phase=phase, go=1, t0_ns=round(t_s * S), lead_ns=0)


def board(count: int = 3) -> Board:
    """A run whose first phase is over, and whose second began four seconds ago."""
    found = Board()
    ended = PhaseEnded(
        t_ns=2 * S,
        bound_ns=0,
        phase="1/startup",
        failed=False,
        skew_ns=310_000,
        skew_bound_ns=120_000,
        latest_node="lab2",
    )
    for record in (run_started(count), phase_started("1/startup", 1.5), ended, phase_started("1/run", 2)):
        found.take(plain(record), record.t_ns)
    for node in found.nodes:
        found.take(plain(PhaseFinished(t_ns=S, bound_ns=0, phase="1/startup", failed=False), node), S)
        found.take(started(node=node, t_s=2), 2 * S)
    found.take(said("hello\nand this\n", t_s=6), 6 * S)
    return found


def shown(found: Board, columns: int = 80, lines: int = 24) -> list[str]:
    footer = panel(found, 6 * S, (columns, lines), Palette(color=False))
    return [line.rstrip() for line in footer.lines]


def test_each_node_has_a_row_where_there_is_room() -> None:
    """Who does what, since when, how much it says and what it said last; how well the phases began."""
    assert shown(board()) == [
        "─" * 79,
        "ping  5 s",
        "NODES  startup            run           reset        B/s  lines/s  LAST LINE",
        "go     0.500              1.000",
        "skew   0.31 ms ± 0.12 ms",
        "lab1   done               client-1 4 s             0 B/s        0  and this",
        "lab2   done               client-1 4 s             0 B/s        0",
        "lab3   done               client-1 4 s             0 B/s        0",
    ]


def test_a_hundred_nodes_fit_into_few_rows() -> None:
    """Those that do the same stand together; the one that does not stands out."""
    found = board(100)
    found.take(finished(node="lab42", t_s=5, exit_code=1), 5 * S)
    found.take(finished(node="lab7", t_s=5), 5 * S)
    rows = shown(found, columns=120)[5:]
    assert [row.split()[:4] for row in rows] == [
        ["lab[1-6],lab[8-41],+58", "done", "client-1", "4"],
        ["lab7", "done", "waiting", "0"],
        ["lab42", "done", "failed", "0"],
    ]
    assert rows[0].endswith("lab1: and this")


def test_what_does_not_fit_at_all_is_counted_and_failures_come_first() -> None:
    """Thirty nodes in thirty states on a tiny terminal: what failed is what one looks for."""
    found = board(30)
    for number in range(1, 31):
        found.take(started(node=f"lab{number}", t_s=3, step=f"1/run/client/step-{number}"), 3 * S)
    found.take(finished(node="lab30", t_s=5, exit_code=1, step="1/run/client/step-30"), 5 * S)
    rows = shown(found, lines=10)
    assert rows[1].endswith("29 nodes more than fit")
    assert rows[5].split()[:3] == ["lab30", "done", "failed"]
    assert len(rows) == 6


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("lines", [3, 10, 60])
def test_the_table_fits_into_every_terminal(columns: int, lines: int) -> None:
    """A line that is too wide would wrap, and the next frame would draw over the lines above."""
    found = board(40)
    found.take(said("漢字" * 100 + "\n", t_s=6), 6 * S)
    footer = panel(found, 6 * S, (columns, lines), Palette(color=False))
    wide = {len(line) + sum(map("漢字".count, line)) for line in footer.lines}
    assert max(wide) < columns
    assert len(footer.lines) <= max(6, lines * 2 // 3)


def test_a_node_that_lacks_a_metric_has_failed_though_its_step_ended_well() -> None:
    """The table is what people look at while a run goes on."""
    board = Board()
    board.take(plain(RunStarted(t_ns=0, bound_ns=0, name="t", nodes=("lab1",), phases=("run",))), 0)
    for read in (started(), finished(), plain(missing_metric())):
        board.take(read, 0)
    assert board.state(board.nodes["lab1"], board.phases["run"]) == "failed"


def test_colours_are_used_only_where_they_are_wanted() -> None:
    """NO_COLOR, and terminals without them."""
    texts = ["".join(panel(board(), 6 * S, (80, 24), Palette(color=color)).lines) for color in (True, False)]
    assert ["\x1b" in text for text in texts] == [True, False]


def test_what_a_node_prints_cannot_leave_its_cell() -> None:
    """A progress bar draws over its own line; another program may want to clear the screen."""
    found = board()
    found.take(said("10 %\r20 %\r\x1b[2Jbad\ttab\n", t_s=6), 6 * S)
    assert shown(found, columns=100)[5].endswith(r"\x1b[2Jbad tab")


def test_rates_are_of_the_last_moment() -> None:
    """What a node printed an hour ago says nothing about whether it still does."""
    found = board()
    found.sample(6 * S)
    found.take(said("x" * 999 + "\n", t_s=6), 6 * S)
    found.sample(7 * S)
    assert found.nodes["lab1"].output_bytes.per_s == pytest.approx(500, rel=0.1)
    for second in range(8, 40):
        found.sample(second * S)
    assert found.nodes["lab1"].output_bytes.per_s == 0


def test_a_new_repeat_begins_with_an_empty_table() -> None:
    """What a node did in the repeat before would look as if it had done it now."""
    found = board()
    found.take(plain(phase_started("2/startup", 6)), 6 * S)
    assert [row.split()[1] for row in shown(found)[5:]] == ["waiting"] * 3


def repeats(progress: Progress, count: int) -> None:
    """Let so many repeats of ten seconds be over, and the next one begin."""
    for number in range(count + 1):
        t_ns = (1 + 10 * number) * S
        repeat = RepeatStarted(
            t_ns=t_ns,
            bound_ns=0,
            cell=number % 3 + 1,
            repeat=number // 3 + 1,
            warmup=number < 3,
            variables={"streams": "8", "a": "lab1"},
        )
        progress.take(repeat)
        if number < count:
            progress.take(
                RepeatEnded(t_ns=t_ns + 10 * S, bound_ns=0, cell=1, repeat=number + 1, failed=False)
            )


def test_progress_says_where_it_is_and_how_long_it_will_take() -> None:
    """A sweep of a night: whether to wait, or to go home."""
    progress = Progress()
    progress.take(run_started(2, cells=3, repeats=15))
    repeats(progress, 0)
    assert progress.where() == "cell 1/3 streams=8 a=lab1, repeat 1/5 (warm-up)"
    assert progress.left_ns(5 * S) is None  # nobody knows yet
    repeats(progress, 4)
    assert progress.where() == "cell 2/3 streams=8 a=lab1, repeat 2/5"
    assert progress.left_ns(45 * S) == (11 * 10 - 4) * S


def test_a_single_run_has_no_progress_to_tell() -> None:
    """`repeat 1/1` says nothing."""
    progress = Progress()
    progress.take(run_started(2))
    progress.take(
        RepeatStarted(t_ns=S, bound_ns=0, cell=0, repeat=1, warmup=False, variables={}),
    )
    assert progress.where() == ""


def test_a_footer_is_what_its_painter_needs() -> None:
    """Its cells say how far to go up again."""
    footer = panel(board(), 6 * S, (80, 24), Palette(color=True))
    assert isinstance(footer, Footer)
    assert footer.cells == (79,) * len(footer.lines)
