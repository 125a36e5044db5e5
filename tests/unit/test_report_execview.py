"""What fabric exec shows: output behind names, and one line for each way in which it ended."""

from fabric.controller.command import Command
from fabric.controller.entry import Read
from fabric.protocol.records import Notice, Output, Reason, StepFinished, StepStarted
from fabric.report.execview import endings, exec_view

STEP = "1/run/node/command"


def out(node: str, text: str, stream: str = "stdout") -> Read:
    data = text.encode()
    record = Output(
        t_ns=1, bound_ns=0, step=STEP, attempt=1, stream=stream, offset=0, size=len(data)  # type: ignore[arg-type]
    )  # fmt: skip
    return Read(1, node, record, data)


def end(code: int | None, duration_ns: int = 1_000_000, reason: Reason = "exited") -> StepFinished:
    return StepFinished(
        t_ns=9, bound_ns=0, step=STEP, attempt=1, reason=reason, failed=code != 0, exit_code=code,
        signal=None,
        message="" if code is not None else "not done within 3 s", duration_ns=duration_ns, stdout_bytes=0,
        stderr_bytes=0, user_s=0.0, system_s=0.0, max_rss_kib=0, pipe_held=False, survivors=(),
    )  # fmt: skip


def test_output_stands_behind_its_node_and_on_its_stream() -> None:
    """Names are padded to a column; what the fabric does beside it is not shown, but what is wrong is."""
    view = exec_view(("lab1", "lab10"), fold=False, color=False)
    started = StepStarted(t_ns=1, bound_ns=0, step=STEP, attempt=1, pid=7, event="exec", planned_ns=0, go=1)
    notice = Notice(t_ns=1, bound_ns=0, level="warning", message="the clock is bad")
    reads = [Read(1, "lab1", started, b""), out("lab1", "a\nb\n"), out("lab10", "no\n", "stderr")]
    shown = list(view.lines([*reads, Read(2, "", notice, b"")], 0))
    assert [tuple(line) for line in shown] == [
        ("lab1:  a\nlab1:  b", False),
        ("lab10: no", True),
        ("the clock is bad", True),
    ]


def test_equal_lines_are_folded() -> None:
    """With the number of nodes, which says whether it was all of them."""
    view = exec_view(("lab1", "lab2"), fold=True, color=False)
    assert list(view.lines([out("lab1", "x\n"), out("lab2", "x\n")], 0)) == []
    assert view.deadline_ns is not None
    assert [line.text for line in view.finish()] == ["lab[1-2]  (2 nodes): x"]


def test_a_line_without_an_end_is_shown() -> None:
    """`printf` prints no newline."""
    view = exec_view(("lab1",), fold=False, color=False)
    assert list(view.lines([out("lab1", "half")], 0)) == []
    assert [line.text for line in view.finish()] == ["lab1: half"]


def test_how_it_ended_is_told_by_outcome_the_failures_last() -> None:
    """The last lines are those that stay on the screen."""
    ends = {"lab1": end(0, 2_000_000), "lab2": end(3), "lab3": end(0), "lab4": end(None, reason="timeout")}
    assert endings(("lab1", "lab2", "lab3", "lab4", "lab5"), ends) == [
        ("lab1,lab3: exit 0, 2 ms", False),
        ("lab2: exit 3, 1 ms", True),
        ("lab4: not done within 3 s, 1 ms", True),
        ("lab5: no result", True),
    ]


def test_words_are_executed_as_they_stand_and_a_line_by_the_shell() -> None:
    """As with ssh, but without its second round of quoting."""
    assert Command.of(["echo", "a  b", ";"]).argv == ("echo", "a  b", ";")
    assert Command.of(["echo a; exit 3"]).argv == ("/bin/sh", "-c", "echo a; exit 3")
    assert Command.of(["true"]).argv == ("true",)
