"""Ending a step's whole tree, however it has spread."""

from __future__ import annotations

import os
import time

from agents.launcher import tree
from agents.launcher.bare import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.launcher.census import Census
    from agents.launcher.step import Step

MOST_SEEN = 200
"""Most processes whose children are looked up in one pass of killing: 10 ms."""


def roots(step: Step, orphans: dict[str, list[int]]) -> list[int]:
    """Return the launcher's children that belong to a step."""
    leader = [] if step.reaped else [step.pid]
    return leader + orphans.get(step.key, [])


def rest(step: Step, orphans: dict[str, list[int]]) -> list[int]:
    """Return what is known to live of a step whose program has ended; empty: nothing is left.

    When a parent ends its children are the launcher's at once, so looking at those is enough; the cgroup is
    asked too, for what another subreaper may have taken.
    """
    found = orphans.get(step.key, [])
    if step.leaf is not None:
        found = found + [pid for pid in step.leaf.members() if pid not in found and not tree.is_dead(pid)]
    return found


def signal_tree(step: Step, number: int, census: Census) -> None:
    """Send a signal to all of a step's tree, and wake what is stopped so that it can obey."""
    top = roots(step, census.orphans())
    members = tree.descendants(top)
    inside = step.leaf.members() if step.leaf is not None else []
    census.claim(members, step.key)
    numbers = (number, signal.SIGCONT)
    parents = {os.getpid(), *members, *inside}
    for pid in top:
        tree.send_child(pid, numbers)
    for pid in dict.fromkeys(members + inside):
        if pid not in top:
            tree.send(pid, numbers, parents)


def kill_round(step: Step, census: Census, reap: Callable[[], None], until_ns: int) -> None:
    """Kill all that is found of a step, again and again for a moment: it may be forking meanwhile.

    A chain of forks is caught because the next of it becomes the launcher's child as its parent dies.

    Args:
        step: Whose tree it is.
        census: Knows its orphans.
        reap: Buries the dead.
        until_ns: No other pass is begun after this instant of CLOCK_MONOTONIC.
    """
    if step.leaf is not None:
        step.leaf.kill()
    while True:
        reap()
        top = roots(step, census.orphans())
        if not top:
            return
        # Parents die first here, so what was below them is to be known before; only so much of it that a
        # tree that grows by the thousand does not outgrow the look at it.
        members = tree.descendants(top, MOST_SEEN)
        census.claim(members, step.key)
        for pid in top:
            tree.send_child(pid, (signal.SIGKILL,))
        parents = {os.getpid(), *members}
        for pid in members[len(top) :]:
            tree.send(pid, (signal.SIGKILL,), parents)
        if time.monotonic_ns() >= until_ns:
            return
