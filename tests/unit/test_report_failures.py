"""What a person is told of a failure: once for all nodes, with what came before, in bounded memory."""

import tracemalloc
from dataclasses import replace

from fabric.controller.desk import SPARED
from fabric.controller.entry import Read
from fabric.protocol.records import Notice, StepFinished
from fabric.report.blocks import FailureText, look
from fabric.report.failures import KEPT, WAIT_NS, Failures
from fabric.report.recent import ENDED, LINES, Line, Recent
from fabric.report.style import Palette
from fabric.report.watch import TextWatch
from tests.unit.reads import STEP, S, finished, missing_metric, plain, said


def block(reads: list[Read], bundle: str = "runs/x") -> list[str]:
    failures = Failures()
    for read in reads:
        failures.take(read, 0)
    (failure,) = failures.news(WAIT_NS)
    text = FailureText(Palette(color=False), lambda step: f"a.toml:{len(step.label)}", lambda: 0)
    return text.lines(failure, bundle)


def test_a_failure_is_told_in_full() -> None:
    """Where, how, its last words, what the others said meanwhile, and the command that shows more."""
    reads = [
        said("too old\n", node="lab5", t_s=0.9),
        said("connecting\n", t_s=2.0),
        said("refused\n", node="lab5", t_s=2.5, step="1/run/server/srv"),
        said("no route\n", t_s=2.6, stream="stderr"),
        finished(t_s=3.0, exit_code=3, stderr_bytes=9),
        said("too late\n", node="lab5", t_s=3.1),
    ]
    assert block(reads) == [
        "a.toml:8: run/client step client-1 failed on lab1: exit 3 after 2.1 s",
        "    last 2 lines:",
        "      │ connecting",
        "      ! no route",
        "    in the two seconds before, others said:",
        "      [  2.500] lab5 server/srv │ refused",
        "    bundle: runs/x",
        "    look:   less -R runs/x/out/1/run/lab1/client-1.stderr runs/x/out/1/run/lab1/client-1.stdout",
    ]


def test_what_fails_alike_on_many_nodes_is_told_once() -> None:
    """A hundred nodes that cannot reach the server have one problem."""
    reads = [
        read
        for number in range(1, 98)
        for read in (said("no\n", node=f"lab{number}"), finished(node=f"lab{number}", t_s=1, exit_code=1))
    ]
    text = block(reads)
    assert text[0].endswith("failed on lab[1-97] (97 nodes): exit 1 after 2.1 s")
    assert text[1:3] == ["    last line of lab1:", "      │ no"]


def test_what_the_quorum_did_without_is_no_failure() -> None:
    """That the node is gone, and does not matter, was a line; what failed otherwise is told still."""
    gone = Notice(t_ns=0, bound_ns=0, level="warning", message=f"lab1 has restarted{SPARED}")
    end = finished(exit_code=1)
    assert isinstance(end.record, StepFinished)
    lost = plain(replace(end.record, reason="lost"), end.node)
    failures = Failures()
    for read in (plain(gone), lost):
        failures.take(read, 0)
    assert failures.all == ()
    failures.take(end, 0)
    assert len(failures.all) == 1


def test_the_number_of_attempts_is_told() -> None:
    """A step that failed three times is another problem than one that failed once."""
    last = finished(exit_code=1)
    again = plain(replace(last.record, attempt=3), "lab1")  # type: ignore[type-var]
    assert block([again])[0].endswith("failed on lab1 in 3 attempts: exit 1 after 2.1 s")


class Paper:
    """Keeps what a printer would print."""

    not_shown = 0

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, text: str, **_options: object) -> None:
        self.lines.append(text)


def test_no_failure_is_told_before_its_own_line() -> None:
    """Lines are held for earlier ones of other nodes, perhaps longer than a failure is."""
    paper = Paper()
    watch = TextWatch(paper, lambda _: "")  # type: ignore[arg-type]
    watch([finished(exit_code=1)], 0)
    watch([], 10 * WAIT_NS)
    watch([], 20 * WAIT_NS)
    assert ["failed: exit 1" in line for line in paper.lines[:2]] == [True, False]
    assert "failed on lab1: exit 1 after" in paper.lines[1]


def test_the_others_are_folded_too() -> None:
    """Ninety nodes that say the same leave room for the one that says something else."""
    reads = [said("waiting\n", node=f"lab{number}", t_s=1) for number in range(2, 92)]
    reads += [said("I am the server\n", node="sut", t_s=1.5), finished(t_s=2, exit_code=1)]
    lines = block(reads)
    assert "      [  1.000] lab[2-91] client/client-1 │ waiting" in lines
    assert "      [  1.500] sut client/client-1 │ I am the server" in lines


def test_a_line_of_the_others_that_came_in_pieces_is_one_line() -> None:
    """Python writes the newline of a `print` by itself, unbuffered: that is no line of its own."""
    reads = [said(text, node="sut", t_s=1 + number / 10) for number, text in enumerate(("Serv", "ing", "\n"))]
    reads += [said("\n\n", node="lab7", t_s=1.4), said("next", node="sut", t_s=1.5)]
    lines = block([*reads, finished(t_s=2, exit_code=1)])
    assert lines[3:5] == [
        "      [  1.200] sut client/client-1 │ Serving",
        "      [  1.500] sut client/client-1 │ next",
    ]
    assert not any("lab7" in line for line in lines)


def test_what_one_says_again_and_again_is_one_line() -> None:
    """A server that says hello ten times a second would push the line out that matters."""
    reads = [said("serving\n", node="sut", t_s=1 + number / 10) for number in range(10)]
    lines = block([*reads, finished(t_s=2.5, exit_code=1)])
    assert lines[3] == "      [  1.900] sut client/client-1 │ serving  (10 times)"


def test_a_failure_waits_a_moment_for_others_and_is_news_once() -> None:
    """Else the first of a hundred nodes would be told alone."""
    failures = Failures()
    failures.take(finished(exit_code=1), 100)
    assert failures.deadline_ns == 100 + WAIT_NS
    assert failures.news(99 + WAIT_NS) == []
    failures.take(finished(node="lab2", exit_code=1), 200)
    assert [failure.nodes for failure in failures.news(100 + WAIT_NS)] == [["lab1", "lab2"]]
    assert failures.deadline_ns is None
    assert failures.news(10 * WAIT_NS) == []


def test_an_attempt_that_is_followed_by_another_is_no_failure() -> None:
    """The trial said that it may fail."""
    failures = Failures()
    failures.take(finished(exit_code=1, retried=True), 0)
    assert failures.all == ()


def test_failures_of_a_thousand_kinds_are_counted() -> None:
    """A trial may fail in each of a thousand cells; memory and screen do not grow with that."""
    failures = Failures()
    for number in range(1000):
        failures.take(finished(step=f"1/run/client/step-{number}", exit_code=1), 0)
    assert (len(failures.all), failures.more) == (KEPT, 1000 - KEPT)


def test_lines_of_both_streams_stand_in_the_order_in_which_they_ended() -> None:
    """The error stands behind the line after which it came, also where a line came in parts."""
    recent = Recent()
    for text, stream in (("beg", "stdout"), ("oops\n", "stderr"), ("un\nrest", "stdout")):
        recent.take(said(text, stream=stream))  # type: ignore[arg-type]
    lines = recent.lines("lab1", STEP, 1)
    assert [(line.stream, line.data) for line in lines] == [
        ("stderr", b"oops"),
        ("stdout", b"begun"),
        ("stdout", b"rest"),
    ]


def test_the_last_words_of_a_flood_take_little_memory() -> None:
    """A step may print gigabytes before it fails, on each of a hundred nodes."""
    recent = Recent()
    chunk = "".join(f"line {number}\n" for number in range(10_000))
    tracemalloc.start()
    for turn in range(400):
        recent.take(said(chunk, node=f"lab{turn % 40}", t_s=turn / 1000))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.data for line in recent.lines("lab7", STEP, 1)][-1] == b"line 9999"
    assert len(recent.lines("lab7", STEP, 1)) == LINES
    assert peak_bytes < 3 << 20


def test_steps_that_ended_well_are_forgotten() -> None:
    """A run has thousands of them; only of the last ones a metric may still be missing."""
    recent = Recent()
    for number in range(ENDED + 1):
        recent.take(said("fine\n", node=f"lab{number}"))
        recent.take(finished(node=f"lab{number}"))
    assert recent.lines("lab0", STEP, 1) == ()
    assert recent.lines("lab1", STEP, 1) == (Line("stdout", b"fine"),)


def test_a_metric_that_is_missing_is_told_as_a_failed_step_is() -> None:
    """The step ended well, but whoever reads needs its last words and the file that has all of them."""
    missing = plain(missing_metric(t_s=3.0))
    assert block([said("rtt 5 ms\n"), finished(t_s=2.9), missing]) == [
        "a.toml:8: run/client step client-1 failed on lab1: metric rtt: not found",
        "    last line:",
        "      │ rtt 5 ms",
        "    bundle: runs/x",
        "    look:   less -R runs/x/out/1/run/lab1/client-1.stdout",
    ]


def test_the_file_to_look_at_is_the_one_that_has_the_lines() -> None:
    """A program that reports on stderr leaves an empty file for stdout."""
    missing = plain(missing_metric(t_s=3.0))
    text = block([said("rtt 5 ms\n", stream="stderr"), finished(t_s=2.9, stderr_bytes=9), missing])
    assert text[-1] == "    look:   less -R runs/x/out/1/run/lab1/client-1.stderr"


def test_the_words_of_the_last_moment_are_by_fabric_time() -> None:
    """What a slow node had said before counts though it arrived later."""
    recent = Recent()
    for t_s, text in ((5.0, "b"), (4.0, "a"), (2.9, "old"), (5.1, "new")):
        recent.take(said(text, t_s=t_s))
    assert [words.data for words in recent.words(5 * S)] == [b"a", b"b"]


def test_a_step_that_printed_nothing_has_its_events_to_look_at() -> None:
    """A command that shows a file which is not there would be the second failure."""
    failures = Failures()
    failures.take(finished(exit_code=1), 0)
    assert look(failures.all[0], "my runs/x") == "less 'my runs/x/events.jsonl'"
