"""Lines in the order of their time, as far as a moment's wait can bring it about."""

from fabric.controller.entry import Read
from fabric.protocol.records import Notice, PhaseEnded, PhaseFinished
from fabric.report.order import HELD_BYTES, HOLD_NS, STEP_NS, TimeOrder
from fabric.report.places import Places
from tests.unit.reads import S, plain, said, started


def test_a_record_waits_a_moment_for_earlier_ones() -> None:
    """Two nodes' lines that come the wrong way round would tell the wrong story."""
    order = TimeOrder()
    later, earlier = said("b", t_s=2), said("a", node="lab2", t_s=1)
    assert order.take([later], 0) == []
    assert order.take([earlier], 1) == []
    due_ns = order.deadline_ns
    assert due_ns is not None
    assert HOLD_NS < due_ns <= HOLD_NS + STEP_NS
    assert order.take([], due_ns - 1) == []
    assert order.take([], due_ns) == [earlier, later]
    assert order.deadline_ns is None


def test_what_one_node_says_stays_in_its_order() -> None:
    """The end of a step is stamped when it is seen, its last line when that is read: a little later."""
    order = TimeOrder()
    reads = [said("last line", t_s=2), said("end", t_s=1.9)]
    order.take(reads, 0)
    assert order.rest() == reads


def test_a_step_has_started_before_it_printed_anything() -> None:
    """Its start is told when its launcher has let it run in peace, so its first line comes before that."""
    order = TimeOrder()
    early, start, late = said("hi", t_s=1.001), started(t_s=1), said("bye", t_s=1.002)
    order.take([early, start, late], 0)
    assert order.rest() == [start, early, late]


def test_what_the_controller_concludes_stands_behind_what_it_has_read() -> None:
    """Its clock may be behind a node's; `phase failed` before `failed here` would tell the wrong story."""
    order = TimeOrder()
    first = PhaseFinished(t_ns=2 * S, bound_ns=0, phase="1/run", failed=True)
    ended = PhaseEnded(
        t_ns=S, bound_ns=0, phase="1/run", failed=True, skew_ns=None, skew_bound_ns=None, latest_node=""
    )
    reads = [plain(first, "lab1"), plain(ended)]
    order.take(reads, 0)
    assert order.rest() == reads


def test_a_flood_is_let_go_instead_of_held() -> None:
    """Memory is bounded; the order is then as good as it can be."""
    order = TimeOrder()
    flood = [said("x" * 100_000, t_s=number) for number in range(20)]
    released = order.take(flood, 0)
    assert released == flood[: len(released)]
    assert len(flood) - len(released) <= HELD_BYTES // 100_000


def test_what_has_no_bound_stands_where_it_came() -> None:
    """Its instant is by a clock of which nobody knows anything: neither it nor what follows goes by that."""
    places = Places()
    early = Read(1, "a", Notice(t_ns=100, bound_ns=5, level="info", message=""), b"")
    strange = Read(2, "b", Notice(t_ns=10**20, bound_ns=-1, level="info", message=""), b"")
    later = Read(3, "b", Notice(t_ns=150, bound_ns=5, level="info", message=""), b"")
    assert [places.of(read) for read in (early, strange, later)] == [100, 100, 150]
