from hypothesis import given
from hypothesis import strategies as st

from fabric.timing.offset import DRIFT_PPM, Exchange, OffsetFilter

DELAY_NS = st.integers(0, 50_000_000)


def exchange(true_ns: int, local_ns: int, there_ns: int, hold_ns: int, back_ns: int) -> Exchange:
    """An exchange as the network makes it when fabric minus local is ``true_ns``."""
    t2 = local_ns + there_ns + true_ns
    t3 = t2 + hold_ns
    return Exchange(local_ns, t2, t3, local_ns + there_ns + hold_ns + back_ns)


@given(
    st.integers(-(10**18), 10**18), st.lists(st.tuples(DELAY_NS, DELAY_NS, DELAY_NS), min_size=1, max_size=60)
)
def test_the_true_offset_lies_within_the_bound(true_ns: int, delays: list[tuple[int, int, int]]) -> None:
    """The bound is a promise: no asymmetry of the path may break it."""
    clock = OffsetFilter()
    now_ns = 0
    for there, hold, back in delays:
        one = exchange(true_ns, now_ns, there, hold, back)
        clock.add(1, one)
        now_ns = one.t4_ns
        estimate = clock.estimate(now_ns)
        assert estimate is not None
        assert abs(estimate.offset_ns - true_ns) <= estimate.bound_ns


def test_a_better_round_trip_wins_until_it_is_old() -> None:
    """The smallest round trip proves most, but drift widens what it proved."""
    clock = OffsetFilter()
    clock.add(1, exchange(1000, 0, 100_000, 0, 100_000))
    clock.add(1, exchange(1000, 10**9, 10**6, 0, 10**6))
    soon = clock.estimate(10**9 + 2 * 10**6)
    assert soon is not None
    assert soon.rtt_ns == 200_000
    hour_ns = 3600 * 10**9
    clock.add(1, exchange(1000, hour_ns, 10**6, 0, 10**6))
    late = clock.estimate(hour_ns + 2 * 10**6)
    assert late is not None
    assert late.rtt_ns == 2 * 10**6
    assert late.bound_ns < hour_ns * DRIFT_PPM // 10**6


def test_a_new_epoch_forgets_the_old_clock() -> None:
    """A restarted broker counts its time anew: an old exchange says nothing about it."""
    clock = OffsetFilter()
    clock.add(1, exchange(0, 0, 10, 0, 10))
    clock.add(2, exchange(5_000_000, 100, 1000, 0, 1000))
    estimate = clock.estimate(2100)
    assert estimate is not None
    assert abs(estimate.offset_ns - 5_000_000) <= estimate.bound_ns


def test_an_answer_from_the_future_is_ignored() -> None:
    """T3 before T2, or a negative round trip, comes from a broken peer only."""
    clock = OffsetFilter()
    clock.add(1, Exchange(0, 100, 5000, 10))
    assert clock.estimate(10) is None
