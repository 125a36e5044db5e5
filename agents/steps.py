"""PURE.  The attempts at steps that live on this node for one run."""

from collections.abc import Iterator
from typing import Literal

from agents.effects import Arm, Drop, Effect, End
from agents.step_run import StepRun
from fabric.protocol.messages import Step


class Steps:
    """From the arming of an attempt to its end.  Instants are nanoseconds of the local monotonic clock."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._live: dict[str, StepRun] = {}

    def __iter__(self) -> Iterator[StepRun]:
        return iter(list(self._live.values()))

    def __bool__(self) -> bool:
        return bool(self._live)

    def get(self, key: str) -> StepRun | None:
        """Return the attempt with this key, if it lives."""
        return self._live.get(key)

    @property
    def keys(self) -> list[str]:
        """Keys of all that live."""
        return list(self._live)

    @property
    def deadline_ns(self) -> int | None:
        """When the time of one is up."""
        times = (step.deadline_ns for step in self._live.values())
        return min((time for time in times if time is not None), default=None)

    def arm(self, step: Step) -> tuple[StepRun, Effect]:
        """Begin an attempt."""
        attempt = StepRun(self._run, step, attempt=1)
        self._live[attempt.key] = attempt
        return attempt, Arm(attempt.key, step)

    def forget(self, step: StepRun) -> None:
        """It is over, or will never be."""
        self._live.pop(step.key, None)

    def end(self, step: StepRun, why: Literal["timeout", "stopped"]) -> list[Effect]:
        """End an attempt that is released, once."""
        if step.ending or step.exit or step.state in ("arming", "armed"):
            return []
        step.ending = why
        return [End(step.key, step.step.signal, step.step.grace_s)]

    def end_late(self, now_ns: int) -> list[Effect]:
        """End those whose time is up."""
        late = [step for step in self if step.deadline_ns is not None and now_ns >= step.deadline_ns]
        return [effect for step in late for effect in self.end(step, "timeout")]

    def end_all(self) -> list[Effect]:
        """End everything."""
        effects = self.drop_armed()
        return effects + [effect for step in self for effect in self.end(step, "stopped")]

    def drop_armed(self) -> list[Effect]:
        """Forget what waits for a release that will not come."""
        waiting = [step for step in self if step.state in ("arming", "armed")]
        for step in waiting:
            self.forget(step)
        return [Drop(step.key) for step in waiting]
