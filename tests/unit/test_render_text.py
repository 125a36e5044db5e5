"""The plain rendering: whole lines, safe on a terminal, in bounded memory."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fabric.controller.entry import Read
from fabric.protocol.records import (
    Notice,
    Output,
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    Record,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
    Stream,
    Then,
)
from fabric.report.lines import LINE_LIMIT_BYTES, LineCutter
from fabric.report.quantities import after, duration
from fabric.report.streams import IDLE_NS
from fabric.report.text import TextRenderer

T_NS = 12_345_000_000


def output(
    data: bytes,
    *,
    node: str = "lab3",
    stream: Stream = "stdout",
    t_ns: int = T_NS,
    step: str = "1/run/db/etcd",
) -> Read:
    record = Output(t_ns=t_ns, bound_ns=0, step=step, attempt=1, stream=stream, offset=0, size=len(data))
    return Read(1, node, record, data)


def renderer(*, color: bool = False) -> TextRenderer:
    return TextRenderer(origin_ns=0, color=color)


def rendered(record: Record, node: str = "lab3") -> list[str]:
    return renderer().render(Read(1, node, record, b""), 0)


def step_finished(**changes: object) -> StepFinished:
    fields: dict[str, object] = {
        "t_ns": T_NS,
        "bound_ns": 0,
        "step": "1/run/db/etcd",
        "attempt": 1,
        "reason": "exited",
        "failed": False,
        "exit_code": 0,
        "signal": None,
        "message": "",
        "duration_ns": 2_100_000_000,
        "stdout_bytes": 0,
        "stderr_bytes": 0,
        "user_s": 0.0,
        "system_s": 0.0,
        "max_rss_kib": 0,
        "pipe_held": False,
        "survivors": (),
    }
    return StepFinished(**(fields | changes))  # type: ignore[arg-type]


def test_a_line_says_when_where_and_what() -> None:
    """The form that people learn to read, and that they grep."""
    assert renderer().render(output(b"text\n"), 0) == ["[ 12.345] lab3 db/etcd │ text"]
    assert renderer().render(output(b"text\n", stream="stderr"), 0) == ["[ 12.345] lab3 db/etcd ! text"]


def test_a_line_that_comes_in_chunks_is_put_together() -> None:
    """A chunk ends where the pipe was read, not where a line ends; its time is that of its beginning."""
    text = renderer()
    assert text.render(output(b"he"), 0) == []
    assert text.render(output(b"llo\nwor", t_ns=T_NS + 1_000_000_000), 1) == [
        "[ 12.345] lab3 db/etcd │ hello"
    ]
    assert text.render(output(b"ld\r\n"), 2) == ["[ 13.345] lab3 db/etcd │ world"]


def test_what_an_earlier_phase_has_spawned_is_told_from_a_step_of_the_same_name() -> None:
    """Both are the first step of their role in their phase."""
    renderer = TextRenderer(origin_ns=T_NS)
    spawned, step = "1/startup/db/db-1", "1/run/db/db-1"
    told = []
    for phase in ("1/startup", "1/run"):
        begun = PhaseStarted(t_ns=T_NS, bound_ns=0, phase=phase, go=1, t0_ns=T_NS, lead_ns=1, confirm_ns=None)
        early = output(b"early\n", step=step) if phase == "1/run" else None
        reads = [early, Read(1, "", begun, b""), output(b"a\n", step=spawned)]
        told += [line for read in reads if read for line in renderer.render(read, 0) if "db" in line]
    told += renderer.render(output(b"b\n", step=step), 0)
    told += renderer.render(output(b"c\n", step="0/reset/db/db-1"), 0)
    assert [" ".join(line.split()[2:]) for line in told] == [
        "lab3 db/db-1 │ a",
        "lab3 db/db-1 │ early",
        "lab3 startup/db/db-1 │ a",
        "lab3 db/db-1 │ b",
        "lab3 reset/db/db-1 │ c",
    ]


def test_lines_of_two_programs_do_not_mix() -> None:
    """Each stream has its own unfinished line."""
    text = renderer()
    text.render(output(b"a"), 0)
    text.render(output(b"b", stream="stderr"), 0)
    text.render(output(b"c", node="lab4"), 0)
    lines = text.render(output(b"1\n"), 0) + text.render(output(b"2\n", stream="stderr"), 0)
    assert [line[-5:] for line in lines] == [" │ a1", " ! b2"]


def test_a_prompt_is_shown_after_a_moment_and_its_line_goes_on() -> None:
    """A program that waits for something in the middle of a line must not look dead."""
    text = renderer()
    text.render(output(b"waiting"), 100)
    assert text.deadline_ns == 100 + IDLE_NS
    assert text.expire(99 + IDLE_NS) == []
    assert text.expire(100 + IDLE_NS) == ["[ 12.345] lab3 db/etcd │ waiting…"]
    assert text.deadline_ns is None
    assert text.render(output(b" done\n"), IDLE_NS) == ["[ 12.345] lab3 db/etcd │ … done"]


def test_the_late_newline_of_a_shown_line_makes_no_line() -> None:
    """It would look as if the program had printed an empty line."""
    text = renderer()
    text.render(output(b"progress"), 0)
    text.expire(IDLE_NS)
    assert text.render(output(b"\n"), IDLE_NS) == []
    assert text.render(output(b"\n"), IDLE_NS) == ["[ 12.345] lab3 db/etcd │"]


@pytest.mark.parametrize("by_end_of_stream", [True, False])
def test_a_last_line_without_newline_is_shown(by_end_of_stream: bool) -> None:
    """`printf done` is a program too; and a run may end while a step's end never comes."""
    text = renderer()
    text.render(output(b"done"), 0)
    lines = text.render(output(b""), 0) if by_end_of_stream else text.finish()
    assert lines == ["[ 12.345] lab3 db/etcd │ done"]
    assert text.finish() == []


def test_a_line_of_a_hundred_megabytes_takes_little_memory() -> None:
    """A binary stream has no newlines; it comes in pieces, and nothing grows."""
    text, chunk, shown = renderer(), b"x" * (128 * 1024), 0
    tracemalloc.start()
    for _ in range(800):
        shown += sum(line.count("x") for line in text.render(output(chunk), 0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shown >= 799 * len(chunk)
    assert peak_bytes < 2 << 20


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"x", b"\n")), max_size=20))
@example([b"\n\n"])
def test_cutting_loses_nothing_and_does_not_depend_on_the_chunks(chunks: list[bytes]) -> None:
    """The same bytes give the same lines however the pipe was read; whole lines may come together."""
    cutter = LineCutter()
    pieces = [piece for chunk in chunks for piece in cutter.feed(chunk)]
    pieces.append(cutter.flush(ends=True))
    assert [line for piece in pieces for line in piece.data.split(b"\n")] == b"".join(chunks).split(b"\n")


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_a_line_about_as_long_as_the_limit_is_whole(excess: int) -> None:
    """Off by one here would break a line for no reason, or lose a byte."""
    data = b"y" * (LINE_LIMIT_BYTES + excess)
    cutter = LineCutter()
    pieces = [*cutter.feed(data), *cutter.feed(b"\nz")]
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.ends for piece in pieces] == ([True] if excess <= 0 else [False, True])


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """A program on a node must not be able to move the cursor, set the title or hide what it did."""
    harmful = b"\x1b]0;title\x07 \x1b[2J \x08 \r \x7f \xc2\x9b1m \xe2\x80\xae\tend\n"
    (line,) = renderer(color=True).render(output(harmful), 0)
    text = line.split("│ ", 1)[1]
    assert text == r"\x1b]0;title\x07 \x1b[2J \x08 \x0d \x7f \x9b1m \u202e" + "\tend"


def test_colours_of_a_program_are_kept_only_where_colours_are_wanted() -> None:
    """In a file they are noise; on a terminal they end with their line."""
    data = b"\x1b[31mred\n"
    assert renderer().render(output(data), 0) == ["[ 12.345] lab3 db/etcd │ red"]
    (line,) = renderer(color=True).render(output(data), 0)
    assert line.endswith("\x1b[31mred\x1b[0m")


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Decoding must never end the rendering."""
    assert renderer().render(output(b"a\xffb\n"), 0) == ["[ 12.345] lab3 db/etcd │ a\ufffdb"]


def test_a_node_has_the_same_colour_in_every_process() -> None:
    """The eye follows one node through two terminals; without colours there is no escape at all."""
    (first,) = renderer(color=True).render(output(b"a\n"), 0)
    (again,) = renderer(color=True).render(output(b"a\n"), 0)
    (other,) = renderer(color=True).render(output(b"a\n", node="lab4"), 0)
    assert first == again
    assert first.replace("lab3", "lab4") != other
    assert "\x1b" not in renderer().render(output(b"a\n"), 0)[0]


def test_events_are_one_line_each() -> None:
    """Who started, how it ended, how well the start was together, and the verdict."""
    started = StepStarted(
        t_ns=T_NS, bound_ns=0, step="1/run/db/etcd", attempt=1, pid=42, event="exec", planned_ns=0, go=1
    )
    assert rendered(started) == ["[ 12.345] lab3 db/etcd started, pid 42"]
    assert rendered(step_finished()) == ["[ 12.345] lab3 db/etcd finished: exit 0 after 2.1 s"]
    assert rendered(step_finished(failed=True, message="exit 1 after 2 s, last line: a\nb")) == [
        r"[ 12.345] lab3 db/etcd failed: exit 1 after 2 s, last line: a\x0ab"
    ]
    ended = PhaseEnded(
        t_ns=T_NS,
        bound_ns=0,
        phase="1/run",
        failed=False,
        skew_ns=310_000,
        skew_bound_ns=120_000,
        latest_node="lab2",
    )
    assert rendered(ended, "") == ["[ 12.345] phase 1/run: done, skew 0.31 ms ± 0.12 ms, latest lab2"]
    verdict = RunEnded(t_ns=T_NS, bound_ns=0, verdict="fail", why=("lab3: exit 1",))
    assert rendered(verdict, "") == ["[ 12.345] verdict fail: lab3: exit 1"]
    begun = RunStarted(t_ns=T_NS, bound_ns=0, name="ping", nodes=("lab1", "lab2"))
    assert rendered(begun, "") == ["[ 12.345] run of ping on lab[1-2]"]
    notice = Notice(t_ns=T_NS, bound_ns=0, level="warning", message="disk nearly full")
    assert rendered(notice) == ["[ 12.345] lab3 disk nearly full"]


def started_phase(name: str) -> Read:
    record = PhaseStarted(t_ns=T_NS, bound_ns=0, phase=name, go=1, t0_ns=0, lead_ns=20_000_000)
    return Read(1, "", record, b"")


def ended_phase(name: str, *, failed: bool = False) -> Read:
    record = PhaseEnded(
        t_ns=T_NS,
        bound_ns=0,
        phase=name,
        failed=failed,
        skew_ns=None,
        skew_bound_ns=None,
        latest_node="",
    )
    return Read(1, "", record, b"")


@pytest.mark.parametrize(
    ("started", "words"),
    [((), "aborted, nobody started: n2: silent"), (("n1",), "aborted, too late for n1: n2: silent")],
)
def test_a_go_that_was_taken_back_says_whether_somebody_had_begun(
    started: tuple[str, ...], words: str
) -> None:
    """`Nobody started` beside a node that had is a riddle."""
    record = PhaseAborted(
        t_ns=T_NS, bound_ns=0, phase="1/run", go=1, reasons={"n2": "silent"}, started=started
    )
    (line,) = rendered(record, node="")
    assert line.endswith(f"phase 1/run: go 1 {words}")


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("again", "tried again"),
        ("given_up", "the phase is given up"),
        ("without", "the reset goes on without them"),
    ],
)
def test_a_go_that_was_taken_back_names_each_node_once_and_says_what_follows(then: Then, words: str) -> None:
    """Who reads a warning wants to know whether to do something."""
    late = "did not confirm the go in time"
    reasons = {"lab3": f"lab3 {late}", "lab1": f"lab1 {late}", "lab2": f"lab2 {late}", "": "cut"}
    record = PhaseAborted(t_ns=T_NS, bound_ns=0, phase="1/run", go=1, reasons=reasons, then=then)
    (line,) = rendered(record, node="")
    assert line.endswith(f"nobody started: lab[1-3] {late}; cut; {words}")


def test_phases_in_which_nothing_happens_are_one_line() -> None:
    """Four phases of which one has steps: eight lines of go and done would bury what matters."""
    text = renderer()
    for name in ("1/collect", "1/reset"):
        assert text.render(started_phase(name), 0) == []
        assert text.render(ended_phase(name), 0) == []
    assert text.render(started_phase("2/run"), 0) == []
    assert text.deadline_ns == IDLE_NS
    assert text.render(output(b"hello\n"), 1) == [
        "[ 12.345] phases 1/collect, 1/reset: nothing to do",
        "[ 12.345] phase 2/run: go 1, lead 20 ms",
        "[ 12.345] lab3 db/etcd │ hello",
    ]
    assert text.render(ended_phase("2/run"), 2) == ["[ 12.345] phase 2/run: done"]


def test_a_phase_that_has_begun_is_told_though_nothing_comes() -> None:
    """Its steps may begin a minute after the go."""
    text = renderer()
    text.render(started_phase("1/run"), 5)
    assert text.expire(4 + IDLE_NS) == []
    assert text.expire(5 + IDLE_NS) == ["[ 12.345] phase 1/run: go 1, lead 20 ms"]
    assert text.deadline_ns is None


def test_an_empty_phase_that_failed_is_told_in_full() -> None:
    """Nothing happened in it because its nodes could not begin."""
    text = renderer()
    text.render(started_phase("1/run"), 0)
    assert text.render(ended_phase("1/run", failed=True), 0) == [
        "[ 12.345] phase 1/run: go 1, lead 20 ms",
        "[ 12.345] phase 1/run: failed",
    ]


def test_a_node_that_finished_its_phase_well_is_not_news() -> None:
    """A hundred of them would bury the one that failed."""
    assert rendered(PhaseFinished(t_ns=T_NS, bound_ns=0, phase="1/run", failed=False)) == []
    assert len(rendered(PhaseFinished(t_ns=T_NS, bound_ns=0, phase="1/run", failed=True))) == 1


def test_nothing_is_said_twice_of_an_interrupted_run() -> None:
    """Its verdict is its only reason."""
    record = RunEnded(t_ns=T_NS, bound_ns=0, verdict="interrupted", why=("interrupted",))
    assert rendered(record, node="")[0].endswith("] verdict interrupted")


@pytest.mark.parametrize(("reason", "text"), [("exited", " after 14 ms"), ("timeout", ""), ("not_ready", "")])
def test_a_time_is_said_once_and_in_a_unit_that_fits(reason: str, text: str) -> None:
    """`not done within 0.3 s after 302 ms` is one time too many, `after 0.0 s` one too few."""
    assert after(reason, 14_000_000) == text


def test_a_duration_whose_end_was_seen_late_is_an_upper_limit() -> None:
    """A launcher looks away after starts: a program of a millisecond "took" 14 ms, and nobody would know."""
    assert after("exited", 14_000_000, 2_000_000) == " after at most 14 ms"
    assert after("exited", 2_100_000_000, 2_000_000) == " after 2.1 s"


def test_what_could_not_be_killed_is_said() -> None:
    """It is the one thing that the user has to do by hand."""
    (line,) = rendered(step_finished(survivors=(7, 8)))
    assert line.endswith("could not be killed: 7, 8")


@pytest.mark.parametrize(
    ("ns", "text"),
    [(310_000, "0.31 ms"), (999_600_000, "1.0 s"), (2_100_000_000, "2.1 s"), (200_000_000_000, "3 min 20 s")],
)
def test_durations_have_a_unit_that_fits(ns: int, text: str) -> None:
    """`310000` says nothing to a person."""
    assert duration(ns) == text
