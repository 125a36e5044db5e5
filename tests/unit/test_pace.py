"""How fast a run is read: no faster than it can be shown, and after Ctrl-C not to the end."""

from fabric.controller.pace import HURRY_NS, Pace


def test_reading_waits_for_who_shows() -> None:
    """What is read and not shown is memory."""
    pace = Pace()
    assert pace.decide(5, has_room=False, is_current=False) == "pause"
    assert pace.decide(6, has_room=True, is_current=False) == "read"
    assert pace.deadline_ns is None


def test_after_an_interrupt_a_backlog_is_let_be_once() -> None:
    """There is a moment for what is nearly shown; whoever shows all of it in time is not hurried."""
    pace = Pace()
    pace.interrupted(100)
    assert pace.decide(100 + HURRY_NS - 1, has_room=False, is_current=False) == "pause"
    assert pace.deadline_ns == 100 + HURRY_NS
    assert pace.decide(100 + HURRY_NS, has_room=False, is_current=False) == "hurry"
    assert pace.decide(101 + HURRY_NS, has_room=False, is_current=False) == "read"
    assert (pace.hurried, pace.deadline_ns) == (True, None)


def test_last_words_of_a_program_that_is_told_to_end_are_shown() -> None:
    """It may take its time to clean up: as long as nothing waits, nothing is passed over."""
    pace = Pace()
    pace.interrupted(100)
    for at_ns in range(100, 100 + 5 * HURRY_NS, HURRY_NS // 2):
        assert pace.decide(at_ns, has_room=True, is_current=True) == "read"
    pace.interrupted(90)  # a second Ctrl-C changes nothing
    assert pace.decide(100 + 5 * HURRY_NS, has_room=True, is_current=False) == "read"
