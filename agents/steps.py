"""PURE.  The attempts at steps that live on this node for one run."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from agents.effects import Arm, Drop, Effect, End, StopTransfer
from agents.readiness import Readiness
from agents.step_run import TRANSFERS, Done, StepRun
from fabric.protocol.messages import Step

PROBE_S = 10.0
"""A command that is to show that a step is ready is ended after this, and run again."""

PROBE_GRACE_S = 1.0


class Steps:
    """From the arming of an attempt to its end.  Instants are nanoseconds of the local monotonic clock."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._live: dict[str, StepRun] = {}
        self.over: dict[str, str] = {}  # spawned steps that are over, and how they ended

    def __iter__(self) -> Iterator[StepRun]:
        return iter(list(self._live.values()))

    def __bool__(self) -> bool:
        return bool(self._live)

    def get(self, key: str) -> StepRun | None:
        """Return the attempt with this key, if it lives."""
        return self._live.get(key)

    def of(self, step: str) -> StepRun | None:
        """Return the living attempt at a step."""
        return next((run for run in self._live.values() if run.step.step == step and not run.probe), None)

    def how_ended(self, step: str) -> str | None:
        """Say how a spawned step ended; None if none of that name has."""
        return self.over.get(step)

    @property
    def keys(self) -> list[str]:
        """Keys of all that live."""
        return list(self._live)

    @property
    def deadline_ns(self) -> int | None:
        """When something is to be done about one of them."""
        times = (step.deadline_ns for step in self._live.values())
        return min((time for time in times if time is not None), default=None)

    # --- beginning --------------------------------------------------------------------------------------

    def arm(self, step: Step, attempt: int = 1) -> tuple[StepRun, list[Effect]]:
        """Begin an attempt.  For one of the agent's own there is nothing to arm."""
        run = StepRun(self._run, step, attempt)
        if step.verb == "spawn" and step.ready is not None:
            run.readiness = Readiness(step.ready)
        self._live[run.key] = run
        if run.is_own:
            run.state = "armed"
            return run, []
        return run, [Arm(run.key, step)]

    def probe(self, step: StepRun) -> list[Effect]:
        """Run the command that shows whether a step is ready, in its surroundings."""
        assert step.readiness is not None
        command = replace(
            step.step,
            verb="cmd",
            argv=step.readiness.when.cmd,
            timeout_s=PROBE_S,
            grace_s=PROBE_GRACE_S,
            ok=(0,),
            ready=None,
            pty=False,
            stdin=None,
            stdin_file="",
            bring=(),
        )
        probe = StepRun(self._run, command, step.attempt, probe=step.probes + 1)
        step.probes += 1
        self._live[probe.key] = probe
        return [Arm(probe.key, command)]

    def put_back(self, step: StepRun) -> None:
        """Take an attempt in that an earlier life of the agent has begun."""
        self._live[step.key] = step

    def forget(self, step: StepRun) -> None:
        """It is over, or will never be."""
        self._live.pop(step.key, None)
        if step.is_spawned and step.started_ns:
            self.over[step.step.step] = step.message()

    # --- ending -----------------------------------------------------------------------------------------

    def end(self, step: StepRun, why: Literal["timeout", "stopped", "not_ready"]) -> list[Effect]:
        """End an attempt at a program that is released, once; and the look at whether it is ready."""
        if step.is_own or step.ending or step.exit or step.state in ("arming", "armed"):
            return []
        step.ending = why
        return [*self.end_probe(step), End(step.key, step.step.signal, step.step.grace_s)]

    def end_own(self, step: StepRun, why: Literal["timeout", "stopped"], now_ns: int) -> list[Effect]:
        """End a step of the agent's own.  A transfer is over when its answer comes."""
        if step.done or step.ending:
            return []
        step.ending = why
        if step.step.verb in TRANSFERS:
            return [StopTransfer(step.key)]
        step.done = Done(failed=True, message="", t_ns=now_ns)
        return []

    def lose(self, key: str, why: str) -> list[Effect]:
        """End an attempt whose output cannot be kept: what it did is not known."""
        step = self.get(key)
        if step is None:
            return []
        step.lost = step.lost or why
        return self.end(step, "stopped")

    def end_probe(self, step: StepRun) -> list[Effect]:
        """End the command that is to show whether a step is ready."""
        probe = self._live.get(f"{step.key}|{step.probes}") if step.probes else None
        if probe is None:
            return []
        if probe.state in ("arming", "armed"):
            self.forget(probe)
            return [Drop(probe.key)]
        return self.end(probe, "stopped")

    def end_all(self, now_ns: int) -> list[Effect]:
        """End everything."""
        effects = self.drop_armed()
        for step in self:
            if step.files == "wanted":
                effects.append(StopTransfer(step.key))
            effects += self.end_own(step, "stopped", now_ns) if step.is_own else self.end(step, "stopped")
        return effects

    def drop_armed(self) -> list[Effect]:
        """Forget what waits for a release that will not come."""
        waiting = [step for step in self if step.state in ("arming", "armed")]
        for step in waiting:
            self.forget(step)
        return [Drop(step.key) for step in waiting if not step.is_own]
