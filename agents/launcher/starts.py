"""Arming steps as far as the system lets us, and seeing the exec of those that wait before it."""

from __future__ import annotations

import errno
import os
import time

from agents.launcher import arming, child, linker, program, trace
from agents.launcher.privileges import Privileges
from agents.launcher.releases import report_start
from agents.launcher.step import ARMED, ARMING, EXEC_STOP, FAILED, RELEASED, RUNNING, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agents.launcher.registry import Registry
    from agents.launcher.releases import Releases

MAX_STEPS = 4096
"""Most steps at one time: each has four descriptors while it is armed."""

LINK, EXEC, GATE = "link", "exec", "gate"
"""How far a step is brought at most before its release."""

_QUIET = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW")
"""Variables for the dynamic linker that do not let it print, or call others, while it links."""


class Starts:
    """Brings the steps of a registry to where they wait for their release."""

    def __init__(
        self, registry: Registry, releases: Releases, inherited: child.Inherited, depth: str
    ) -> None:
        self._registry = registry
        self._releases = releases
        self._inherited = inherited
        self._depth = depth
        self._privileges = Privileges()

    def arm(self, command: dict[str, Any]) -> None:
        """Fork a step's process, and bring it as far as it may go; or say why that cannot be."""
        self._try(command, self._depth, "" if self._depth != GATE else "the agent was told not to trace")

    def _try(self, command: dict[str, Any], depth: str, why: str, wish_ns: int | None = None) -> None:
        key = str(command["key"])
        try:
            step = self._forked(key, command, depth, why)
        except program.CannotStartError as error:
            self._refuse(key, str(error))
        except OSError as error:
            self._refuse(key, f"no process for it: {error.strerror}", lacks=True)
        else:
            step.wish_ns = wish_ns
            if step.state == ARMED:
                self._be_armed(step)

    def _forked(self, key: str, command: dict[str, Any], depth: str, why: str) -> Step:
        if key in self._registry.steps:
            raise program.CannotStartError(f"a step {key!r} is here already")
        if len(self._registry.census.leaders) >= MAX_STEPS:
            raise program.CannotStartError(f"{MAX_STEPS} steps are here already, which is the limit")
        directly = self._depth != GATE
        plan = arming.plan(key, command, self._registry.mark, self._inherited, directly=directly)
        why = why or self._privileges.lost(plan.path, plan.directory, plan.uid)
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
        step.command = command
        step.links = depth == LINK and linker.HAS_BREAKPOINTS and _links_quietly(plan.env)
        step.limits = plan.limits
        step.tail_paths = tuple(command["tails"])
        self._registry.add(step)
        self._registry.watch(process.failure, lambda: self.on_exec(step))
        self._hold(step, why)
        return step

    def _hold(self, step: Step, why: str) -> None:
        """Trace a child that has just been forked, or let it wait at its gate."""
        step.way_why = why or trace.seize(step.pid)
        try:
            os.write(step.process.gate, child.UNTRACED if step.way_why else child.TRACED)
        except OSError:
            return  # it is dead already, which will be seen
        if not step.way_why:
            step.way, step.state = EXEC_STOP, ARMING
            step.close_gate()

    def _be_armed(self, step: Step) -> None:
        step.command = {}
        self._registry.emit({"ev": "armed", "key": step.key, "pid": step.pid}, step.pipes)
        self._releases.armed(step)

    def _refuse(self, key: str, why: str, *, lacks: bool = False) -> None:
        self._registry.emit({"ev": "arm_failed", "key": key, "why": why, "lacks": lacks}, ())

    # --- a child that is traced -------------------------------------------------------------------------

    def on_stop(self, pid: int, status: int) -> None:
        """The kernel has stopped a child."""
        step = self._registry.census.leaders.get(pid)
        is_wanted = step is not None and self._registry.steps.get(step.key) is step
        if step is None or not is_wanted or step.state != ARMING:
            trace.pass_on(pid, status)  # it was dropped, and is being killed
        elif step.linking is None and not trace.is_exec(status):
            trace.pass_on(pid, status)
        elif self._is_held(step, status):
            step.state = ARMED
            self._be_armed(step)

    def _is_held(self, step: Step, status: int) -> bool:
        """Say whether a child stops where it is to be held; else it goes on to there."""
        if not step.links:
            return True
        try:
            if step.linking is None:
                step.linking = linker.Linking(step.pid)
                return False
            step.is_linked = step.linking.is_done(status)
        except trace.TraceError:
            return True
        return step.is_linked

    def on_early_end(self, step: Step, status: int) -> None:
        """A child has ended on its way to where it was to be held."""
        step.state = FAILED
        if self._registry.steps.get(step.key) is not step:
            return  # it was dropped
        command = step.command
        was_linking = step.linking is not None
        self._registry.remove(step)
        if was_linking:
            # It may lack a library.  That is for the step to say, when it is its time.
            self._try(command, EXEC, "", step.wish_ns)
            return
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        how = f"killed by signal {number}" if number else f"exit {os.WEXITSTATUS(status)}"
        maybe = " (too little for it in limits.memory?)" if "memory" in step.limits else ""
        self._refuse(step.key, f"its process ended before it was executed: {how}{maybe}")

    # --- a child at its gate ----------------------------------------------------------------------------

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
            instant_ns, event = (now_ns, "exec") if seen else (step.released_ns, "release")
            report_start(self._registry, step, instant_ns, event)

    def _fail(self, step: Step, text: str) -> None:
        """A child could not execute its program, or could not be made ready for that."""
        was_armed = step.state != ARMING
        step.state = FAILED
        why = _sentence(step, text)
        if was_armed:
            self._registry.schedule.take_back(step.key)
            step.close_gate()
            self._registry.discard(step)
            self._registry.report(step, {"ev": "start_failed", "key": step.key, "why": why})
            return
        self._registry.remove(step)
        if _may_be_for_the_trace(text):
            self._try(
                step.command, GATE, f"it cannot be executed under trace: {_error(text)[1]}", step.wish_ns
            )
        else:
            self._refuse(step.key, why)


def _links_quietly(env: dict[bytes, bytes]) -> bool:
    return not any(name.startswith(b"LD_") and name.decode("latin-1") not in _QUIET for name in env)


def _error(text: str) -> tuple[int, str, str]:
    digits, _, doing = text.partition(" ")
    return int(digits), os.strerror(int(digits)), doing


def _may_be_for_the_trace(text: str) -> bool:
    """Say whether a program may be executable without the trace: security modules have a say in that."""
    number, _, doing = _error(text)
    return number in (errno.EPERM, errno.EACCES) and not doing


def _sentence(step: Step, text: str) -> str:
    number, error, doing = _error(text)
    why = f"{step.program!r} cannot be executed: {doing}{error}"
    if number == errno.ENOENT and not doing:
        why += " (the interpreter that its first line names?)"
    if number == errno.EAGAIN and "processes" in step.limits:
        why += " (its user has more processes than limits.processes)"
    return why
