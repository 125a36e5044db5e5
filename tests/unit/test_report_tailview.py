"""What fabric-tail shows with --merge, --fold, --grep and --clock."""

import json
import re

from fabric.controller.entry import Read
from fabric.protocol.records import (
    Notice,
    Output,
    OutputDropped,
    PhaseStarted,
    Record,
    StepFinished,
    StepStarted,
)
from fabric.report.folding import Folder
from fabric.report.streams import IDLE_NS
from fabric.report.tailview import Clock, JsonTimelineView, TimelineView, order_of, searcher

MS = 1_000_000
STEP = "1/run/db/etcd"
START = 1_772_360_527_000 * MS


def read(record: Record, node: str = "lab1", data: bytes = b"", number: int = 1) -> Read:
    return Read(number, node, record, data)


def out(text: str, t_ms: int, node: str = "lab1", offset: int = 0) -> Read:
    data = text.encode()
    record = Output(
        t_ns=START + t_ms * MS, bound_ns=0, step=STEP, attempt=1, stream="stdout", offset=offset,
        size=len(data),
    )  # fmt: skip
    return read(record, node, data)


def go(phase: str, t_ms: int) -> Read:
    t_ns = START + t_ms * MS
    return read(PhaseStarted(t_ns=t_ns, bound_ns=0, phase=phase, go=1, t0_ns=t_ns, lead_ns=20 * MS), "")


def began(node: str, pid: int) -> Read:
    record = StepStarted(
        t_ns=START, bound_ns=0, step=STEP, attempt=1, pid=pid, event="exec", planned_ns=0, go=1
    )
    return read(record, node)


def ended(node: str, code: int, duration_ns: int) -> Read:
    record = StepFinished(
        t_ns=START + 1, bound_ns=0, step=STEP, attempt=1, reason="exited", failed=code != 0, exit_code=code,
        signal=None, message="" if code == 0 else f"exit {code}", duration_ns=duration_ns, stdout_bytes=0,
        stderr_bytes=0, user_s=0.0, system_s=0.0, max_rss_kib=0, pipe_held=False, survivors=(),
    )  # fmt: skip
    return read(record, node)


def shown(view: TimelineView, *reads: Read) -> list[str]:
    return [*view.lines(reads, 0), *view.finish()]


def test_a_finished_run_is_one_timeline() -> None:
    """lab2 reported late, but it said its line first."""
    view = TimelineView(clock=Clock("run", START), order=order_of(merge=True, live=False))
    assert shown(view, out("second\n", 200), out("first\n", 100, "lab2")) == [
        "[  0.100] lab2 db/etcd │ first",
        "[  0.200] lab1 db/etcd │ second",
    ]


def test_nodes_that_say_the_same_are_shown_once() -> None:
    """Also that they have started and ended, though pids and durations differ; a failure stands alone."""
    view = TimelineView(clock=Clock("run", START), fold=Folder(live=False))
    lines = shown(
        view,
        *(began(f"lab{number}", 4000 + number) for number in (1, 2, 3)),
        *(out("6.8.0\n", 1, f"lab{number}") for number in (1, 2, 3)),
        *(ended(f"lab{number}", 0, 1000 * number) for number in (1, 2)),
        ended("lab3", 3, 5 * MS),
    )
    assert [line[9:] for line in lines] == [
        " lab[1-3]  (3 nodes) db/etcd started",
        " lab[1-3]  (3 nodes) db/etcd │ 6.8.0",
        " lab[1-2]  (2 nodes) db/etcd finished: exit 0",
        " lab3 db/etcd                failed: exit 3",
    ]


def test_a_search_keeps_lines_of_output_and_what_is_missing() -> None:
    """A line is searched as it is shown, without colours; a gap could hold what is looked for."""
    view = TimelineView(clock=Clock("run", START), wanted=searcher(re.compile("^err"), invert=False))
    dropped = OutputDropped(
        t_ns=START, bound_ns=0, step=STEP, attempt=1, stream="stdout", offset=9, size=4, why="slow"
    )
    lines = shown(view, began("lab1", 1), out("\x1b[31merr\x1b[0m 1\nok\n", 0), read(dropped))
    assert [line.split("db/etcd ")[1] for line in lines] == [
        "│ err 1",
        "4 B of stdout not kept, from byte 9 on: slow",
    ]
    view = TimelineView(clock=Clock("run", START), wanted=searcher(re.compile("err"), invert=True))
    assert len(shown(view, out("err\nok\n", 0))) == 1


def test_times_count_from_the_go_of_the_lines_own_phase() -> None:
    """Before the first go there is but the run's start."""
    view = TimelineView(clock=Clock("phase", None))
    lines = shown(view, out("a\n", 0), go("1/run", 100), out("b\n", 90))
    assert [line.partition("]")[0] for line in lines] == [
        "[start  +0.000",
        "[1/run  +0.000",
        "[1/run  -0.010",
    ]


def test_the_wall_clock_is_that_of_this_machine() -> None:
    """To hold lines against another log."""
    clock = Clock("wall", START)
    view = TimelineView(clock=clock)
    (line,) = shown(view, out("a\n", 7))
    assert re.match(r"\[2026-03-0[12] \d\d:\d\d:\d\d\.007\] lab1", line)


def test_a_prompt_without_a_newline_is_shown_in_its_turn() -> None:
    """Or one would never see what a program asks."""
    view = TimelineView(clock=Clock("run", START))
    assert list(view.lines([out("password: ", 0)], 0)) == []
    assert view.deadline_ns == IDLE_NS
    assert [line[-11:] for line in view.lines([], IDLE_NS)] == ["password: …"]


def test_json_lines_can_be_put_in_order_too() -> None:
    """They stay the lines of events.jsonl."""
    view = JsonTimelineView(origin_ns=START, order=order_of(merge=True, live=False))
    lines = [*view.lines([out("b", 200), out("a", 100, "lab2")], 0), *view.finish()]
    assert [(event["t"], event["node"]) for event in map(json.loads, lines)] == [(0.1, "lab2"), (0.2, "lab1")]


def test_lines_whose_order_is_not_proven_are_marked_where_the_order_is_that_of_time() -> None:
    """Clocks are known up to a bound; who looks for what came first has to know."""

    def say(node: str, t_ms: int) -> Read:
        data = f"{node}\n".encode()
        record = Output(
            t_ns=START + t_ms * MS, bound_ns=3 * MS, step=STEP, attempt=1, stream="stdout", offset=0,
            size=len(data),
        )  # fmt: skip
        return read(record, node, data)

    reads = (say("lab2", 105), say("lab1", 100), say("lab3", 120))
    merged = TimelineView(clock=Clock("run", START), order=order_of(merge=True, live=False))
    assert [line[:9] + line[9:15] for line in shown(merged, *reads)] == [
        "[  0.100] lab1 ",
        "[  0.105]~lab2 ",
        "[  0.120] lab3 ",
    ]
    plain = TimelineView(clock=Clock("run", START), order=order_of(merge=False, live=False))
    assert not any("~" in line for line in shown(plain, *reads))


def test_an_instant_without_a_bound_does_not_spoil_the_order() -> None:
    """What an agent says of its last life has the time of a wall clock, which may be a day ahead."""
    day_ns = 86_400_000 * MS
    lost = read(Notice(t_ns=START + day_ns, bound_ns=-1, level="warning", message="it was damaged"), "lab2")
    view = TimelineView(clock=Clock("run", START), order=order_of(merge=True, live=False))
    assert [line[:9] for line in shown(view, out("a\n", 5), lost, out("b\n", 7, offset=2))] == [
        "[  0.005]",
        "[  0.005]",
        "[  0.007]",
    ]
