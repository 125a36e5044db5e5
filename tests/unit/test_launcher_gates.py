"""Letting children go: each at an instant of its own, whatever has become of the others."""

import os
import time

from agents.launcher import gates, waiting


def test_each_gate_gets_its_own_instant() -> None:
    """The instants are the lower bound of each start: in order, and none before the call."""
    pipes = [os.pipe() for _ in range(5)]
    before_ns = time.monotonic_ns()
    instants, results = gates.open_all([gates.gate(write_end) for _, write_end in pipes])
    assert instants == sorted(instants)
    assert before_ns <= instants[0]
    assert instants[-1] <= time.monotonic_ns()
    assert results == [1] * 5
    for read_end, write_end in pipes:
        assert len(os.read(read_end, 8)) == 1
        os.close(read_end)
        os.close(write_end)


def test_a_dead_child_does_not_keep_the_others_waiting() -> None:
    """Its gate is a broken pipe, and nothing is left of what was stopped."""
    dead, alive = os.pipe(), os.pipe()
    os.close(dead[0])
    doors = [gates.gate(dead[1]), gates.stopped(2**22 + 1), gates.gate(alive[1])]
    instants, results = gates.open_all(doors)
    assert len(instants) == 3
    assert results == [-1, -1, 1]
    assert os.read(alive[0], 8)
    for fd in (dead[1], *alive):
        os.close(fd)


def test_the_wait_is_never_short() -> None:
    """A node that starts early spoils the comparison with the others; late is measured, early is wrong."""
    for spins in (True, False):
        waiter = waiting.Waiter(spins=spins)
        for _ in range(20):
            t_ns = time.monotonic_ns() + 1_000_000
            assert t_ns <= waiter.wait_until(t_ns) <= time.monotonic_ns()


def test_an_instant_that_is_over_is_not_waited_for() -> None:
    """The order came late."""
    before_ns = time.monotonic_ns()
    assert before_ns <= waiting.Waiter(spins=True).wait_until(before_ns - 1) <= time.monotonic_ns()


def test_the_spin_follows_what_the_sleeps_were_late_within_its_bounds() -> None:
    """It costs a processor: as long as the timer needs it, no longer, and never if it is switched off."""
    waiter = waiting.Waiter(spins=True)
    waiter.learn(200_000)
    before_ns = waiter.spin_ns
    assert before_ns == 400_000
    waiter.learn(waiting.MOST_SPIN_NS + 1)
    assert waiter.spin_ns == before_ns, "somebody else had the processor: that is no matter of the timer"
    waiter.learn(waiting.MOST_SPIN_NS)
    assert waiter.spin_ns == waiting.MOST_SPIN_NS
    for _ in range(100):
        waiter.learn(1_000)
    assert waiter.spin_ns == waiting.LEAST_SPIN_NS
    assert waiting.Waiter(spins=False).spin_ns == 0
