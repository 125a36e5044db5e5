"""What the launcher knows of one step."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH110

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agents.launcher.cgroup import Leaf
    from agents.launcher.child import Gated
    from agents.launcher.linker import Linking

ARMING = "arming"  # on its way to its exec, where it will be stopped
ARMED = "armed"  # stopped after its exec, or waiting at its gate; with or without a planned release
RELEASED = "released"  # its gate is open, the exec is not seen yet
RUNNING = "running"  # its program was executed
EXITED = "exited"  # its program has ended, its tree may not
ENDED = "ended"  # nothing of its tree is left, or the launcher has given up on it
FAILED = "failed"  # its program could not be executed

EXEC_STOP, GATE = "exec_stop", "gate"
"""How a step is held until its release: stopped by the kernel right after its exec, or before it."""


class Step:
    """One step.  Instants are ns of CLOCK_MONOTONIC; ``reports`` are what a later agent needs to hear too."""

    __slots__ = (
        "check_ns",
        "command",
        "give_up_ns",
        "is_linked",
        "key",
        "kill_at_ns",
        "leaf",
        "limits",
        "linking",
        "links",
        "ordered_ns",
        "pid",
        "pipe_held",
        "process",
        "program",
        "reaped",
        "released_ns",
        "reports",
        "rest",
        "state",
        "tail_paths",
        "way",
        "way_why",
        "wish_ns",
        "woke_ns",
    )

    def __init__(self, key: str, program: str, process: Gated, leaf: Leaf | None) -> None:
        self.key = key
        self.program = program  # as a sentence names it
        self.pid = process.pid  # also the id of its session
        self.process = process
        self.leaf = leaf
        self.state = ARMED
        self.way = GATE
        self.way_why = ""  # why it is not held after its exec
        self.command: dict[str, Any] = {}  # as it was asked for; kept until it is armed
        self.links = False  # it is to go on from its exec until it is linked
        self.linking: Linking | None = None  # its exec is over, its linking is not
        self.is_linked = False  # it is held where its libraries are loaded too
        self.reaped = False
        self.wish_ns: int | None = None  # a release that was asked for before it was armed
        self.ordered_ns = 0  # when the order to release it came
        self.woke_ns = 0  # when the wait for its instant was over; 0: there was none
        self.released_ns = 0
        self.kill_at_ns: int | None = None  # from then on the tree is killed
        self.give_up_ns: int | None = None  # then what still lives is reported as surviving
        self.check_ns: int | None = None  # when to look at the tree again
        self.rest = False  # descendants outlived the program
        self.pipe_held = False  # one of them held stdout or stderr until it was killed
        self.reports: dict[str, dict[str, Any]] = {}
        self.limits: dict[str, int] = {}
        self.tail_paths = ("", "")  # where unread output goes when no agent comes back

    @property
    def is_live(self) -> bool:
        """Whether something of it may run."""
        return self.state in (RELEASED, RUNNING, EXITED)

    @property
    def pipes(self) -> tuple[int, ...]:
        """The read ends that are still open here."""
        return tuple(fd for fd in (self.process.stdout, self.process.stderr) if fd >= 0)

    def sees_writers(self) -> bool:
        """Whether somebody still holds the write end of its stdout or stderr."""
        poll = select.poll()
        for fd in self.pipes:
            poll.register(fd, 0)
        return sum(1 for _, mask in poll.poll(0) if mask & select.POLLHUP) < len(self.pipes)

    def description(self) -> dict[str, Any]:
        """Return what an agent that has just come needs to know; the read ends go with it."""
        return {
            "ev": "step",
            "key": self.key,
            "pid": self.pid,
            "state": self.state,
            "ending": self.kill_at_ns is not None,
            "tail": any(path and os.path.exists(path) for path in self.tail_paths),
            "reports": list(self.reports.values()),
        }

    def close_gate(self) -> None:
        """Close the gate; a child that still waits at it ends."""
        if self.process.gate >= 0:
            os.close(self.process.gate)
            self.process.gate = -1

    def close_pipes(self) -> None:
        """Close the read ends."""
        for fd in self.pipes:
            os.close(fd)
        self.process.stdout = self.process.stderr = -1
