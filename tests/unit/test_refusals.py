"""A flood of garbage must not become a flood of lines."""

from fabric.refusals import Refusals

S = 1_000_000_000


def test_the_first_is_told_and_then_one_in_ten_seconds_with_the_number() -> None:
    """Who looks at the log sees at once that something is wrong, and later how much."""
    refusals = Refusals()
    assert refusals.count("garbage", S) == 1
    assert [refusals.count("garbage", 2 * S) for _ in range(5)] == [0] * 5
    assert refusals.count("garbage", 11 * S - 1) == 0
    assert refusals.count("garbage", 11 * S) == 7
    assert refusals.count("other", 11 * S) == 1
    assert refusals.total == 9
