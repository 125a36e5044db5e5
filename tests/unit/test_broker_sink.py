"""Every record is stored once and in order, and acknowledged when it is durable."""

from broker.effects import EMPTY_LOG, Bytes, Effect, LogState, Store, ToController, ToNode
from broker.limits import JOURNALS_OF_SOURCE
from broker.sink import Sink
from fabric.protocol.codec import decode_as, encode
from fabric.protocol.messages import Acknowledged, Append, Batch, EntryHead, Resend
from fabric.protocol.records import Notice, Output, PhaseStarted, Record

S = 1_000_000_000
MS = 1_000_000
RUN = "20260301-102207-ping-k3f9"


def output(size: int) -> Output:
    return Output(
        t_ns=1, bound_ns=1, step="1/run/client/ping", attempt=1, stream="stdout", offset=0, size=size
    )


def notice() -> Notice:
    return Notice(t_ns=1, bound_ns=1, level="info", message="hello")


def batch(first: int, *records: Record, incarnation: int = 1) -> Batch:
    return Batch(run=RUN, incarnation=incarnation, first=first, records=records)


def opened(state: LogState = EMPTY_LOG) -> Sink:
    sink = Sink()
    sink.open(RUN, state)
    return sink


def take(sink: Sink, sent: Batch, payload: Bytes = b"", now_ns: int = S) -> list[Effect]:
    return sink.receive("lab1", sent, encode(sent), payload, now_ns)


def acknowledged(number: int, incarnation: int = 1) -> ToNode:
    return ToNode("lab1", Acknowledged(run=RUN, incarnation=incarnation, number=number))


def resend(number: int) -> ToNode:
    return ToNode("lab1", Resend(run=RUN, incarnation=1, number=number))


def test_records_get_the_numbers_of_the_run_in_the_order_in_which_they_come() -> None:
    """Readers follow one sequence, whoever wrote."""
    sink = opened()
    sent = batch(1, notice(), notice())
    (first,) = take(sink, sent)
    assert first == Store(
        RUN, EntryHead(number=1, count=2, node="lab1", incarnation=1, first=1), encode(sent), b""
    )
    (second,) = sink.receive("lab2", batch(1, notice()), b"frame", b"", S)
    assert isinstance(second, Store)
    assert (second.head.number, second.head.node) == (3, "lab2")
    assert sink.last(RUN) == 3


def test_a_batch_is_stored_as_it_came() -> None:
    """Its frame and its bytes are not made again: that is what the speed of the sink rests on."""
    sink, frame, payload = opened(), memoryview(b"the frame"), memoryview(b"12345")
    (store,) = sink.receive("lab1", batch(1, output(5)), frame, payload, S)
    assert isinstance(store, Store)
    assert store.batch is frame
    assert store.payload is payload


def test_nothing_is_acknowledged_before_it_is_durable_and_then_once_for_each_journal() -> None:
    """The agent deletes what is acknowledged."""
    sink = opened()
    take(sink, batch(1, notice(), notice()))
    take(sink, batch(3, notice()))
    take(sink, batch(1, notice(), incarnation=2))
    assert not sink.is_idle(RUN)
    assert sink.last_durable(RUN) == 0
    assert sink.committed(RUN, 2) == [acknowledged(2)]
    assert (sink.last_durable(RUN), sink.last(RUN)) == (2, 4)
    assert sink.committed(RUN, 2) == []
    assert sink.committed(RUN, 4) == [acknowledged(3), acknowledged(1, incarnation=2)]
    assert sink.is_idle(RUN)


def test_what_came_already_is_dropped_and_acknowledged_again_at_a_limited_rate() -> None:
    """An acknowledgement can be lost; a whole window that is repeated must not bring hundreds."""
    sink = opened()
    take(sink, batch(1, notice()))
    sink.committed(RUN, 1)
    assert take(sink, batch(1, notice()), now_ns=2 * S) == [acknowledged(1)]
    assert take(sink, batch(1, notice()), now_ns=2 * S + 200 * MS - 1) == []
    assert take(sink, batch(1, notice()), now_ns=2 * S + 200 * MS) == [acknowledged(1)]


def test_of_a_batch_that_is_partly_old_only_the_rest_is_stored() -> None:
    """A resent journal is cut into other batches than before."""
    sink = opened()
    take(sink, batch(1, output(2)), b"ab")
    (store,) = take(sink, batch(1, output(2), output(3), notice()), b"abcde")
    assert isinstance(store, Store)
    assert store.head == EntryHead(number=2, count=2, node="lab1", incarnation=1, first=2)
    assert decode_as(store.batch, Batch) == batch(2, output(3), notice())
    assert bytes(store.payload) == b"cde"


def test_a_gap_is_asked_for_at_a_limited_rate_and_nothing_behind_it_is_stored() -> None:
    """Order is kept by refusing; each batch of the window shows the same gap."""
    sink = opened()
    take(sink, batch(1, notice()))
    assert take(sink, batch(3, notice()), now_ns=2 * S) == [resend(2)]
    assert take(sink, batch(4, notice()), now_ns=2 * S + 200 * MS - 1) == []
    assert take(sink, batch(5, notice()), now_ns=2 * S + 200 * MS) == [resend(2)]
    assert sink.last(RUN) == 1


def test_a_gap_that_nobody_can_fill_is_said_and_not_asked_for() -> None:
    """A restored broker has less than it once acknowledged: the agent has deleted that."""
    sink = opened(LogState(10, {("lab1", 1): 7}))
    sent = Batch(run=RUN, incarnation=1, first=12, gone=11, records=(notice(),))
    gap, store = take(sink, sent)
    assert isinstance(gap, Store)
    assert isinstance(store, Store)
    assert gap.head == EntryHead(number=11, count=1, node="lab1", incarnation=1, first=11)
    (told,) = decode_as(gap.batch, Batch).records
    assert isinstance(told, Notice)
    assert told.message.startswith("records 8 to 11 of lab1 are missing")
    assert (store.head.number, store.head.first, store.batch) == (12, 12, encode(sent))
    assert sink.committed(RUN, 12) == [acknowledged(12)]
    assert sink.deadline_ns is None


def test_what_is_missing_behind_what_is_gone_is_asked_for() -> None:
    """The agent has it; only the way has lost it."""
    sink = opened()
    sent = Batch(run=RUN, incarnation=1, first=5, gone=2, records=(notice(),))
    gap, asked = take(sink, sent)
    assert isinstance(gap, Store)
    assert asked == resend(3)


def test_a_gap_that_is_not_filled_is_asked_for_again() -> None:
    """The answer can be lost too, and a full window brings no batch that would show the gap."""
    sink = opened()
    take(sink, batch(2, notice()))
    assert sink.deadline_ns == S + 200 * MS
    assert sink.expire(S + 200 * MS - 1) == []
    assert sink.expire(S + 200 * MS) == [resend(1)]
    assert sink.expire(S + 200 * MS) == []
    assert sink.expire(2 * S + 200 * MS) == [resend(1)]
    take(sink, batch(1, notice(), notice()))
    assert sink.deadline_ns is None


def test_a_sink_goes_on_where_a_log_ends() -> None:
    """A restart of the broker stores nothing twice and leaves nothing out."""
    sink = opened(LogState(10, {("lab1", 1): 7}))
    assert sink.durable(RUN, "lab1", 1) == 7
    assert sink.durable(RUN, "lab1", 2) == 0
    (store,) = take(sink, batch(7, notice(), notice()))
    assert isinstance(store, Store)
    assert (store.head.number, store.head.first) == (11, 8)


def test_a_run_that_is_opened_again_keeps_what_is_known_of_it() -> None:
    """Old facts of the catalogue must not turn the numbers back."""
    sink = opened()
    take(sink, batch(1, notice()))
    sink.open(RUN, EMPTY_LOG)
    assert sink.last(RUN) == 1


def test_records_of_the_controller_are_stored_as_a_batch_and_answered_to_it() -> None:
    """One kind of entry for all readers."""
    sink = opened()
    sent = Append(run=RUN, incarnation=99, first=1, records=(notice(),))
    (store,) = sink.receive("", sent, None, b"", S)
    assert isinstance(store, Store)
    assert decode_as(store.batch, Batch) == batch(1, notice(), incarnation=99)
    assert sink.committed(RUN, 1) == [ToController(RUN, Acknowledged(run=RUN, incarnation=99, number=1))]


def test_a_source_has_so_many_journals_in_a_run_and_no_more() -> None:
    """A node that begins thousands would leave no room for those of others, nor for the run's own."""
    sink = opened(LogState(1, {("lab1", 1): 1}))
    for incarnation in range(2, JOURNALS_OF_SOURCE + 1):
        assert sink.refuses(RUN, "lab1", incarnation) == ""
        take(sink, batch(1, notice(), incarnation=incarnation))
    assert "128 journals" in sink.refuses(RUN, "lab1", JOURNALS_OF_SOURCE + 1)
    assert sink.refuses(RUN, "lab1", 7) == ""
    assert sink.refuses(RUN, "lab2", 1) == ""
    assert sink.refuses(RUN, "", 1 << 48) == ""


def test_phases_and_steps_are_indexed_and_nothing_else() -> None:
    """Rows of the catalogue cost more than records."""
    started = PhaseStarted(t_ns=1, bound_ns=0, phase="1/run", go=1, t0_ns=1, lead_ns=1)
    sent = Append(run=RUN, incarnation=99, first=1, records=(notice(), started))
    (store,) = opened().receive("", sent, None, b"", S)
    assert isinstance(store, Store)
    assert store.rows == (started,)


def test_a_stalled_sink_takes_nothing_and_asks_for_it_afterwards() -> None:
    """A full disk must lose nothing."""
    sink = opened()
    sink.stall()
    assert take(sink, batch(1, notice())) == []
    assert sink.resume() == [resend(1)]
    assert len(take(sink, batch(1, notice()))) == 1


def test_a_log_that_was_opened_anew_has_everything_behind_its_end_sent_again() -> None:
    """After a failed sync nobody knows what the disk holds, until it is read."""
    sink = opened()
    take(sink, batch(1, notice(), notice()))
    assert sink.reopen(RUN, LogState(1, {("lab1", 1): 1})) == [resend(2)]
    (store,) = take(sink, batch(2, notice()))
    assert isinstance(store, Store)
    assert store.head.number == 2
    assert sink.committed(RUN, 2) == [acknowledged(2)]
