from hypothesis import given
from hypothesis import strategies as st

from fabric.timing.lead import (
    GUARD_MIN_NS,
    LEAD_MIN_NS,
    REMEMBERED,
    SLACK_NS,
    Pace,
    guard_ns,
    lead_ns,
    repeats_ns,
)

MS = 1_000_000


@given(st.integers(0, 10**10), st.integers(0, 2000))
def test_the_lead_leaves_room_for_a_second_go_and_an_abort(rtt_ns: int, nodes: int) -> None:
    """All or none rests on it: go, confirmation, go again and abort have to fit in before t0."""
    lead = lead_ns(rtt_ns, nodes)
    assert lead >= LEAD_MIN_NS
    assert lead - guard_ns(lead) >= rtt_ns * 2
    assert guard_ns(lead) >= rtt_ns // 2
    assert guard_ns(lead) >= min(GUARD_MIN_NS, lead // 2)


def test_a_given_lead_that_is_tiny_still_has_a_guard() -> None:
    """`[trial] lead = "2ms"` is the user's risk, but the guard must lie between go and t0."""
    assert 0 < guard_ns(2_000_000) < 2_000_000


def paced(*spent_ms: int, nodes: int = 4, ready_ms: int = 10) -> Pace:
    pace = Pace()
    for spent in spent_ms:
        pace.confirmed(nodes, spent * MS, ready_ms * MS)
    return pace


def test_the_first_go_of_a_run_is_careful() -> None:
    """Nothing is known of these nodes; those that took long to be ready get more."""
    assert paced().lead_ns(MS, 4, 0) == lead_ns(MS, 4)
    assert paced().lead_ns(MS, 4, 100 * MS) == lead_ns(MS, 4) + 50 * MS


def test_later_goes_take_what_the_slowest_of_the_last_ones_took_and_as_much_for_an_abort() -> None:
    """Go and confirmation with half as much again, as much for an abort, never less than the least guard."""
    assert paced(2, 10, 1).lead_ns(MS, 4, 10 * MS) == SLACK_NS + 30 * MS
    assert paced(2, 4, 1).lead_ns(MS, 4, 10 * MS) == SLACK_NS + 12 * MS
    assert paced(50, *[2] * REMEMBERED).lead_ns(MS, 4, 10 * MS) == 2 * GUARD_MIN_NS, "gone"


def test_more_nodes_and_busier_ones_get_more() -> None:
    """What eight nodes needed says how long sixteen need; so does a prepare that took longer than before."""
    pace = paced(8, nodes=8)
    assert pace.lead_ns(0, 16, 10 * MS) == SLACK_NS + 48 * MS
    assert pace.lead_ns(0, 4, 10 * MS) == SLACK_NS + 24 * MS
    assert pace.lead_ns(0, 8, 50 * MS) == SLACK_NS + 24 * MS + 20 * MS
    assert pace.lead_ns(60 * MS, 8, 10 * MS) == SLACK_NS + 90 * MS, "no less than the network takes"


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_learnt_lead_has_room_for_all_that_may_be_said(spent_ns: int, rtt_ns: int) -> None:
    """Go and confirmation in half as much again as they took, and an abort in as much."""
    pace = Pace()
    pace.confirmed(4, spent_ns, 0)
    lead = pace.lead_ns(rtt_ns, 4, 0)
    first, second = repeats_ns(lead)
    decided = lead - guard_ns(lead)
    assert first >= spent_ns
    assert first < second < decided or lead == second * 2 == decided * 2 or decided - second <= 1
    assert decided >= spent_ns * 3 // 2
    assert guard_ns(lead) >= spent_ns * 3 // 2
    assert guard_ns(lead) >= min(GUARD_MIN_NS, lead // 2)
