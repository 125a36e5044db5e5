"""Where the fabric time of a broker's next life begins."""

from dataclasses import replace
from pathlib import Path

from fabric.store.timebase import TimeBase, begin, monotonic_clock

HOUR = 3600 * 10**9
BEFORE = TimeBase(clock="boot 1", offset_ns=100 * HOUR, began_ns=101 * HOUR)  # its machine was up for an hour
OPENED = [102 * HOUR]


def test_a_run_that_goes_on_does_not_jump_with_the_wall_clock() -> None:
    """Its phases would end before they begin, or take an hour more."""
    for wall_ns in (50 * HOUR, 150 * HOUR):
        base = begin(BEFORE, OPENED, "boot 1", wall_ns, 3 * HOUR)
        assert (base.offset_ns, base.began_ns) == (100 * HOUR, 103 * HOUR)


def test_without_an_open_run_the_wall_clock_is_believed() -> None:
    """Else a clock that was wrong once would stay so until the machine is started again."""
    base = begin(BEFORE, [], "boot 1", 50 * HOUR, 3 * HOUR)
    assert (base.offset_ns, base.began_ns) == (47 * HOUR, 50 * HOUR)


def test_after_a_start_of_the_machine_time_goes_on_at_least() -> None:
    """How long it was off only the wall clock knows; one that was reset knows nothing."""
    assert begin(BEFORE, OPENED, "boot 2", 150 * HOUR, HOUR).began_ns == 150 * HOUR
    assert begin(BEFORE, OPENED, "boot 2", 0, HOUR).began_ns == 102 * HOUR
    assert begin(replace(BEFORE, began_ns=110 * HOUR), OPENED, "boot 2", 0, HOUR).began_ns == 110 * HOUR
    assert begin(None, OPENED, "boot 2", 0, HOUR).began_ns == 102 * HOUR
    assert begin(replace(BEFORE, clock=""), OPENED, "", 104 * HOUR, 3 * HOUR).began_ns == 104 * HOUR, (
        "not known"
    )


def test_what_a_life_leaves_the_next_one_finds(tmp_path: Path) -> None:
    """Whatever else is there is as good as nothing."""
    assert TimeBase.load(tmp_path) is None
    BEFORE.save(tmp_path)
    assert TimeBase.load(tmp_path) == BEFORE
    (tmp_path / "timebase.json").write_text('{"clock": []}')
    assert TimeBase.load(tmp_path) is None
    (tmp_path / "timebase.json").write_bytes(b"\xff")
    assert TimeBase.load(tmp_path) is None
    BEFORE.save(tmp_path / "not there")


def test_the_monotonic_clock_has_a_name_of_its_own() -> None:
    """Two starts of a machine count from their own beginnings, and so do two namespaces of time."""
    assert monotonic_clock() == monotonic_clock()
    assert len(monotonic_clock().split()) == 2
