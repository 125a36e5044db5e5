"""The rate that is shown to people: right within its bound, and of now."""

from fabric.timing.drift import ANCHORS, APART_NS, DriftWatch
from fabric.timing.offset import Exchange

S = 1_000_000_000


def exchange(local_ns: int, ppm: int, rtt_ns: int = 100_000) -> Exchange:
    t2 = local_ns + rtt_ns // 3 + local_ns * ppm // 1_000_000
    return Exchange(local_ns, t2, t2, local_ns + rtt_ns)


def test_a_rate_is_seen_after_a_while() -> None:
    """Two exchanges of one moment say nothing about it."""
    watch = DriftWatch()
    watch.add(1, exchange(0, 40))
    watch.add(1, exchange(S, 40))
    assert watch.seen is None
    for at in range(2, 100):
        watch.add(1, exchange(at * S, 40))
    assert watch.seen is not None
    assert abs(watch.seen.ppb - 40_000) <= watch.seen.bound_ppb < 5_000


def test_a_rate_is_of_the_last_minutes() -> None:
    """What a daemon did an hour ago is over."""
    watch = DriftWatch()
    slow_s = 3600
    for at in range(0, slow_s, 2):
        watch.add(1, exchange(at * S, 0))
    for at in range(slow_s, slow_s + (ANCHORS + 2) * APART_NS // S, 2):
        one = exchange(at * S, 0)
        gained = (at - slow_s) * S * 100 // 1_000_000
        watch.add(1, Exchange(one.t1_ns, one.t2_ns + gained, one.t3_ns + gained, one.t4_ns))
    assert watch.seen is not None
    assert abs(watch.seen.ppb - 100_000) <= watch.seen.bound_ppb + 1_000


def test_another_epoch_or_a_step_begins_anew() -> None:
    """The time between two clocks is no drift."""
    watch = DriftWatch()
    for at in range(60):
        watch.add(1, exchange(at * S, 0))
    watch.add(2, exchange(60 * S, 9))
    assert watch.seen is None
    watch.clear()
    assert watch.seen is None
