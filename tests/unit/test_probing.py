"""When the time is asked for: in bursts that end, and seldom otherwise."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.timing.envelope import DRIFT_PPM
from fabric.timing.offset import Estimate
from fabric.timing.probing import (
    AGAIN_MAX,
    BURST_GAP_NS,
    BURST_LIMIT_NS,
    BURST_MAX,
    BURST_MIN,
    SELDOM_NS,
    SOON_NS,
    Probing,
)

MS = 1_000_000
S = 1_000 * MS

GOOD = Estimate(0, 50_000, 100_000)
POOR = Estimate(0, 90_000, 100_000)


def burst() -> Probing:
    made = Probing(0)
    made.begin_burst(0)
    return made


def test_a_burst_ends_when_the_bound_is_good() -> None:
    """A few answers are always wanted; then it depends on what they say together."""
    probing = burst()
    for number in range(1, BURST_MIN + 1):
        assert probing.expire(number, GOOD) == "ask"
        assert probing.answered(number, GOOD, number + 1) is (number == BURST_MIN)
    assert probing.deadline_ns == BURST_MIN + 1 + SOON_NS


def test_a_burst_ends_after_so_many_questions() -> None:
    """A busy path may never give a good bound: a phase must not wait for it."""
    probing = burst()
    for number in range(1, BURST_MAX + 1):
        assert probing.expire(number, POOR) == "ask"
        assert probing.expire(number, POOR) == "", "the next one waits for the answer"
        assert probing.answered(number, POOR, number + 1) is (number == BURST_MAX)


def again() -> Probing:
    """Return what has had its first burst and begins the next one."""
    made = burst()
    made.expire(0, GOOD)
    assert [made.answered(0, GOOD, 0) for _ in range(BURST_MIN)][-1]
    made.begin_burst(S)
    return made


def test_a_further_burst_asks_nothing_while_what_is_known_is_good() -> None:
    """A phase that follows at once pays nothing for the clock."""
    probing = again()
    assert probing.expire(S, GOOD) == "over"
    assert probing.deadline_ns == S + SOON_NS


def test_a_further_burst_ends_with_the_first_answer_that_makes_it_good() -> None:
    """The best round trip is known by then, so there is something to compare with."""
    probing = again()
    assert probing.expire(S, POOR) == "ask"
    assert probing.answered(S, GOOD, S + 1)


def test_a_further_burst_on_a_busy_path_is_short() -> None:
    """64 nodes that ask at one moment keep each other from good answers."""
    probing = again()
    for number in range(1, AGAIN_MAX + 1):
        assert probing.expire(S + number, POOR) == "ask"
        assert probing.answered(S + number, POOR, S + number) is (number == AGAIN_MAX)


def test_a_new_connection_begins_with_a_whole_burst() -> None:
    """Its path may be another one, and its broker, too."""
    probing = again()
    probing.stop()
    probing.begin_burst(2 * S)
    assert probing.expire(2 * S, GOOD) == "ask"
    assert not probing.answered(2 * S, GOOD, 2 * S)


def test_a_lost_question_is_followed_by_the_next() -> None:
    """The moment before, and the moment itself."""
    probing = burst()
    assert probing.expire(0, None) == "ask"
    assert probing.expire(BURST_GAP_NS - 1, None) == ""
    assert probing.expire(BURST_GAP_NS, None) == "ask"


def test_a_burst_of_which_something_was_answered_ends_at_its_limit() -> None:
    """One answer is a bound; more cannot be had now."""
    probing, now_ns = burst(), 0
    for _ in range(BURST_MAX):
        now_ns = probing.deadline_ns
        assert probing.expire(now_ns, None) == "ask"
    probing.answered(0, POOR, now_ns)
    assert probing.deadline_ns == BURST_LIMIT_NS
    assert probing.expire(BURST_LIMIT_NS, POOR) == "over"
    assert probing.expire(BURST_LIMIT_NS, POOR) == ""


def test_a_burst_without_an_answer_begins_again() -> None:
    """And an answer that is slower than the limit still counts: nobody is ready before one has come."""
    probing = burst()
    for _ in range(BURST_MAX):
        assert probing.expire(probing.deadline_ns, None) == "ask"
    assert probing.expire(BURST_LIMIT_NS, None) == "ask"
    for number in range(1, BURST_MIN + 1):
        assert probing.answered(number, GOOD, BURST_LIMIT_NS + number) is (number == BURST_MIN)


def test_questions_thin_out_after_a_burst() -> None:
    """A go comes soon after a prepare; later the drift of some seconds does not matter."""
    probing = burst()
    probing.expire(0, GOOD)
    assert [probing.answered(0, GOOD, 0) for _ in range(BURST_MIN)][-1]
    waits, now_ns = [], 0
    for _ in range(6):
        waits.append(probing.deadline_ns - now_ns)
        now_ns = probing.deadline_ns
        assert probing.expire(now_ns, GOOD) == "ask"
    assert waits == [SOON_NS, 2 * SOON_NS, 4 * SOON_NS, 2 * S, 2 * S, 2 * S]


def test_a_far_broker_is_asked_more_seldom() -> None:
    """Where the round trip leaves much open, drift adds little to it for a while; but never for too long."""
    for rtt_ns, wanted_ns in ((0, SELDOM_NS[0]), (6 * MS, 6 * S), (S, SELDOM_NS[1])):
        known, probing = Estimate(0, rtt_ns // 2, rtt_ns), Probing(0)
        for _ in range(8):
            now_ns = probing.deadline_ns
            probing.expire(now_ns, known)
        assert probing.deadline_ns - now_ns == wanted_ns
    assert 3 * MS * 1_000_000 // DRIFT_PPM == 6 * S


def test_a_connection_that_is_gone_is_not_waited_for() -> None:
    """Its burst never ends; the next connection begins another one."""
    probing = burst()
    probing.expire(0, None)
    probing.stop()
    assert not probing.answered(0, GOOD, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=100))
def test_a_burst_is_bounded_whatever_is_answered(events: list[tuple[int, bool]]) -> None:
    """Questions cost the broker: in no second there are more than two bursts of them."""
    probing, now_ns = burst(), 0
    asked: list[int] = []
    for wait_ms, is_answered in events:
        now_ns += wait_ms * MS
        if probing.expire(now_ns, POOR) == "ask":
            asked.append(now_ns)
        if is_answered and asked:
            probing.answered(asked[-1], POOR, now_ns)
    for end_ns in asked:
        assert sum(end_ns - S < at <= end_ns for at in asked) <= 2 * BURST_MAX
