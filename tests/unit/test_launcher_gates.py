"""The release, to the microsecond."""

import os
import time

from agents.launcher import gates


def test_the_wait_is_never_short() -> None:
    """A node that starts early spoils the comparison with the others; late is measured, early is wrong."""
    for _ in range(20):
        t0_ns = time.monotonic_ns() + 1_000_000
        gates.wait_until(t0_ns)
        assert time.monotonic_ns() >= t0_ns


def test_each_gate_gets_its_own_instant() -> None:
    """The instants are the lower bound of each start: in order, and none before the call."""
    pipes = [os.pipe() for _ in range(5)]
    before_ns = time.monotonic_ns()
    instants = gates.open_gates([write_end for _, write_end in pipes])
    assert instants == sorted(instants)
    assert before_ns <= instants[0]
    assert instants[-1] <= time.monotonic_ns()
    for read_end, write_end in pipes:
        assert len(os.read(read_end, 8)) == 1
        os.close(read_end)
        os.close(write_end)


def test_a_dead_child_does_not_keep_the_others_waiting() -> None:
    """Its gate is a broken pipe."""
    dead, alive = os.pipe(), os.pipe()
    os.close(dead[0])
    assert len(gates.open_gates([dead[1], alive[1]])) == 2
    assert os.read(alive[0], 8)
    for fd in (dead[1], *alive):
        os.close(fd)
