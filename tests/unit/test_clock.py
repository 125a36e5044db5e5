"""Clocks."""

import time

import pytest

from fabric.clock import FabricClock
from fabric.testing import ManualClock


def test_fabric_time_ignores_that_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An NTP step in the middle of a run must not move a go."""
    clock = FabricClock()
    before = clock.now_ns()
    assert abs(before - time.time_ns()) < 10**9
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert 0 <= clock.now_ns() - before < 10**9


def test_a_manual_clock_goes_on_only_when_told() -> None:
    """Tests of limits stand at the moment before, and then at the moment itself."""
    clock = ManualClock(start_ns=5)
    assert clock.now_ns() == 5
    assert clock.advance_s(0.1) == clock.now_ns() == 100_000_005
    with pytest.raises(ValueError, match="back"):
        clock.advance_s(-1)
