"""Letting who is released run at once: before every ordinary process, until it has had its chance.

A released program is one more process that wants a processor, and what the others do just then (agents, a
broker, anybody) decides when it gets one.  So a planned release is made under a real-time priority, where
that is permitted; what the program starts does not inherit it, and a moment later it is taken away.
"""

from __future__ import annotations

import os

LAUNCHER_PRIORITY, STEP_PRIORITY = 3, 2
"""A launcher runs first: all who wait for an instant are released before the first of them runs.  Below both
are agents that wait for that instant, and the broker (`fabric.urgency`)."""

_POLICY = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK


def be_first() -> None:
    """Run before all ordinary processes, if that is permitted; the steps do not inherit it.

    Else those who are let go take the processor from the one that is letting the others go: 200 gates on 2
    processors take 100 ms instead of 1.
    """
    _set(0, _POLICY, LAUNCHER_PRIORITY)


def give(pid: int) -> bool:
    """Let a stopped child begin before all ordinary processes; say whether that is permitted."""
    return _set(pid, _POLICY, STEP_PRIORITY)


def take_back(pids: list[int]) -> None:
    """Make them ordinary processes, but for those who have chosen otherwise themselves; empty the list."""
    while pids:
        pid = pids.pop()
        if _has_head_start(pid):
            _set(pid, os.SCHED_OTHER, 0)


def _has_head_start(pid: int) -> bool:
    try:
        priority = os.sched_getparam(pid).sched_priority
        return os.sched_getscheduler(pid) == _POLICY and priority == STEP_PRIORITY
    except OSError:
        return False  # it has ended


def _set(pid: int, policy: int, priority: int) -> bool:
    try:
        os.sched_setscheduler(pid, policy, os.sched_param(priority))
    except OSError:
        return False
    return True
