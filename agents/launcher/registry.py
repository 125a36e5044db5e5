"""The steps of a launcher, and what starting and ending them have in common."""

from __future__ import annotations

import os

from agents.launcher import tree
from agents.launcher.bare import signal
from agents.launcher.census import Census
from agents.launcher.schedule import Schedule
from agents.launcher.step import ENDED, FAILED, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agents.launcher.cgroup import Cgroups

    Emit = Callable[[dict[str, Any], tuple[int, ...]], None]
    Watch = Callable[[int, Callable[[], None] | None], None]


class Registry:
    """Holds the steps.  ``emit`` tells what happens, ``watch`` waits for a descriptor, or ends that."""

    def __init__(self, cgroups: Cgroups, mark: str, emit: Emit, watch: Watch) -> None:
        self.cgroups = cgroups
        self.mark = mark
        self.emit = emit
        self.watch = watch
        self.census = Census(mark)
        self.schedule = Schedule()
        self.steps = self.census.steps

    def add(self, step: Step) -> None:
        """Take in a step whose process was forked."""
        self.steps[step.key] = step
        self.census.leaders[step.pid] = step

    def report(self, step: Step, event: dict[str, Any]) -> None:
        """Tell the agent, and keep it for the next one."""
        step.reports[event["ev"]] = event
        self.emit(event, ())

    def kill_unreleased(self, step: Step) -> None:
        """End a child that has not run anything of its program, wherever it is held."""
        self.schedule.take_back(step.key)
        tree.send_child(step.pid, (signal.SIGKILL,))
        step.close_gate()

    def discard(self, step: Step) -> None:
        """Give up what is only needed while something of the step lives."""
        if step.leaf is not None:
            self.cgroups.remove(step.leaf)
            step.leaf = None

    def remove(self, step: Step) -> None:
        """Forget a step of which nothing runs."""
        del self.steps[step.key]
        self.schedule.take_back(step.key)
        if step.process.failure >= 0:
            self.watch(step.process.failure, None)
            os.close(step.process.failure)
            step.process.failure = -1
        self.discard(step)
        step.close_pipes()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of any step lives."""
        waited_for = [*self.census.leaders.values(), *self.steps.values()]
        return all(step.state in (ENDED, FAILED) for step in waited_for)
