"""Killing by brute force what nobody looks after any more: when a launcher was killed, or has failed."""

from __future__ import annotations

import os
import time

from agents.launcher import tree
from agents.launcher.bare import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

LIMIT_NS = 5_000_000_000
"""Killing goes on for so long; what lives then is in an uninterruptible wait."""

_PAUSE_S = 0.001


def kill_below(keep: Collection[int] = ()) -> list[int]:
    """Kill all descendants of this process but the children in ``keep`` and theirs; return who lives on.

    Blocks until they are gone, 5 s at most.  Reaps the children that it kills.
    """
    until_ns = time.monotonic_ns() + LIMIT_NS
    while True:
        top = [pid for pid in tree.children(os.getpid()) if pid not in keep]
        members = tree.descendants(top)
        for pid in top:
            tree.send_child(pid, (signal.SIGKILL,))
        parents = {os.getpid(), *members}
        for pid in members[len(top) :]:
            tree.send(pid, (signal.SIGKILL,), parents)
        left = [pid for pid in top if not reap(pid)]
        if not top:
            return []
        if time.monotonic_ns() >= until_ns:
            return left
        if left:
            time.sleep(_PAUSE_S)


def kill_marked(name: str, value: str) -> list[int]:
    """Kill all processes that were started with ``name=value`` in their environment; return who lives on.

    Blocks until they are gone, 5 s at most.
    """
    until_ns = time.monotonic_ns() + LIMIT_NS
    while True:
        found = [pid for pid in tree.everybody() if pid != os.getpid() and tree.mark(pid, name) == value]
        found = [pid for pid in found if not tree.is_dead(pid)]
        for pid in found:
            _kill_if_marked(pid, name, value)
        if not found or time.monotonic_ns() >= until_ns:
            return found
        time.sleep(_PAUSE_S)


def _kill_if_marked(pid: int, name: str, value: str) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if tree.mark(pid, name) == value:  # the number is still the same process
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(handle)


def reap(pid: int) -> bool:
    """Bury a child if it is dead; say whether there is none of that number."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
