"""What is missing is said, and nothing else is."""

from fabric.controller.entry import Read
from fabric.protocol.records import Output, OutputDropped, Record, StepFinished
from fabric.report.losses import Losses

STEP = "1/run/db/etcd"


def output(offset: int, size: int) -> Output:
    return Output(t_ns=5, bound_ns=0, step=STEP, attempt=1, stream="stdout", offset=offset, size=size)


def finished(stdout_bytes: int) -> StepFinished:
    return StepFinished(
        t_ns=9, bound_ns=0, step=STEP, attempt=1, reason="exited", failed=False, exit_code=0, signal=None,
        message="", duration_ns=1, stdout_bytes=stdout_bytes, stderr_bytes=0, user_s=0.0, system_s=0.0,
        max_rss_kib=0, pipe_held=False, survivors=(),
    )  # fmt: skip


def missing(*records: Record, whole: bool = True) -> list[tuple[int, int]]:
    reads = [Read(number, "lab1", record, b"") for number, record in enumerate(records, 1)]
    told = [read.record for read in Losses(whole=whole).told(reads)]
    assert [record for record in told if record in records] == list(records)
    added = [record for record in told if record not in records]
    return [(record.offset, record.size) for record in added if isinstance(record, OutputDropped)]


def test_what_follows_is_not_commented() -> None:
    """The usual case, with the end mark of the stream."""
    assert missing(output(0, 3), output(3, 4), output(7, 0), finished(7)) == []


def test_a_gap_is_told_where_it_is() -> None:
    """Two halves of a file that look like a whole one are worse than none."""
    assert missing(output(0, 3), output(10, 4)) == [(3, 7)]
    assert missing(output(4, 4)) == [(0, 4)]


def test_an_end_that_never_came_is_told_with_the_steps_end() -> None:
    """An agent that died may have counted what it could not ship."""
    assert missing(output(0, 3), finished(10)) == [(3, 7)]
    assert missing(finished(10)) == [(0, 10)]


def test_what_was_dropped_with_a_record_is_not_told_twice() -> None:
    """The trial allowed it, and its record says so."""
    dropped = OutputDropped(
        t_ns=1, bound_ns=0, step=STEP, attempt=1, stream="stdout", offset=3, size=7, why="the node is slow"
    )
    assert missing(output(0, 3), dropped, output(10, 2), finished(12)) == []


def test_who_joins_in_the_middle_misses_nothing() -> None:
    """A tail that begins at a later record does not want to hear of what it did not ask for."""
    assert missing(output(100, 3), finished(500), whole=False) == []
    assert missing(output(100, 3), output(110, 3), whole=False) == [(103, 7)]
