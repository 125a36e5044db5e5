from hypothesis import given
from hypothesis import strategies as st

from fabric.timing.lead import GUARD_MIN_NS, LEAD_MIN_NS, guard_ns, lead_ns


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
