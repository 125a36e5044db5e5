"""What is no well-formed batch is refused as a whole."""

from dataclasses import replace

import pytest

from broker.records import check, check_incarnation
from fabric.errors import DecodeError
from fabric.protocol.messages import Append, Batch
from fabric.protocol.records import Notice, Output, PhaseFinished, Record, RunEnded

RUN = "20260301-102207-ping-k3f9"
OUTPUT = Output(t_ns=1, bound_ns=1, step="1/run/client/ping", attempt=1, stream="stdout", offset=0, size=3)
NOTICE = Notice(t_ns=1, bound_ns=1, level="info", message="hello")
FINISHED = PhaseFinished(t_ns=1, bound_ns=1, phase="1/run", failed=False)
ENDED = RunEnded(t_ns=1, bound_ns=1, verdict="pass", why=())


def batch(*records: Record) -> Batch:
    return Batch(run=RUN, incarnation=1, first=1, records=records)


def test_a_good_batch_of_a_node_and_of_a_controller_passes() -> None:
    """The checks below must not refuse everything."""
    check("lab1", batch(OUTPUT, NOTICE, FINISHED, replace(OUTPUT, size=0)), 3)
    check("", Append(run=RUN, incarnation=9, first=1, records=(NOTICE, ENDED)), 0)


@pytest.mark.parametrize(
    ("bad", "size"),
    [
        (batch(OUTPUT), 4),
        (batch(OUTPUT), 2),
        (batch(), 0),
        (replace(batch(NOTICE), gone=1), 0),
        (replace(batch(NOTICE), gone=-1), 0),
        (batch(*[NOTICE] * 513), 0),
        (batch(replace(OUTPUT, step="1/run/client")), 3),
        (batch(replace(OUTPUT, step="1/../../etc")), 3),
        (replace(batch(NOTICE), run="../../etc"), 0),
        (replace(batch(NOTICE), first=0), 0),
        (replace(batch(NOTICE), incarnation=0), 0),
        (batch(ENDED), 0),
    ],
)
def test_a_bad_batch_is_refused(bad: Batch, size: int) -> None:
    """Stored records are trusted by every reader, and their names become paths."""
    with pytest.raises(DecodeError):
        check("lab1", bad, size)


def test_a_controller_does_not_speak_for_a_node() -> None:
    """Output and its like come from where they happened."""
    with pytest.raises(DecodeError):
        check("", batch(FINISHED), 0)


def test_the_brokers_own_journals_are_not_a_controllers() -> None:
    """Both have the empty name; the broker's incarnations are its epochs."""
    message = Append(run=RUN, incarnation=7, first=1, records=(NOTICE,))
    check_incarnation(message, 6)
    with pytest.raises(DecodeError):
        check_incarnation(message, 7)
