"""Starting steps: arming them, opening their gates at the instant, and seeing their exec."""

from __future__ import annotations

import errno
import os
import time

from agents.launcher import arming, child, gates, program
from agents.launcher.step import ARMED, FAILED, RELEASED, RUNNING, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from agents.launcher.registry import Registry

MAX_STEPS = 4096
"""Most steps at one time: each has four descriptors while it is armed."""


class Starts:
    """Brings the steps of a registry to life."""

    def __init__(self, registry: Registry, inherited: child.Inherited) -> None:
        self._registry = registry
        self._inherited = inherited

    def arm(self, command: dict[str, Any]) -> None:
        """Fork a step's process up to its gate, or say why that cannot be."""
        key = str(command["key"])
        try:
            step = self._armed(key, command)
        except program.CannotStartError as error:
            self._registry.emit({"ev": "arm_failed", "key": key, "why": str(error)}, ())
        except OSError as error:
            self._registry.emit(
                {"ev": "arm_failed", "key": key, "why": f"no process for it: {error.strerror}"}, ()
            )
        else:
            self._registry.emit({"ev": "armed", "key": key, "pid": step.pid}, step.pipes)

    def _armed(self, key: str, command: dict[str, Any]) -> Step:
        if key in self._registry.steps:
            raise program.CannotStartError(f"a step {key!r} is here already")
        if len(self._registry.census.leaders) >= MAX_STEPS:
            raise program.CannotStartError(f"{MAX_STEPS} steps are here already, which is the limit")
        plan = arming.plan(key, command, self._registry.mark, self._inherited)
        try:
            plan.leaf = arming.leaf(plan, self._registry.cgroups)
            process = child.fork(plan, self._inherited)
        except (OSError, program.CannotStartError):
            if plan.leaf is not None:
                self._registry.cgroups.remove(plan.leaf)
            raise
        finally:
            plan.close()
        step = Step(key, plan.path, process, plan.leaf)
        step.limits = plan.limits
        step.tail_paths = tuple(command["tails"])
        self._registry.add(step)
        self._registry.watch(process.failure, lambda: self.on_exec(step))
        return step

    def release(self, keys: Iterable[str], t0_ns: int) -> None:
        """Plan the release of armed steps, or let them go now if ``t0_ns`` is 0."""
        for key in keys:
            step = self._registry.steps.get(key)
            if step is None or step.state == FAILED:
                self._registry.emit({"ev": "start_failed", "key": key, "why": "it is not armed"}, ())
            elif step.state == ARMED:
                self._registry.schedule.add(key, t0_ns)
        if not t0_ns:
            self.release_due(0)

    def hold(self, keys: Iterable[str]) -> None:
        """Take planned releases back; what has been released stays so."""
        held: list[str] = []
        late: list[str] = []
        for key in keys:
            step = self._registry.steps.get(key)
            self._registry.schedule.take_back(key)
            (held if step is not None and step.state == ARMED else late).append(key)
        self._registry.emit({"ev": "held", "held": held, "late": late}, ())

    def release_due(self, horizon_ns: int = gates.WAKE_EARLY_NS) -> None:
        """Release what is due within the horizon, each at its instant."""
        while due := self._registry.schedule.take_next(time.monotonic_ns() + horizon_ns):
            t0_ns, keys = due
            steps = [self._registry.steps[key] for key in keys]
            doors = [step.process.gate for step in steps]
            gates.wait_until(t0_ns)
            instants = gates.open_gates(doors)
            for step, instant_ns in zip(steps, instants, strict=True):
                step.state, step.released_ns = RELEASED, instant_ns
                step.close_gate()

    @property
    def deadline_ns(self) -> int | None:
        """When to call `release_due` at the latest."""
        t0_ns = self._registry.schedule.next_ns
        return None if t0_ns is None else t0_ns - gates.WAKE_EARLY_NS

    def on_exec(self, step: Step) -> None:
        """The second pipe of a child has closed, or says why not."""
        failure = step.process.failure
        if failure < 0:
            return
        now_ns = time.monotonic_ns()
        try:
            text = os.read(failure, 64).decode()
        except BlockingIOError:
            return
        self._registry.watch(failure, None)
        os.close(failure)
        step.process.failure = -1
        if text:
            self._fail(step, text)
        elif step.state == RELEASED:
            # Killed between gate and exec looks the same from here: then only the release is certain.
            found = os.waitid(os.P_PID, step.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            seen = found is None or found.si_code == os.CLD_EXITED
            step.state = RUNNING
            self._registry.report(
                step,
                {
                    "ev": "started",
                    "key": step.key,
                    "pid": step.pid,
                    "t": now_ns if seen else step.released_ns,
                    "event": "exec" if seen else "release",
                    "released": step.released_ns,
                },
            )

    def _fail(self, step: Step, text: str) -> None:
        step.state = FAILED
        self._registry.schedule.take_back(step.key)
        step.close_gate()
        self._registry.discard(step)
        digits, _, doing = text.partition(" ")
        number = int(digits)
        why = f"{step.program!r} cannot be executed: {doing}{os.strerror(number)}"
        if number == errno.ENOENT and not doing:
            why += " (the interpreter that its first line names?)"
        if number == errno.EAGAIN and "processes" in step.limits:
            why += " (its user has more processes than limits.processes)"
        self._registry.report(step, {"ev": "start_failed", "key": step.key, "why": why})
