"""Between the node's clock and fabric time: each instant has the bound of its own time."""

from agents.stamp import Stamp
from fabric.timing.offset import Exchange, FabricOffset
from tests.unit.scripted_node import MS

S = 1_000 * MS
OFFSET_NS = 10**18


def asked(*instants_ns: int) -> FabricOffset:
    made = FabricOffset()
    for at_ns in instants_ns:
        t2 = at_ns + 50_000 + OFFSET_NS
        assert made.add(1, Exchange(at_ns, t2, t2, at_ns + 100_000)) is None
    return made


def test_a_record_of_the_past_has_the_bound_of_its_instant() -> None:
    """A start is reported late now and then; what the clock was at that instant is known all the same."""
    stamp = Stamp(asked(10 * S, 100 * S), epoch=1)
    then, now = stamp.fabric(10 * S), stamp.fabric(90 * S)
    assert then[1] < 60_000
    assert now[1] > 1 * MS
    assert abs(then[0] - OFFSET_NS - 10 * S) <= then[1]


def test_there_and_back_again_is_the_same_instant() -> None:
    """The t0 of a go is local for the launcher and fabric time again in the record."""
    stamp = Stamp(asked(10 * S, 100 * S), epoch=1)
    for local_ns in (0, 10 * S, 55 * S, 101 * S):
        t_ns, _ = stamp.fabric(local_ns)
        assert abs(stamp.local(t_ns) - local_ns) <= 1


def test_without_a_clock_there_is_no_bound() -> None:
    """Nobody may take a guess for a measurement."""
    assert Stamp().fabric(5) == (0, -1)
    assert Stamp(FabricOffset(), epoch=1).fabric(5) == (0, -1)
    assert Stamp().local(5) == 5
