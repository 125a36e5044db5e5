"""The head start of a released program: given, taken back, and never taken from who chose for himself."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from agents.launcher import headstart

FIRST = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK


@pytest.fixture
def pid() -> Iterator[int]:
    """Return a process that only waits."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def ahead(pid: int) -> int:
    """Return one that has a head start."""
    if not headstart.give(pid):
        pytest.skip("this user may not give real-time priorities")
    return pid


def test_a_head_start_lets_a_process_run_first_and_nothing_that_it_starts(ahead: int) -> None:
    """A step may fork at once, and its children would keep the priority for ever."""
    assert os.sched_getscheduler(ahead) == FIRST
    assert os.sched_getparam(ahead).sched_priority < headstart.LAUNCHER_PRIORITY


def test_a_head_start_ends(ahead: int) -> None:
    """For good it would starve everything else on the node."""
    pids = [ahead]
    headstart.take_back(pids)
    assert os.sched_getscheduler(ahead) == os.SCHED_OTHER
    assert not pids


@pytest.mark.parametrize(("policy", "priority"), [(os.SCHED_BATCH, 0), (os.SCHED_FIFO, 1), (FIRST, 50)])
def test_what_a_program_chooses_itself_stays(ahead: int, policy: int, priority: int) -> None:
    """`chrt -f 50 server` is faster than the launcher."""
    os.sched_setscheduler(ahead, policy, os.sched_param(priority))
    headstart.take_back([ahead])
    assert os.sched_getscheduler(ahead) == policy


def test_who_has_ended_already_is_no_trouble() -> None:
    """A program may be over in less than its head start."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert not headstart.give(process.pid)
    headstart.take_back([process.pid])
