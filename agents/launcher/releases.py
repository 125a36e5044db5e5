"""Releasing steps at their instants, and telling of it when they have had their chance to run."""

from __future__ import annotations

import time

from agents.launcher import gates, headstart, libc
from agents.launcher.bare import signal
from agents.launcher.rest import MOST_NS, Crowd, first_ns
from agents.launcher.step import ARMED, ARMING, EXEC_STOP, FAILED, RELEASED, RUNNING, Step
from agents.launcher.waiting import EARLY_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.launcher.registry import Registry
    from agents.launcher.waiting import Waiter


class Releases:
    """Lets the armed steps of a registry go."""

    def __init__(self, registry: Registry, waiter: Waiter) -> None:
        self._registry = registry
        self._waiter = waiter
        self._crowd = Crowd()
        self._unreported: list[Step] = []

    def release(self, keys: Iterable[str], t0_ns: int) -> None:
        """Plan the release of armed steps, or let them go now if ``t0_ns`` is 0."""
        now_ns = time.monotonic_ns()
        for key in keys:
            step = self._registry.steps.get(key)
            if step is None or step.state == FAILED:
                self._registry.emit({"ev": "start_failed", "key": key, "why": "it is not armed"}, ())
            elif step.state == ARMED:
                step.ordered_ns = now_ns
                self._registry.schedule.add(key, t0_ns)
            elif step.state == ARMING:
                step.wish_ns = t0_ns
        if not t0_ns:
            self.release_due(0)
            self.report()

    def armed(self, step: Step) -> None:
        """Do what was asked for while the step was being armed."""
        if step.wish_ns is not None:
            self.release([step.key], step.wish_ns)

    def hold(self, keys: Iterable[str]) -> None:
        """Take planned releases back; what has been released stays so."""
        held: list[str] = []
        late: list[str] = []
        for key in keys:
            step = self._registry.steps.get(key)
            self._registry.schedule.take_back(key)
            is_held = step is not None and step.state in (ARMING, ARMED)
            (held if is_held else late).append(key)
            if step is not None:
                step.wish_ns = None
        self._registry.emit({"ev": "held", "held": held, "late": late}, ())

    def release_due(self, horizon_ns: int = EARLY_NS) -> None:
        """Release what is due within the horizon, each at its instant."""
        until_ns = time.monotonic_ns() + horizon_ns
        while due := self._registry.schedule.take_next(until_ns):
            t0_ns, keys = due
            steps = [self._registry.steps[key] for key in keys]
            doors = [_door(step) for step in steps]
            ahead = [
                step.pid for step in steps if t0_ns and step.way == EXEC_STOP and headstart.give(step.pid)
            ]
            woke_ns = self._waiter.wait_until(t0_ns) if t0_ns else 0
            instants, results = gates.open_all(doors)
            if t0_ns and all(step.way == EXEC_STOP for step in steps):
                self._rest(ahead)  # else there are instants of execs to be seen
            headstart.take_back(ahead)
            for step, instant_ns, result in zip(steps, instants, results, strict=True):
                if result >= 0:
                    self._released(step, woke_ns, instant_ns)

    def _rest(self, ahead: list[int]) -> None:
        """Let those run who were released here, and elsewhere on this machine at the same instant."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        pause_ns, left_ns = first_ns(self._crowd.running(), self._crowd.cpus), MOST_NS
        while left_ns > 0:
            wake_ns = time.monotonic_ns() + min(pause_ns, left_ns)
            next_ns = self._registry.schedule.next_ns
            if next_ns is not None and next_ns < wake_ns + EARLY_NS:
                break
            libc.sleep_until(wake_ns)
            headstart.take_back(ahead)
            if self._crowd.running() <= self._crowd.cpus:
                break
            left_ns -= pause_ns
            pause_ns *= 2
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _released(self, step: Step, woke_ns: int, instant_ns: int) -> None:
        step.woke_ns, step.released_ns = woke_ns, instant_ns
        if step.way == EXEC_STOP:
            step.state = RUNNING
            self._unreported.append(step)
        else:
            step.state = RELEASED  # its exec follows, or fails
            step.close_gate()

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire` at the latest."""
        t0_ns = self._registry.schedule.next_ns
        if self._unreported:
            return 0
        return None if t0_ns is None else t0_ns - EARLY_NS

    def expire(self) -> None:
        """Do what is due.  Safe to call at any time."""
        self.release_due()
        self.report()

    def report(self) -> None:
        """Tell of the releases that were not yet told of."""
        while self._unreported:
            self.report_first(self._unreported[0])

    def report_first(self, step: Step) -> None:
        """Tell of this release before of anything else of the step, if that was not done."""
        if step in self._unreported:
            self._unreported.remove(step)
            report_start(self._registry, step, step.released_ns, "release")


def report_start(registry: Registry, step: Step, t_ns: int, event: str) -> None:
    """Tell that a step has started."""
    registry.report(
        step,
        {
            "ev": "started",
            "key": step.key,
            "pid": step.pid,
            "t": t_ns,
            "event": event,
            "released": step.released_ns,
            "ordered": step.ordered_ns,
            "woke": step.woke_ns,
            "way": step.way,
            "why": step.way_why,
            "linked": step.is_linked,
        },
    )


def _door(step: Step) -> gates.Door:
    return gates.stopped(step.pid) if step.way == EXEC_STOP else gates.gate(step.process.gate)
