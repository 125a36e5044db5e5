"""Ending steps: by command, when their program is over, and what is left of their trees."""

from __future__ import annotations

import os
import time

from agents.launcher import bounds, ending, tree
from agents.launcher.bare import signal
from agents.launcher.step import ARMED, ARMING, ENDED, EXITED, FAILED, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agents.launcher.registry import Registry
    from agents.launcher.releases import Releases
    from agents.launcher.starts import Starts

DRAIN_NS = 200_000_000
"""When a program ends, what it started gets so long to end by itself."""

KILL_LIMIT_NS = 5_000_000_000
"""Killing goes on for so long; what lives then (in an uninterruptible wait, say) is reported."""

END_GRACE_S = 5.0
"""Between TERM and KILL when the launcher ends everything by itself."""

MOST_SURVIVORS = 100
"""Most pids in a report: a tree that could not be killed may be one that forks by the thousand."""

_LOOK_NS = 10_000_000
_LOOK_AGAIN_NS = 5_000_000  # while killing
_LOOK_AT_SURVIVORS_NS = 200_000_000
_ROUND_NS = 20_000_000
"""Longest round of killing, if no release is near: it has to be faster than what forks."""


class Ends:
    """Sees the steps of a registry to their end."""

    def __init__(self, registry: Registry, starts: Starts, releases: Releases) -> None:
        self._registry = registry
        self._starts = starts
        self._releases = releases
        self._unsettled: set[Step] = set()  # their end has begun
        self.away_ns = 0
        """So long nobody looked for ends before this turn: what is found may have ended then."""

    def drop(self, key: str) -> None:
        """Forget a step that was not released; one that was is killed."""
        step = self._registry.steps.get(key)
        if step is None:
            return
        if step.is_live:
            self.end(key, signal.SIGKILL, 0.0)
            return
        if step.state in (ARMING, ARMED):
            self._registry.kill_unreleased(step)
        self._registry.remove(step)

    def end(self, key: str, number: int, grace_s: float) -> None:
        """Send a signal to a step's tree, and KILL to what is left of it after the grace."""
        step = self._registry.steps.get(key)
        if step is None or step.state in (ENDED, FAILED):
            return
        if step.state in (ARMING, ARMED):
            self._registry.kill_unreleased(step)
            return
        now_ns = time.monotonic_ns()
        kill_at_ns = now_ns + max(0, round(grace_s * 1e9))
        step.kill_at_ns = kill_at_ns if step.kill_at_ns is None else min(kill_at_ns, step.kill_at_ns)
        self._unsettle(step, min(step.kill_at_ns, now_ns + _LOOK_NS))
        ending.signal_tree(step, number, self._registry.census)

    def drained(self, key: str) -> None:
        """Forget a step that has ended: the agent has all of its output."""
        step = self._registry.steps.get(key)
        if step is not None and step.state in (ENDED, FAILED):
            self._registry.remove(step)

    def end_all(self, grace_s: float = END_GRACE_S) -> None:
        """End every step."""
        for key in list(self._registry.steps):
            self.end(key, signal.SIGTERM, grace_s)

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        return min((step.check_ns for step in self._unsettled if step.check_ns is not None), default=None)

    def expire(self, now_ns: int) -> None:
        """Go on with the ends that have begun.  Safe to call at any time."""
        due = [step for step in self._unsettled if step.check_ns is not None and step.check_ns <= now_ns]
        if not due:
            return
        self.reap()
        orphans = self._registry.census.orphans()
        for step in due:
            if step.kill_at_ns is not None and step.kill_at_ns <= now_ns:
                if step.give_up_ns is None:
                    step.give_up_ns = now_ns + KILL_LIMIT_NS
                    step.pipe_held = step.reaped and step.sees_writers()
                ending.kill_round(step, self._registry.census, self.reap, self._round_end_ns())
                orphans = self._registry.census.orphans()
                self._releases.release_due()
            self._settle(step, orphans, now_ns)

    def _round_end_ns(self) -> int:
        """Return how long to kill in one go: not into the margin before a release."""
        end_ns = time.monotonic_ns() + _ROUND_NS
        release_ns = self._releases.deadline_ns
        return end_ns if release_ns is None else min(end_ns, release_ns)

    def reap(self) -> None:
        """Take the status of every child that has ended, orphans too, or that the trace has stopped."""
        while True:
            try:
                # Of all children, not by pidfd: a subreaper gets children that it never saw begin.
                # Stops of the traced ones come too, without being asked for; other stops do not.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            self._take(found.si_pid)

    def _take(self, child: int) -> None:
        step = self._registry.census.leaders.get(child)
        if step is not None:
            self._starts.on_exec(step)  # its exec, or the error of it, came before its end
        now_ns = time.monotonic_ns()
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if os.WIFSTOPPED(status):
            self._starts.on_stop(pid, status)
            self._releases.release_due()  # many stops while many are armed
            return
        self._registry.census.leaders.pop(pid, None)
        self._registry.census.forget(pid)
        if step is not None:
            self._on_exit(step, status, usage, now_ns)

    def _on_exit(self, step: Step, status: int, usage: Any, now_ns: int) -> None:
        """Report how a program ended, and see to the rest of its tree."""
        step.reaped = True
        if step.state == ARMING:
            self._starts.on_early_end(step, status)
            return
        if step.state in (ENDED, FAILED) or self._registry.steps.get(step.key) is not step:
            return
        self._releases.report_first(step)
        self._registry.schedule.take_back(step.key)
        self._report_exit(step, status, usage, now_ns)
        step.state = EXITED
        if step.kill_at_ns is None:
            step.kill_at_ns = now_ns + DRAIN_NS
        self._unsettle(step, now_ns)

    def _report_exit(self, step: Step, status: int | None, usage: Any, now_ns: int) -> None:
        code = None if status is None or os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        number = None if status is None or code is not None else os.WTERMSIG(status)
        oom_kills = step.leaf.oom_kills if step.leaf is not None and "memory" in step.limits else 0
        event = {
            "ev": "exited",
            "key": step.key,
            "code": code,
            "signal": number,
            "limit": bounds.exceeded(step.limits, number, usage, oom_kills),
            "user": usage.ru_utime if usage else 0.0,
            "system": usage.ru_stime if usage else 0.0,
            "rss": usage.ru_maxrss if usage else 0,
            "t": now_ns,
            "late": self.away_ns,
        }
        self._registry.report(step, event)

    def _settle(self, step: Step, orphans: dict[str, list[int]], now_ns: int) -> None:
        """Say that a step has ended, or when to look again."""
        if step.reaped:
            left = ending.rest(step, orphans)
            if not left:
                self._unsettled.discard(step)
                self._registry.census.forget_step(step.key)
                self._registry.discard(step)
                if step.state != ENDED:
                    self._finish(step, ())
                return
            step.rest = True
        if step.give_up_ns is not None:
            step.check_ns = now_ns + _LOOK_AGAIN_NS
            if step.state == ENDED:
                step.check_ns = now_ns + _LOOK_AT_SURVIVORS_NS
            elif now_ns >= step.give_up_ns:
                # Reported, but not left alone: an agent must not wait for it, and it must not stay for ever.
                self._finish(step, self._survivors(step, orphans))
        elif step.kill_at_ns is not None:
            # As long as the program itself lives, its end is what wakes us.
            step.check_ns = min(step.kill_at_ns, now_ns + _LOOK_NS) if step.reaped else step.kill_at_ns

    def _survivors(self, step: Step, orphans: dict[str, list[int]]) -> tuple[int, ...]:
        found = tree.descendants(ending.roots(step, orphans))
        inside = step.leaf.members() if step.leaf is not None else []
        living = [pid for pid in dict.fromkeys(found + inside) if not tree.is_dead(pid)]
        return tuple(living[:MOST_SURVIVORS])

    def _finish(self, step: Step, survivors: tuple[int, ...]) -> None:
        if not step.reaped:
            self._report_exit(step, None, None, time.monotonic_ns())
        step.state = ENDED
        event = {
            "ev": "ended",
            "key": step.key,
            "survivors": survivors,
            "rest": step.rest,
            "pipe_held": step.pipe_held,
        }
        self._registry.report(step, event)

    def _unsettle(self, step: Step, check_ns: int) -> None:
        self._unsettled.add(step)
        step.check_ns = check_ns
