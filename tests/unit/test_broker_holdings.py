"""Who makes the broker hold much is found by what has come and was not handed over."""

import socket

from broker.holdings import Holdings, wire_bytes
from broker.limits import HELD_BYTES, LEAST_MEMORY_BYTES, SUBSCRIBED_BYTES
from broker.memory import came_bytes, most_bytes, resident_bytes

MIB = 1 << 20


def test_only_those_are_found_of_which_too_much_is_held() -> None:
    """The one with the most first; what was handed over does not count, however much it was."""
    holdings = Holdings()
    for fd in (3, 4, 5, 6):
        holdings.begun(fd)
    for _ in range(100):
        holdings.took(3, [b"x" * MIB])
    came = {3: (101 * MIB, False), 4: (HELD_BYTES, False), 5: (HELD_BYTES + 1, False), 6: (50 * MIB, False)}
    assert holdings.excessive(came) == [6, 5]


def test_those_that_only_subscribe_may_answer_heartbeats_for_weeks() -> None:
    """Their answers are seen nowhere, and nobody has sent too much."""
    holdings = Holdings()
    assert holdings.excessive({3: (SUBSCRIBED_BYTES, True), 4: (SUBSCRIBED_BYTES + 1, True)}) == [4]


def test_a_number_that_comes_again_is_another_connection() -> None:
    """What the last one has sent must not excuse the next one."""
    holdings = Holdings()
    holdings.begun(3)
    for _ in range(9):
        holdings.took(3, [b"x" * MIB])
    holdings.gone(3)
    holdings.gone(3)
    holdings.begun(3)
    assert holdings.excessive({3: (9 * MIB, False)}) == [3]


def test_the_kernel_says_how_much_has_come() -> None:
    """What still waits in the kernel is bounded there, and is not the broker's memory."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
        with one, other:
            one.sendall(b"x" * 5000)
            assert len(other.recv(3000, socket.MSG_WAITALL)) == 3000
            assert came_bytes(other) == 3000
            assert len(other.recv(2000, socket.MSG_WAITALL)) == 2000
            assert came_bytes(other) == 5000


def test_there_is_a_limit_whatever_the_machine_has() -> None:
    """And this process is far below it."""
    assert most_bytes() >= LEAST_MEMORY_BYTES
    assert 1 * MIB < resident_bytes() < 4096 * MIB
    assert wire_bytes(0) == 35
    assert wire_bytes(1000) == 1042
