"""One attempt of one step on this node, from arming to the record that says how it ended.

Three things have to be over before an attempt is: its program, its process tree and its two streams.
They come in any order, so each is a field, and `is_over` asks for all of them.
"""

from dataclasses import dataclass, field
from signal import Signals
from typing import Final, Literal

from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.protocol.records import Reason, StepFinished, StepStarted, Stream

State = Literal["arming", "armed", "scheduled", "running", "ended"]

NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Exit:
    """How the program ended and what it used; the instant is local monotonic time."""

    code: int | None
    signal: int | None
    user_s: float
    system_s: float
    max_rss_kib: int
    t_ns: int
    limit: str = ""  # of the step's limits the one that has ended it


@dataclass(slots=True)
class StepRun:
    """State of one attempt.  Instants are nanoseconds of the local monotonic clock."""

    run: str
    step: Step
    attempt: int
    state: State = "arming"
    planned_ns: int = 0  # when it is to start; 0: as soon as possible
    go: int = 0  # the go that releases it; 0: not a first step of its phase
    started_ns: int = 0
    exit: Exit | None = None
    not_started: str = ""  # why it could not be executed
    lost: str = ""  # why nothing is known of its end
    ending: Reason | None = None  # why the fabric ends it
    tree_ended: bool = False
    survivors: tuple[int, ...] = ()
    pipe_held: bool = False
    sizes: dict[Stream, int] = field(default_factory=dict)  # of the streams that were read to their end

    @property
    def key(self) -> str:
        """Name of this attempt towards the launcher."""
        return f"{self.run}|{self.step.step}|{self.attempt}"

    @property
    def id(self) -> StepId:
        """The step's id, in parts."""
        return StepId.parse(self.step.step)

    @property
    def is_spawned(self) -> bool:
        """Whether it goes on when the next step begins."""
        return self.step.verb == "spawn"

    @property
    def is_over(self) -> bool:
        """Whether program, tree and streams have all ended."""
        if not (self.exit or self.not_started or self.lost) or not self.tree_ended:
            return False
        return len(self.sizes) == 2 or self.state == "arming"  # noqa: PLR2004 - stdout and stderr

    @property
    def deadline_ns(self) -> int | None:
        """When its time is up."""
        if self.step.timeout_s is None or not self.started_ns or self.exit or self.ending:
            return None
        return self.started_ns + round(self.step.timeout_s * NANOSECONDS)

    @property
    def reason(self) -> Reason:
        """Why it is over."""
        if self.not_started:
            return "not_started"
        if self.lost:
            return "lost"
        if self.ending:
            return self.ending
        return "ended_early" if self.is_spawned else "exited"

    @property
    def failed(self) -> bool:
        """Whether the trial counts this end as a failure."""
        if self.reason == "exited":
            return self.exit is None or self.exit.code not in self.step.ok
        return self.reason != "stopped"

    def message(self) -> str:
        """Say in a few words how it ended."""
        if self.not_started:
            return self.not_started
        if self.lost:
            return self.lost
        how = _how(self.exit)
        if self.reason == "timeout":
            return f"not done within {self.step.timeout_s:g} s, ended: {how}"
        if self.reason == "stopped":
            return f"ended by the fabric: {how}"
        if self.reason == "ended_early":
            return f"ended before it was asked to: {how}"
        return how

    def started(
        self, t_ns: int, bound_ns: int, *, planned_ns: int, pid: int, event: Literal["release", "exec"]
    ) -> StepStarted:
        """Return the record of its start; the instants are fabric time."""
        return StepStarted(
            t_ns=t_ns,
            bound_ns=bound_ns,
            step=self.step.step,
            attempt=self.attempt,
            pid=pid,
            event=event,
            planned_ns=planned_ns,
            go=self.go,
        )

    def finished(self, t_ns: int, bound_ns: int) -> StepFinished:
        """Return the record of its end; ``t_ns`` and ``bound_ns`` are fabric time."""
        end = self.exit or Exit(None, None, 0.0, 0.0, 0, self.started_ns)
        return StepFinished(
            t_ns=t_ns,
            bound_ns=bound_ns,
            step=self.step.step,
            attempt=self.attempt,
            reason=self.reason,
            failed=self.failed,
            exit_code=end.code,
            signal=end.signal,
            message=self.message(),
            duration_ns=max(0, end.t_ns - self.started_ns) if self.started_ns else 0,
            stdout_bytes=self.sizes.get("stdout", 0),
            stderr_bytes=self.sizes.get("stderr", 0),
            user_s=end.user_s,
            system_s=end.system_s,
            max_rss_kib=end.max_rss_kib,
            pipe_held=self.pipe_held,
            survivors=self.survivors,
        )


def _how(end: Exit | None) -> str:
    if end is None:
        return "its end was not seen"
    if end.signal is not None:
        try:
            name = Signals(end.signal).name
        except ValueError:
            name = str(end.signal)
        return f"killed by {name}" + (f" (limits.{end.limit})" if end.limit else "")
    return f"exit {end.code}"
