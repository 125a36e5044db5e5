"""Who gets parts of files next: a little at a time, one node after another."""

from fabric.controller.handout import LOST_NS, OUT_BYTES, Handout
from fabric.protocol.limits import FILE_PART_BYTES, FILE_PARTS
from fabric.protocol.messages import FileRequest

RUN = "20240101-000000-put-abcd"


def request(node: str, part: int, *, size: int = FILE_PART_BYTES, sha256: str = "a") -> FileRequest:
    return FileRequest(run=RUN, node=node, sha256=sha256, offset=part * FILE_PART_BYTES, size=size)


def taken(handout: Handout, now_ns: int = 0) -> list[tuple[str, int]]:
    found = []
    while one := handout.take(now_ns):
        found.append((one.node, one.offset // FILE_PART_BYTES))
    return found


def test_nodes_have_their_turns() -> None:
    """The first one that asks must not have all of a slow link."""
    handout = Handout()
    for node in ("lab1", "lab2"):
        for part in range(3):
            handout.ask(request(node, part))
    assert taken(handout) == [("lab1", 0), ("lab2", 0), ("lab1", 1), ("lab2", 1), ("lab1", 2), ("lab2", 2)]
    assert handout.deadline_ns is None


def test_only_so_much_is_on_its_way() -> None:
    """What waits in the queues of a link stands before a go, and before the word that ends a phase."""
    handout = Handout()
    nodes = [f"lab{number}" for number in range(100)]
    for node in nodes:
        for part in range(FILE_PARTS):
            handout.ask(request(node, part))
    most = OUT_BYTES // FILE_PART_BYTES
    assert len(taken(handout)) == most
    assert handout.deadline_ns == LOST_NS
    handout.ask(request("lab0", FILE_PARTS))  # so it has its first part
    assert len(taken(handout)) == 1
    handout.ask(request("lab1", 99, size=0))  # it has all of the file
    assert len(taken(handout)) == 1


def test_what_was_lost_holds_nobody_up_for_ever() -> None:
    """A node that dies never says what has arrived."""
    handout = Handout()
    for number in range(100):
        handout.ask(request(f"lab{number}", 0))
    first = taken(handout)
    assert taken(handout, LOST_NS - 1) == []
    assert len(taken(handout, LOST_NS)) == len(first)


def test_a_request_that_comes_again_is_answered_again() -> None:
    """The answer was lost; before that, the same request waits once."""
    handout = Handout()
    for _ in range(3):
        handout.ask(request("lab1", 0))
    assert taken(handout) == [("lab1", 0)]
    handout.ask(request("lab1", 0))
    assert taken(handout) == [("lab1", 0)]


def test_nonsense_is_not_answered() -> None:
    """A node may ask for anything; a message takes only so much."""
    handout = Handout()
    handout.ask(request("lab1", 0, size=FILE_PART_BYTES + 1))
    handout.ask(request("lab1", 0, size=-1))
    handout.ask(request("lab1", -1))
    handout.ask(request("lab1", 0, size=0))
    for part in range(1000):
        handout.ask(request("lab2", part))
    assert len(taken(handout)) <= FILE_PARTS
