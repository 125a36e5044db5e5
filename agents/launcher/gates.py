"""Letting go what waits for an instant: nothing stands between the clock and the call."""

from __future__ import annotations

import os
import time

from agents.launcher import libc, trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Door = tuple[Callable[..., Any], tuple[Any, ...]]


def gate(fd: int) -> Door:
    """Return what lets a child go that waits at its gate."""
    return os.write, (fd, b"\0")


def stopped(pid: int) -> Door:
    """Return what lets a child go that was stopped by the kernel."""
    return libc.ptrace, (trace.DETACH, pid, 0, 0)


def open_all(doors: list[Door]) -> tuple[list[int], list[int]]:
    """Let the children behind the doors go.

    Returns:
        The instant of each, taken just before, and what came of it: less than 0 if the child is dead already,
        which will be reported as its end.
    """
    instants: list[int] = []
    results: list[int] = []
    now = time.monotonic_ns
    for release, words in doors:
        instants.append(now())
        try:
            results.append(release(*words))
        except OSError:
            results.append(-1)
    return instants, results
