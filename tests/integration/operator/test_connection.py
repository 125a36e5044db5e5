"""The operator's connection over real sockets: bounded waits, and nothing lost over any break."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.lookup import find_run
from fabric.controller.position import MARGIN_NS, find_number, find_origin_ns
from fabric.controller.tail import RunTail
from fabric.errors import ConnectionRefused, UsageError
from fabric.keys import KeyPair
from fabric.protocol.messages import NodesRequest
from fabric.protocol.records import PhaseFinished

S = 1_000_000_000
LIMIT_NS = 15 * S


@pytest.fixture
def connection(broker: Any) -> Iterator[Connection]:
    with closing(Connection(broker.access, program="test")) as made:
        made.wait_up()
        yield made


def read_until(connection: Connection, tail: RunTail, enough: Callable[[list[Read]], bool]) -> list[Read]:
    """Take turns until enough was read; only a failing test waits out the limit."""
    found: list[Read] = []
    limit_ns = connection.now_ns() + LIMIT_NS
    while not enough(found) and not tail.done:
        found += tail.turn()
        assert connection.now_ns() < limit_ns, f"only {[read.number for read in found]} came"
    return found


def wait_subscribed(tail: RunTail, connection: Connection, broker: Any) -> None:
    """Take turns until the feed knows the reader: a SUB speaks only while its own thread touches it."""
    limit_ns = connection.now_ns() + LIMIT_NS
    while not broker.subscribed:
        assert tail.turn(connection.now_ns() + 10_000_000) == []
        assert connection.now_ns() < limit_ns, "the subscription did not come"


def texts(reads: list[Read]) -> str:
    return b"".join(bytes(read.data) for read in reads).decode()


def test_what_is_stored_is_read_to_its_end(connection: Connection, broker: Any) -> None:
    """A reader without --follow ends by itself."""
    broker.say("one ", "two ")
    broker.say("three")
    tail = RunTail(connection, find_run(connection, "latest"))
    reads = read_until(connection, tail, lambda _: False)
    assert [read.number for read in reads] == [1, 2, 3]
    assert texts(reads) == "one two three"


def test_a_run_is_followed_live_and_ends_with_its_verdict(connection: Connection, broker: Any) -> None:
    """Stored and live meet without a seam, and the reader is told that nothing follows."""
    broker.say("stored ")
    tail = RunTail(connection, find_run(connection, "latest"), follow=True)
    reads = read_until(connection, tail, lambda found: len(found) == 1)
    wait_subscribed(tail, connection, broker)
    broker.say("live ")
    reads += read_until(connection, tail, lambda found: len(found) == 1)
    broker.end()
    reads += read_until(connection, tail, lambda _: False)
    assert tail.done
    assert [read.number for read in reads] == [1, 2, 3]


def test_what_the_feed_loses_is_read_by_replay(connection: Connection, broker: Any) -> None:
    """ZeroMQ drops silently when a reader is slow; a beacon shows it even if nothing follows."""
    tail = RunTail(connection, find_run(connection, "latest"), follow=True)
    wait_subscribed(tail, connection, broker)
    broker.say("lost ", lost=True)
    broker.say("and found ")
    broker.say("and lost", lost=True)
    reads = read_until(connection, tail, lambda found: len(found) == 3)
    assert texts(reads) == "lost and found and lost"


def test_a_restart_of_the_broker_loses_and_doubles_nothing(connection: Connection, broker: Any) -> None:
    """A new broker knows no session; the reader greets it and goes on where it was."""
    tail = RunTail(connection, find_run(connection, "latest"), follow=True)
    broker.say("before ")
    reads = read_until(connection, tail, lambda found: len(found) == 1)
    broker.stop()
    broker.start()
    broker.say("between ")
    reads += read_until(connection, tail, lambda found: len(found) == 1)
    wait_subscribed(tail, connection, broker)
    broker.say("after")
    reads += read_until(connection, tail, lambda found: len(found) == 1)
    assert texts(reads) == "before between after"
    assert connection.welcome is not None
    assert connection.welcome.epoch == 2


def test_the_instant_of_the_first_record_is_found_from_anywhere(connection: Connection, broker: Any) -> None:
    """Times are relative to it also for a tail that begins in the middle."""
    assert find_origin_ns(connection, find_run(connection, "latest")) is None
    broker.say("x")
    broker.say("y")
    assert find_origin_ns(connection, find_run(connection, "latest")) == 1_000_000_000
    tail = RunTail(connection, find_run(connection, "latest"), number=2)
    assert texts(read_until(connection, tail, lambda _: False)) == "y"


def test_the_record_of_an_instant_is_found(connection: Connection, broker: Any) -> None:
    """For `--from 5m`: among a hundred by some single ones, and with room for those that came late."""
    for second in range(100):
        broker.append(PhaseFinished(t_ns=second * S, bound_ns=0, phase="1/run", failed=False))
    info = find_run(connection, "latest")
    assert find_number(connection, info, 80 * S) == 81 - MARGIN_NS // S
    assert find_number(connection, info, 0) == 1
    assert find_number(connection, info, 500 * S) == 101


def test_a_broker_that_is_not_there_is_named_after_a_bounded_time(broker: Any) -> None:
    """A wrong address must not hang a shell or a CI job."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with (
            closing(Connection(replace(broker.access, url=url), program="test", patience_s=0.2)) as made,
            pytest.raises(ConnectionRefused, match=f"no answer from the broker at {url}"),
        ):
            made.wait_up()


def test_a_broker_with_another_key_is_not_spoken_to(broker: Any) -> None:
    """Somebody else on the address must not get the operator's commands."""
    access = replace(broker.access, broker_public=KeyPair.new().public)
    with (
        closing(Connection(access, program="test", patience_s=0.3)) as made,
        pytest.raises(ConnectionRefused, match="no answer"),
    ):
        made.wait_up()
    assert broker.hellos == 0


def test_a_refusal_ends_the_wait_at_once(broker: Any) -> None:
    """The broker's sentence is worth more than a timeout."""
    broker.refusal = "this key may not operate"
    with (
        closing(Connection(broker.access, program="test", patience_s=60)) as made,
        pytest.raises(ConnectionRefused, match="this key may not operate"),
    ):
        made.wait_up()


def test_a_request_is_repeated_over_a_restart_and_its_wait_is_bounded(
    connection: Connection, broker: Any
) -> None:
    """The broker may die between a request and its answer."""
    broker.stop()
    broker.start()
    assert connection.ask(NodesRequest(request=next(connection.numbers))).kind == "nodes"
    broker.deaf = True
    with pytest.raises(ConnectionRefused, match="to nodes_request for 0 s"):
        connection.ask(NodesRequest(request=next(connection.numbers)), patience_s=0.2)


def test_a_run_is_found_by_its_beginning(connection: Connection, broker: Any, older_run: Any) -> None:
    """Nobody types a whole id; and nobody wants the wrong run."""
    broker.older_runs = (older_run,)
    assert find_run(connection, "latest").run == broker.info.run
    assert find_run(connection, "20260228") == older_run
    with pytest.raises(UsageError, match="several runs begin with 2026"):
        find_run(connection, "2026")
    with pytest.raises(UsageError, match="no run is called nothing"):
        find_run(connection, "nothing")
