from hypothesis import given
from hypothesis import strategies as st

from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.records import Notice, Output, Record

NOTICES = st.builds(
    Notice,
    t_ns=st.integers(0, (1 << 62) - 1),
    bound_ns=st.integers(-1, 1 << 40),
    level=st.sampled_from(["info", "warning", "error"]),
    message=st.text(max_size=300),
)
OUTPUTS = st.builds(
    Output,
    t_ns=st.integers(0, (1 << 62) - 1),
    bound_ns=st.integers(-1, 1 << 40),
    step=st.just("1/run/client/ping"),
    attempt=st.integers(1, 9),
    stream=st.sampled_from(["stdout", "stderr"]),
    offset=st.integers(0, 1 << 53),
    size=st.integers(0, 1 << 17),
)


@given(st.lists(NOTICES | OUTPUTS, max_size=40), st.integers(1, 1 << 40))
def test_a_batch_of_packed_records_is_the_batch(records: list[Record], first: int) -> None:
    """The journal puts batches together from packed records; a peer must not see a difference."""
    head = Batch(run="r", incarnation=3, first=first, records=())
    whole = Batch(run="r", incarnation=3, first=first, records=tuple(records))
    frame = codec.encode_batch(head, [codec.encode_record(record) for record in records])
    assert frame == codec.encode(whole)
    assert codec.decode(frame) == whole
