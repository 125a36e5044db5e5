import pytest

from agents.journal.packed import matters_to_ledger, packed_span, span_of
from fabric.protocol import codec
from fabric.protocol.records import Notice, Output, StepSkipped, StepStarted

OUTPUT = Output(t_ns=1, bound_ns=-1, step="1/run/a/b", attempt=1, stream="stderr", offset=5, size=7)
STARTED = StepStarted(
    t_ns=1, bound_ns=1, step="1/run/a/b", attempt=1, pid=1, event="exec", planned_ns=0, go=0
)
SKIPPED = StepSkipped(t_ns=1, bound_ns=1, step="1/run/a/b", message="")
NOTICE = Notice(t_ns=1, bound_ns=1, level="info", message="output")


def test_an_output_is_known_by_its_first_bytes() -> None:
    """Only an output has bytes to be sent beside it."""
    assert packed_span(codec.encode_record(OUTPUT)) == span_of(OUTPUT)
    for record in (STARTED, SKIPPED, NOTICE):
        assert packed_span(codec.encode_record(record)) is None


@pytest.mark.parametrize(
    ("record", "matters"), [(OUTPUT, True), (STARTED, True), (SKIPPED, False), (NOTICE, False)]
)
def test_the_ledger_is_told_of_streams_and_steps(record: Output, matters: bool) -> None:
    """Kinds that share a beginning are told apart; a recovery unpacks nothing else."""
    assert matters_to_ledger(codec.encode_record(record)) == matters
