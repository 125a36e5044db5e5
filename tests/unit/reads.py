"""Records as a reader is given them, for tests of what is shown."""

from fabric.controller.entry import Read
from fabric.protocol.records import MetricMissing, Output, Record, StepFinished, StepStarted, Stream

S = 1_000_000_000
STEP = "1/run/client/client-1"


def said(
    text: str, *, node: str = "lab1", t_s: float = 0.0, stream: Stream = "stdout", step: str = STEP
) -> Read:
    data = text.encode()
    record = Output(
        t_ns=round(t_s * S), bound_ns=0, step=step, attempt=1, stream=stream, offset=0, size=len(data)
    )
    return Read(1, node, record, data)


def started(*, node: str = "lab1", t_s: float = 0.0, step: str = STEP) -> Read:
    record = StepStarted(
        t_ns=round(t_s * S),
        bound_ns=0,
        step=step,
        attempt=1,
        pid=7,
        event="exec",
        planned_ns=0,
        go=1,
    )
    return Read(1, node, record, b"")


def finished(
    *,
    node: str = "lab1",
    t_s: float = 0.0,
    step: str = STEP,
    exit_code: int = 0,
    stderr_bytes: int = 0,
    retried: bool = False,
) -> Read:
    record = StepFinished(
        t_ns=round(t_s * S),
        bound_ns=0,
        step=step,
        attempt=1,
        reason="exited",
        failed=exit_code != 0,
        exit_code=exit_code,
        signal=None,
        message=f"exit {exit_code}",
        duration_ns=2_100_000_000,
        stdout_bytes=0,
        stderr_bytes=stderr_bytes,
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=0,
        pipe_held=False,
        survivors=(),
        retried=retried,
    )
    return Read(1, node, record, b"")


def missing_metric(*, node: str = "lab1", t_s: float = 0.0) -> MetricMissing:
    return MetricMissing(
        t_ns=round(t_s * S), bound_ns=0, node=node, step=STEP, attempt=1, name="rtt", why="not found"
    )


def plain(record: Record, node: str = "") -> Read:
    return Read(1, node, record, b"")
