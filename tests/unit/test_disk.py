"""What a node does while its disk is full."""

from agents.disk import WARN_S, DiskWatch
from agents.journal.limits import DISK_FULL_S

S = 1_000_000_000


def at(seconds: float) -> int:
    return round(seconds * S)


def test_a_person_is_told_once_and_when_it_is_over() -> None:
    """Not of every moment at which acknowledgements are waited for, and not again and again."""
    watch = DiskWatch(DISK_FULL_S)
    assert watch.look(full=True, stuck=False, now_ns=at(10)) == ""
    assert watch.look(full=False, stuck=False, now_ns=at(10.5)) == ""
    assert watch.look(full=True, stuck=False, now_ns=at(11)) == ""
    assert watch.look(full=True, stuck=False, now_ns=at(11 + WARN_S)) == "warn"
    assert watch.look(full=True, stuck=False, now_ns=at(100)) == ""
    assert watch.look(full=False, stuck=False, now_ns=at(101)) == "relax"
    assert watch.look(full=False, stuck=False, now_ns=at(102)) == ""


def test_waiting_for_acknowledgements_has_no_end() -> None:
    """The broker may be away for an hour: that is what the disk is for."""
    watch = DiskWatch(DISK_FULL_S)
    watch.look(full=True, stuck=False, now_ns=0)
    assert watch.look(full=True, stuck=False, now_ns=at(WARN_S)) == "warn"
    assert watch.look(full=True, stuck=False, now_ns=at(3600)) == ""


def test_a_disk_that_is_full_of_other_things_is_given_up() -> None:
    """Nobody but a person makes room; the run must not stand still until the trial's timeout."""
    watch = DiskWatch(DISK_FULL_S)
    watch.look(full=True, stuck=True, now_ns=0)
    assert watch.look(full=True, stuck=True, now_ns=at(WARN_S)) == "warn"
    assert watch.look(full=True, stuck=False, now_ns=at(20)) == "", "something can still be acknowledged"
    assert watch.look(full=True, stuck=True, now_ns=at(21)) == ""
    assert watch.look(full=True, stuck=True, now_ns=at(21 + DISK_FULL_S) - 1) == ""
    assert watch.look(full=True, stuck=True, now_ns=at(21 + DISK_FULL_S)) == "give up"
    assert watch.look(full=True, stuck=True, now_ns=at(22 + DISK_FULL_S)) == "give up", "the next step too"
    assert watch.look(full=False, stuck=True, now_ns=at(23 + DISK_FULL_S)) == "relax"
    assert watch.look(full=True, stuck=True, now_ns=at(24 + DISK_FULL_S)) == ""
