"""Which parts of a file are asked for: a window, in order, again after a loss."""

from agents.transfers.limits import ASK_AGAIN_S, NO_ANSWER_S
from agents.transfers.pull import Pull
from fabric.protocol.limits import FILE_PART_BYTES as PART_BYTES
from fabric.protocol.limits import FILE_PARTS as WINDOW_PARTS

AGAIN_NS = round(ASK_AGAIN_S * 1e9)


def test_only_a_window_is_asked_for() -> None:
    """A file of a gigabyte must not lie in everybody's queues at once."""
    pull = Pull(100 * PART_BYTES)
    assert pull.asks(0) == [(part * PART_BYTES, PART_BYTES) for part in range(WINDOW_PARTS)]
    assert pull.asks(1) == []
    assert pull.take(0, PART_BYTES, 2)
    assert pull.asks(2) == [(WINDOW_PARTS * PART_BYTES, PART_BYTES)]


def test_the_last_part_is_as_short_as_it_is() -> None:
    """Bytes beyond the end do not exist."""
    pull = Pull(PART_BYTES + 7)
    assert pull.asks(0) == [(0, PART_BYTES), (PART_BYTES, 7)]
    assert pull.take(0, PART_BYTES, 1)
    assert not pull.take(PART_BYTES, 8, 1)
    assert pull.take(PART_BYTES, 7, 1)
    assert pull.is_complete
    assert pull.deadline_ns is None


def test_what_is_lost_is_asked_for_again_in_order() -> None:
    """A cut of any link loses what was on its way; what came behind a gap is not kept."""
    pull = Pull(3 * PART_BYTES)
    pull.asks(0)
    assert not pull.take(PART_BYTES, PART_BYTES, 1), "the first part is missing"
    assert pull.deadline_ns == AGAIN_NS
    assert pull.asks(AGAIN_NS - 1) == []
    assert [offset for offset, _ in pull.asks(AGAIN_NS)] == [0, PART_BYTES, 2 * PART_BYTES]


def test_a_part_that_comes_twice_changes_nothing() -> None:
    """An answer to the first question may come after that to the second."""
    pull = Pull(2 * PART_BYTES)
    pull.asks(0)
    assert pull.take(0, PART_BYTES, 1)
    assert not pull.take(0, PART_BYTES, 2)
    assert pull.received == PART_BYTES


def test_an_empty_file_is_complete() -> None:
    """There is nothing to ask for."""
    pull = Pull(0)
    assert pull.is_complete
    assert pull.asks(0) == []


def test_it_is_given_up_if_nobody_answers() -> None:
    """A controller that is gone must not hold a node's step for an hour."""
    pull = Pull(2 * PART_BYTES)
    limit_ns = round(NO_ANSWER_S * 1e9)
    for now_ns in range(0, limit_ns, AGAIN_NS):
        assert pull.asks(now_ns)
    assert not pull.is_given_up(limit_ns - 1)
    assert pull.is_given_up(limit_ns)
    assert pull.take(0, PART_BYTES, limit_ns)
    assert not pull.is_given_up(limit_ns + 1)
