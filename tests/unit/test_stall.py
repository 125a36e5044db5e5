"""A broker that can store nothing: a run waits for a while, and not for ever."""

from fabric.controller.stall import NEWS_NS, PATIENCE_NS, Stall

S = 1_000_000_000


def test_it_waits_for_room_and_then_gives_up() -> None:
    """Nothing is lost while there is none, so a short time of it costs nothing."""
    stall = Stall()
    said = [stall.is_too_long(second * S) for second in range(PATIENCE_NS // S + 1)]
    assert said == [False] * (PATIENCE_NS // S) + [True]


def test_room_in_between_begins_it_anew() -> None:
    """Two short times of a full disk are not one long one."""
    stall = Stall()
    for second in range(20):
        assert not stall.is_too_long(second * S)
    again_ns = 19 * S + NEWS_NS
    assert not stall.is_too_long(again_ns)
    assert not stall.is_too_long(again_ns + NEWS_NS - 1)
