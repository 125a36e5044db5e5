"""How many strangers may stand at the doors, and for how long."""

from broker.crowd import Crowd
from broker.limits import HELLO_NS, KNOWN_CREDIT, SILENT_OF_ADDRESS, STRANGER_NS

FLOOD, LAB = "192.0.2.66", "192.0.2.1"


def arrive(crowd: Crowd, fds: range, address: str, now_ns: int = 0, *, must_speak: bool = True) -> list[int]:
    return [cut for fd in fds for cut in crowd.arrived(fd, address, now_ns, must_speak=must_speak)]


def test_where_an_address_has_too_many_each_has_its_time() -> None:
    """Those that are at their handshake get through with it, and nobody keeps a place by saying nothing.

    So who comes from the address of a flood, a good agent behind the same router, gets in.
    """
    crowd = Crowd(most=100, most_of_address=3, most_lines=1000)
    assert arrive(crowd, range(5), FLOOD) == [3, 4]
    assert arrive(crowd, range(10, 13), LAB) == []
    assert arrive(crowd, range(20, 21), FLOOD, HELLO_NS - 1) == [20]
    assert arrive(crowd, range(20, 22), FLOOD, HELLO_NS) == [0, 1]


def test_a_crowd_of_many_addresses_gives_way_to_others() -> None:
    """In all there are so many; the oldest of the largest group goes, never the one that comes alone."""
    crowd = Crowd(most=6, most_of_address=5, most_lines=1000)
    arrive(crowd, range(5), FLOOD)
    assert arrive(crowd, range(10, 12), LAB) == [0]
    assert arrive(crowd, range(20, 21), "192.0.2.67") == [1]


def test_an_address_with_known_connections_may_have_more() -> None:
    """A lab behind one router comes back all at once after a break."""
    crowd = Crowd(most=100, most_of_address=2, most_lines=1000)
    arrive(crowd, range(2), LAB)
    crowd.known(0)
    crowd.known(0)
    arrive(crowd, range(2, 2 + 1 + KNOWN_CREDIT), LAB)
    assert arrive(crowd, range(50, 51), LAB) == [50]
    crowd.gone(0)
    crowd.gone(0)
    assert arrive(crowd, range(60, 61), LAB) == [60]


def test_who_says_nothing_is_hung_up_on_where_one_must_speak() -> None:
    """A connection with any key would else hold a descriptor for ever."""
    crowd = Crowd(most=100, most_of_address=100, most_lines=1000)
    arrive(crowd, range(3), FLOOD, 5)
    arrive(crowd, range(10, 11), LAB, 6, must_speak=False)
    crowd.known(1)
    assert crowd.deadline_ns == 5 + STRANGER_NS
    assert crowd.expire(4 + STRANGER_NS) == []
    assert crowd.expire(5 + STRANGER_NS) == [0, 2]
    assert crowd.expire(6 + STRANGER_NS) == []
    assert crowd.deadline_ns is None


def test_a_descriptor_that_comes_again_is_another_connection() -> None:
    """The kernel gives the lowest number that is free, and its end may not have been told."""
    crowd = Crowd(most=100, most_of_address=1, most_lines=1000)
    arrive(crowd, range(1), FLOOD, 0)
    assert arrive(crowd, range(1), LAB, 7) == []
    assert arrive(crowd, range(1, 2), FLOOD, 8) == []
    assert crowd.deadline_ns == 7 + STRANGER_NS


def test_who_is_known_takes_no_more_than_there_are_descriptors() -> None:
    """A process without a descriptor can open no log, and burns a core with a connection it cannot accept."""
    crowd = Crowd(most=3, most_of_address=3, most_lines=4)
    for fd in range(4):
        assert arrive(crowd, range(fd, fd + 1), LAB) == []
        crowd.known(fd)
    assert crowd.is_full
    assert arrive(crowd, range(10, 11), LAB) == [10]
    crowd.gone(0)
    assert not crowd.is_full
    assert arrive(crowd, range(11, 12), LAB) == []


def test_lines_that_need_not_speak_are_bounded_too() -> None:
    """A node with nothing to report says nothing to the sink; a key could take all places so."""
    crowd = Crowd(most=1000, most_of_address=1000, most_lines=2000)
    arrive(crowd, range(1), LAB)
    crowd.known(0)
    room = SILENT_OF_ADDRESS + KNOWN_CREDIT
    arrive(crowd, range(1, room + 3), LAB, 1, must_speak=False)
    assert crowd.expire(1 + STRANGER_NS) == [room + 1, room + 2]
    assert crowd.lines == 1 + room

    crowd.known(1)
    crowd.gone(2)
    arrive(crowd, range(3000, 3003 + KNOWN_CREDIT), LAB, 2, must_speak=False)
    assert crowd.expire(2 + STRANGER_NS) == [3002 + KNOWN_CREDIT]
