"""What lives of all that a test has started: by a mark in its environment, and by its descent."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agents.launcher import libc, tree

MARK: Final = "LAB_MARK"
"""In the environment of everything that a lab starts.  Agents do not hand FABRIC_* on to steps, but this."""

BOUND_S: Final = 60.0
"""Only a failing test waits so long."""

_PAUSE_S: Final = 0.01


def until(done: Callable[[], bool], what: Callable[[], str] | str, within_s: float = BOUND_S) -> None:
    """Wait until something is so; what cannot wake us (a process, a file) is looked at every 10 ms."""
    until_s = time.monotonic() + within_s
    while not done():
        if time.monotonic() > until_s:
            raise AssertionError(f"waited in vain for {what if isinstance(what, str) else what()}")
        time.sleep(_PAUSE_S)


def spent_s(pid: int) -> float:
    """Return the processor time that a process has used; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def marked(mark: str) -> list[int]:
    """Return who lives of those that were started with the mark."""
    return [pid for pid in tree.everybody() if tree.mark(pid, MARK) == mark and not tree.is_dead(pid)]


def describe(pid: int) -> str:
    """Return a process in words."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        words = "gone"
    return f"{pid} ({words.strip()[:100]})"


class Descendants:
    """All that descends from this process since `begin`: whoever loses its parent falls to it."""

    def begin(self) -> None:
        """Become the one to whom orphans fall."""
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
        self._before = set(tree.children(os.getpid()))

    def living(self) -> list[int]:
        """Return who lives; buries the orphans that are dead."""
        top = [pid for pid in tree.children(os.getpid()) if pid not in self._before]
        for pid in top:
            if tree.is_dead(pid):
                _bury(pid)
        return [pid for pid in tree.descendants(top) if not tree.is_dead(pid)]

    def end(self) -> None:
        """Let orphans fall to the system again."""
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 0)


def kill(pids: list[int]) -> None:
    """Kill processes that were found by mark or by descent."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _bury(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
