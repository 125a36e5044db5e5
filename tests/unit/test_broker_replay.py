"""Readers take turns, and none can pile up work."""

from broker.effects import AnswerReplay, Peer
from broker.limits import REPLAYS_PER_PEER
from broker.replay import ReplayQueue
from fabric.protocol.messages import Replay


def ask(reader: bytes, request: int) -> AnswerReplay:
    return AnswerReplay(
        Peer(reader, "operator", "ann"),
        Replay(request=request, run="20260301-102207-ping-k3f9", number=1, limit_bytes=1),
    )


def test_readers_are_answered_one_after_another() -> None:
    """One that asks for much must not keep the others waiting."""
    queue = ReplayQueue()
    for request in (ask(b"a", 1), ask(b"a", 2), ask(b"a", 3), ask(b"b", 1)):
        assert queue.put(request)
    order = [queue.take() for _ in range(4)]
    assert order == [ask(b"a", 1), ask(b"b", 1), ask(b"a", 2), ask(b"a", 3)]
    assert not queue
    assert queue.take() is None


def test_a_reader_has_few_requests_waiting() -> None:
    """What it asks for beyond that it has to ask again."""
    queue = ReplayQueue()
    assert all(queue.put(ask(b"a", request)) for request in range(REPLAYS_PER_PEER))
    assert not queue.put(ask(b"a", 99))
    assert queue.put(ask(b"b", 1))
