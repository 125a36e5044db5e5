from agents.journal.ledger import Checkpoint, Ledger, StreamState
from fabric.protocol.records import Output, StepFinished, StepStarted

STEP = "1/run/client/ping"


def started(step: str = STEP) -> StepStarted:
    return StepStarted(t_ns=7, bound_ns=1, step=step, attempt=1, pid=1, event="exec", planned_ns=0, go=1)


def output(offset: int, size: int) -> Output:
    return Output(t_ns=8, bound_ns=1, step=STEP, attempt=1, stream="stdout", offset=offset, size=size)


def finished() -> StepFinished:
    return StepFinished(
        t_ns=9,
        bound_ns=1,
        step=STEP,
        attempt=1,
        reason="exited",
        failed=False,
        exit_code=0,
        signal=None,
        message="",
        duration_ns=2,
        stdout_bytes=5,
        stderr_bytes=0,
        user_s=0.0,
        system_s=0.0,
        max_rss_kib=1,
        pipe_held=False,
        survivors=(),
    )


def ledger(*records: StepStarted | Output | StepFinished) -> Ledger:
    made = Ledger()
    for record in records:
        made.note(record)
    return made


def test_a_step_is_open_from_its_start_to_its_finish() -> None:
    """The next life reports exactly the open ones as lost, with what is known of their output."""
    begun = ledger(started(), output(0, 5), output(5, 0))
    (step,) = begun.open_steps()
    assert (step.step, step.attempt, step.started_ns) == (STEP, 1, 7)
    assert (step.stdout, step.stderr) == (StreamState(5, ended=True), StreamState(0, ended=False))

    begun.note(finished())
    assert begun.open_steps() == ()


def test_a_ledger_forgets_what_is_finished() -> None:
    """A run of a million steps must not grow the agent, nor each new segment."""
    assert ledger(started(), output(0, 5), output(5, 0), finished()).dump() == Ledger().dump()


def test_a_checkpoint_comes_back() -> None:
    """It is all that is left of records in deleted segments."""
    before = ledger(started(), output(0, 5), started("1/run/client/other"))
    after = Checkpoint.decode(Checkpoint(42, before).encode())
    assert after.first == 42
    assert after.ledger.open_steps() == before.open_steps()
    assert after.ledger.streams == before.streams
