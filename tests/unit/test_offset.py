"""What exchanges prove of the offset: the promise is that the true one lies within the bound, always."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.timing.envelope import DRIFT_PPM, KEPT, Ceiling, widened_ns
from fabric.timing.offset import Estimate, Exchange, FabricOffset

MS = 1_000_000
S = 1_000 * MS

OFFSETS_NS = st.integers(-(10**18), 10**18)
DELAYS_NS = st.one_of(st.just(0), st.integers(0, 300_000), st.integers(0, 500 * MS))
RATES_PPM = st.integers(-DRIFT_PPM, DRIFT_PPM)


@dataclass(frozen=True)
class Leg:
    """A stretch of local time in which the clocks drift at one rate, and the exchange that it begins with."""

    wait_ms: int
    rate_ppm: int
    there_ns: int
    hold_ns: int
    back_ns: int
    lost: bool


LEGS = st.lists(
    st.builds(Leg, st.integers(0, 60_000), RATES_PPM, DELAYS_NS, DELAYS_NS, DELAYS_NS, st.booleans()),
    min_size=1,
    max_size=24,
)


class TwoClocks:
    """A local clock that starts at 0 and one that gains or loses on it, both known exactly."""

    def __init__(self, offset_ns: int) -> None:
        self._bends = [(0, offset_ns * 1_000_000, 0)]  # local instant, offset in 1e-6 ns, rate

    def bend(self, local_ns: int, rate_ppm: int) -> None:
        """Let them drift at another rate from an instant on."""
        self._bends.append((local_ns, self._fine(local_ns), rate_ppm))

    def other_ns(self, local_ns: int) -> int:
        """Return what the other clock shows at a local instant, in whole nanoseconds as clocks do."""
        return (local_ns * 1_000_000 + self._fine(local_ns)) // 1_000_000

    def lies_within(self, estimate: Estimate, local_ns: int) -> bool:
        """Say whether a stated interval holds the true offset."""
        off = abs(estimate.offset_ns * 1_000_000 - self._fine(local_ns))
        return off <= estimate.bound_ns * 1_000_000

    def _fine(self, local_ns: int) -> int:
        at_ns, fine, rate = next(bend for bend in reversed(self._bends) if bend[0] <= local_ns)
        return fine + (local_ns - at_ns) * rate


def play(offset_ns: int, legs: list[Leg]) -> tuple[TwoClocks, list[Exchange]]:
    """Let two clocks run, and return the exchanges that were not lost."""
    clocks, found, now_ns = TwoClocks(offset_ns), [], 0
    for leg in legs:
        clocks.bend(now_ns, leg.rate_ppm)
        t2_ns, t3_ns = now_ns + leg.there_ns, now_ns + leg.there_ns + leg.hold_ns
        t4_ns = t3_ns + leg.back_ns
        if not leg.lost:
            found.append(Exchange(now_ns, clocks.other_ns(t2_ns), clocks.other_ns(t3_ns), t4_ns))
        now_ns = t4_ns + 1 + leg.wait_ms * MS
    return clocks, found


def known(exchanges: list[Exchange], epoch: int = 1) -> FabricOffset:
    """Return what these exchanges prove; none contradicts the others."""
    made = FabricOffset()
    for one in exchanges:
        assert made.add(epoch, one) is None
    return made


def exchange(offset_ns: int, local_ns: int, there_ns: int, back_ns: int, hold_ns: int = 0) -> Exchange:
    """Return an exchange of clocks that do not drift."""
    t2 = local_ns + there_ns + offset_ns
    return Exchange(local_ns, t2, t2 + hold_ns, local_ns + there_ns + hold_ns + back_ns)


@settings(max_examples=60, deadline=None)
@given(OFFSETS_NS, LEGS, st.integers(0, 3600 * S))
def test_the_true_offset_lies_within_the_bound(offset_ns: int, legs: list[Leg], any_ns: int) -> None:
    """The bound is a promise: no delay, asymmetry, loss or drift within the limit breaks it, ever."""
    clocks, exchanges = play(offset_ns, legs)
    made = FabricOffset()
    for one in exchanges:
        assert made.add(1, one) is None, "nobody has set a clock"
        for instant_ns in (one.t1_ns, one.t4_ns, any_ns):
            estimate = made.at(instant_ns)
            assert estimate is not None
            assert clocks.lies_within(estimate, instant_ns)


@settings(max_examples=60, deadline=None)
@given(OFFSETS_NS, LEGS, st.integers(0, 3600 * S))
def test_more_evidence_never_says_less(offset_ns: int, legs: list[Leg], any_ns: int) -> None:
    """Or a bad exchange could spoil a good one: the interval is within that of any one, and the last."""
    _, exchanges = play(offset_ns, legs)
    made, before = FabricOffset(), None
    for one in exchanges:
        made.add(1, one)
        now = made.at(any_ns)
        alone = known([one]).at(any_ns)
        assert now is not None
        assert alone is not None
        assert now.bound_ns <= alone.bound_ns
        assert before is None or now.bound_ns <= before.bound_ns
        before = now


@settings(max_examples=60, deadline=None)
@given(OFFSETS_NS, LEGS, st.integers(-3600 * S, 3600 * S).filter(bool), DELAYS_NS, DELAYS_NS)
def test_a_step_that_could_be_seen_is_detected(
    offset_ns: int, legs: list[Leg], step_ns: int, there_ns: int, back_ns: int
) -> None:
    """A clock that was set by more than evidence leaves open is told, and never averaged in."""
    clocks, exchanges = play(offset_ns, legs)
    made = known(exchanges)
    last_ns = max((one.t4_ns for one in exchanges), default=0)
    if (before := made.at(last_ns)) is None:
        return
    offset_now_ns = clocks.other_ns(last_ns) - last_ns + step_ns
    after = exchange(offset_now_ns, last_ns, there_ns, back_ns)
    told = made.add(1, after)
    slack_ns = 2 * before.bound_ns + there_ns + back_ns + widened_ns(there_ns + back_ns) + 10
    if abs(step_ns) > slack_ns:
        assert told is not None
        assert told.gap_ns >= abs(step_ns) - slack_ns
    if told is not None:
        found = made.at(after.t4_ns)
        alone = known([after]).at(after.t4_ns)
        assert found is not None
        assert found == alone, "nothing of the old evidence is left in it"
        assert abs(found.offset_ns - offset_now_ns) <= found.bound_ns


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**6), 10**6)), min_size=1, max_size=24))
def test_a_ceiling_is_the_least_of_all_cones(limits: list[tuple[int, int]]) -> None:
    """What is left out must not be missed anywhere, in whatever order it came."""
    ceiling = Ceiling()
    for instant_ns, limit_ns in limits:
        ceiling.add(instant_ns, limit_ns)
    for instant_ns in (0, 10**9, 2 * 10**9, *(instant for instant, _ in limits)):
        wanted = min(limit + widened_ns(abs(instant_ns - at)) for at, limit in limits)
        assert ceiling.at(instant_ns) == wanted


def test_exchanges_of_different_asymmetry_prove_more_together() -> None:
    """The best way there and the best way back may be those of two exchanges."""
    there = exchange(1000, 0, 10_000, 2 * MS)
    back = exchange(1000, 3 * MS, 2 * MS, 10_000)
    estimate = known([there, back]).at(back.t4_ns)
    assert estimate is not None
    assert estimate.bound_ns < 20_000
    assert estimate.rtt_ns == 2 * MS + 10_000, "the round trip is still what it is"


def test_what_a_go_may_meet_is_the_longest_round_trip_but_one() -> None:
    """A busy moment must not be forgotten with the next quiet one; a single hiccup is chance."""
    trips = [1_000, 50_000, 3 * MS, 40 * MS, 2_000]
    exchanges = [exchange(0, number * S, trip, 0) for number, trip in enumerate(trips)]
    for count, wanted in ((1, 1_000), (2, 1_000), (3, 50_000), (5, 3 * MS)):
        estimate = known(exchanges[:count]).at(10 * S)
        assert estimate is not None
        assert estimate.slow_rtt_ns == wanted


def test_one_exchange_proves_half_its_round_trip() -> None:
    """And no more: nothing says how it was shared between the two ways."""
    estimate = known([exchange(5, 0, 700, 300, hold_ns=10**6)]).at(10**6 + 1000)
    assert estimate is not None
    assert 500 <= estimate.bound_ns <= 500 + 2 + widened_ns(10**6 + 1000)


def test_the_past_has_the_bound_of_its_own_time() -> None:
    """A record of a while ago is not made worse by the time since."""
    made = known([exchange(0, at * S, 50_000, 50_000) for at in range(0, 100, 10)])
    then, now = made.at(30 * S), made.at(99 * S)
    assert then is not None
    assert now is not None
    assert then.bound_ns < 60_000
    assert now.bound_ns > 9 * S * DRIFT_PPM // 1_000_000


def test_what_is_kept_is_limited_and_the_present_does_not_suffer() -> None:
    """A long life must not take more memory, nor know less."""
    exchanges = [exchange(0, at * S, 50_000, 50_000) for at in range(1000)]
    made = known(exchanges)
    assert len(made._most) <= KEPT
    assert made.at(999 * S + MS) == known(exchanges[-1:]).at(999 * S + MS)


def test_before_a_step_no_bound_is_known() -> None:
    """What is known now says nothing of a time in which the clock was another one."""
    made = known([exchange(0, 0, 100, 100)])
    assert made.add(1, exchange(S, S, 100, 100)) is not None
    before, after = made.at(S - 1), made.at(S)
    assert before is not None
    assert after is not None
    assert (before.bound_ns, after.bound_ns > 0) == (-1, True)
    assert made.contradictions == 1


def test_a_drift_beyond_the_limit_is_told() -> None:
    """It looks like a step after a while; meanwhile the error stays near the bound."""
    made, rate_ppm = FabricOffset(), 2 * DRIFT_PPM
    told = []
    for at in range(20):
        local_ns, offset_ns = at * S, at * S * rate_ppm // 1_000_000
        told.append(made.add(1, exchange(offset_ns, local_ns, 100_000, 100_000)))
        estimate = made.at(local_ns + 200_000)
        assert estimate is not None
        assert abs(estimate.offset_ns - offset_ns) <= estimate.bound_ns + 200_000
    assert any(told)


def test_a_new_epoch_forgets_the_old_clock() -> None:
    """A restarted broker counts its time anew: no contradiction, and the old says nothing about it."""
    made = known([exchange(0, 0, 10, 10)])
    assert made.add(2, exchange(5 * MS, 100, 1000, 1000)) is None
    estimate = made.at(2100)
    assert estimate is not None
    assert abs(estimate.offset_ns - 5 * MS) <= estimate.bound_ns
    assert made.epoch == 2


def test_what_cannot_be_is_ignored() -> None:
    """T3 before T2, or an answer before the question, comes from a broken peer or from a step in between."""
    made = FabricOffset()
    for one in (Exchange(0, 100, 5000, 10), Exchange(0, 100, 90, 10), Exchange(10, 100, 100, 0)):
        assert made.add(1, one) is None
        assert made.at(10) is None
