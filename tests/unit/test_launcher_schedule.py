"""Which steps are to be released when."""

from agents.launcher.schedule import Schedule


def test_the_earliest_instant_comes_first_with_all_its_keys() -> None:
    """Steps of one instant are released in one go, steps with an offset later."""
    schedule = Schedule()
    schedule.add("late", 200)
    schedule.add("a", 100)
    schedule.add("b", 100)
    assert schedule.next_ns == 100
    assert schedule.take_next(99) is None
    assert schedule.take_next(100) == (100, ["a", "b"])
    assert schedule.take_next(100) is None
    assert schedule.take_next(1000) == (200, ["late"])
    assert schedule.next_ns is None


def test_a_release_can_be_taken_back_once() -> None:
    """After an abort nothing of the old go may start by itself."""
    schedule = Schedule()
    schedule.add("a", 100)
    assert schedule.take_back("a")
    assert not schedule.take_back("a")
    assert schedule.take_next(1000) is None


def test_a_second_plan_replaces_the_first() -> None:
    """A phase that is tried again has a new t0; the old one must not release."""
    schedule = Schedule()
    schedule.add("a", 100)
    schedule.add("a", 300)
    assert schedule.take_next(299) is None
    assert schedule.take_next(300) == (300, ["a"])
