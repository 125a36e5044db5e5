"""PURE.  One attempt of one step on this node, from arming to the record that says how it ended.

Three things of a program have to be over before the attempt is: itself, its process tree and its two streams.
They come in any order, so each is a field, and `has_ended` asks for all of them.  A step of the agent's own
(a wait, a stop, a transfer) has no program: it is over when it is `done`.
"""

from dataclasses import dataclass, field
from signal import Signals
from typing import Final, Literal

from agents.lines import Lines
from agents.readiness import Readiness
from agents.stamp import Stamp
from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.protocol.records import Reason, StepFinished, StepReady, StepStarted, Stream

State = Literal["arming", "armed", "scheduled", "running"]
Event = Literal["release", "exec", "agent"]

NANOSECONDS: Final = 1_000_000_000

PROGRAMS: Final = frozenset({"cmd", "spawn"})
"""Verbs that start one; the agent does what the others say by itself."""

TRANSFERS: Final = frozenset({"put", "fetch"})

ERRORS: Final = frozenset({"not_started", "lost", "not_ready"})
"""Ends that say more about the lab than about the step."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the program was let go; instants are local monotonic time."""

    pid: int
    t_ns: int
    event: Event
    way: Literal["", "exec_stop", "gate"] = ""
    way_why: str = ""
    is_linked: bool = False
    ordered_ns: int = 0  # when its launcher had the order; 0: not known
    woke_ns: int = 0  # when the wait for its instant was over; 0: there was none


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
    seen_late_ns: int = 0  # it may have ended so much earlier


@dataclass(frozen=True, slots=True)
class Done:
    """How a step of the agent's own went; the instant is local monotonic time."""

    failed: bool
    message: str
    t_ns: int


@dataclass(slots=True)
class StepRun:
    """State of one attempt.  Instants are nanoseconds of the local monotonic clock."""

    run: str
    step: Step
    attempt: int
    probe: int = 0  # above 0: not the step, but the so many-th run of the command that shows it ready
    probes: int = 0  # how many there were
    state: State = "arming"
    planned_ns: int = 0  # when it is to start; 0: as soon as possible
    go: int = 0  # the go that releases it; 0: not a first step of its phase
    start: Start | None = None  # of its program
    started_ns: int = 0
    exit: Exit | None = None
    done: Done | None = None
    not_started: str = ""  # why it could not be executed
    lost: str = ""  # why nothing is known of its end
    ending: Reason | None = None  # why the fabric ends it
    tree_ended: bool = False
    survivors: tuple[int, ...] = ()
    pipe_held: bool = False
    sizes: dict[Stream, int] = field(default_factory=dict)  # of the streams that were read to their end
    readiness: Readiness | None = None
    files: Literal["", "wanted", "brought"] = ""  # those that its metrics want
    lines: Lines = field(default_factory=Lines)  # of a probe, or in a reset

    @property
    def key(self) -> str:
        """Name of this attempt towards the launcher."""
        key = f"{self.run}|{self.step.step}|{self.attempt}"
        return f"{key}|{self.probe}" if self.probe else key

    @property
    def id(self) -> StepId:
        """The step's id, in parts."""
        return StepId.parse(self.step.step)

    @property
    def is_own(self) -> bool:
        """Whether the agent does it by itself."""
        return self.step.verb not in PROGRAMS

    @property
    def is_spawned(self) -> bool:
        """Whether it goes on when the next step begins."""
        return self.step.verb == "spawn"

    @property
    def is_waited_for(self) -> bool:
        """Whether it is spawned and still has to become ready."""
        return self.readiness is not None and not self.readiness.is_over

    @property
    def has_ended(self) -> bool:
        """Whether program, tree and streams have all ended, or the agent is done."""
        if self.is_own:
            return self.done is not None
        if not (self.exit or self.not_started or self.lost) or not self.tree_ended:
            return False
        return len(self.sizes) == 2 or self.state == "arming"  # noqa: PLR2004 - stdout and stderr

    @property
    def deadline_ns(self) -> int | None:
        """When something is to be done about it: to begin, to look whether it is ready, to end."""
        if self.is_own and self.state == "scheduled":
            return self.planned_ns
        if not self.started_ns or self.exit or self.done or self.ending:
            return None
        times = [self.timeout_ns, self.readiness.deadline_ns if self.readiness else None]
        if self.step.verb == "wait":
            times.append(self.waited_ns)
        return min((time for time in times if time is not None), default=None)

    @property
    def timeout_ns(self) -> int | None:
        """When its time is up."""
        if self.step.timeout_s is None:
            return None
        return self.started_ns + round(self.step.timeout_s * NANOSECONDS)

    @property
    def waited_ns(self) -> int:
        """When a wait is over."""
        return self.started_ns + round(self.step.wait_s * NANOSECONDS)

    @property
    def reason(self) -> Reason:
        """Why it is over."""
        if self.not_started:
            return "not_started"
        if self.lost:
            return "lost"
        if self.ending:
            return self.ending
        if self.is_own:
            return "done"
        is_early = self.is_spawned and (self.is_waited_for or not self.step.may_exit)
        return "ended_early" if is_early else "exited"

    @property
    def failed(self) -> bool:
        """Whether the trial counts this end as a failure."""
        if self.reason == "done":
            return self.done is None or self.done.failed
        if self.reason == "exited":
            return not self.is_spawned and (self.exit is None or self.exit.code not in self.step.ok)
        return self.reason != "stopped"

    @property
    def can_be_retried(self) -> bool:
        """Whether it failed in a way that another attempt is to follow, and one is left."""
        if not self.failed or self.attempt >= self.step.attempts:
            return False
        is_error = self.reason in ERRORS or self.step.verb in TRANSFERS
        return is_error or self.step.retry_on == "fail"

    @property
    def how(self) -> str:
        """How its program, or what the agent did for it, ended: whoever wanted that."""
        return _how(self.exit) if self.done is None else self.done.message

    def message(self) -> str:
        """Say in a few words how it ended."""
        if self.not_started or self.lost:
            return self.not_started or self.lost
        how = self.how
        match self.reason:
            case "timeout":
                return f"not done within {self.step.timeout_s:g} s" + (f", ended: {how}" if how else "")
            case "not_ready" if self.readiness:
                return self.readiness.lacking()
            case "stopped":
                return f"ended by the fabric: {how}" if how else "ended by the fabric"
            case "ended_early":
                return f"ended before it was {'ready' if self.is_waited_for else 'asked to'}: {how}"
            case _:
                return how

    def why(self) -> str:
        """Say how it ended, with the last line that it has printed, if that is known."""
        return self.message() + (f", its last line: {self.lines.last:.200}" if self.lines.last else "")

    @property
    def pid(self) -> int:
        """Of its program; 0 before that was let go, and without one."""
        return self.start.pid if self.start is not None else 0

    def started(self, stamp: Stamp) -> StepStarted:
        """Return the record of its start."""
        t_ns, bound_ns = stamp.fabric(self.started_ns)
        start = self.start or Start(pid=0, t_ns=self.started_ns, event="agent")
        return StepStarted(
            t_ns=t_ns,
            bound_ns=bound_ns,
            step=self.step.step,
            attempt=self.attempt,
            pid=start.pid,
            event=start.event,
            planned_ns=stamp.known(self.planned_ns),
            go=self.go,
            local_ns=self.started_ns,
            way=start.way,
            way_why=start.way_why,
            linked=start.is_linked,
            ordered_ns=stamp.known(start.ordered_ns),
            woke_ns=stamp.known(start.woke_ns),
        )

    def ready(self, t_ns: int, bound_ns: int, what: str) -> StepReady:
        """Return the record of its being ready; the instant is fabric time."""
        return StepReady(t_ns=t_ns, bound_ns=bound_ns, step=self.step.step, attempt=self.attempt, what=what)

    def finished(self, t_ns: int, bound_ns: int, *, retried: bool) -> StepFinished:
        """Return the record of its end; ``t_ns`` and ``bound_ns`` are fabric time."""
        end = self.exit or Exit(None, None, 0.0, 0.0, 0, self.done.t_ns if self.done else self.started_ns)
        lasted_ns = max(0, end.t_ns - self.started_ns) if self.started_ns else 0
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
            duration_ns=lasted_ns,
            stdout_bytes=self.sizes.get("stdout", 0),
            stderr_bytes=self.sizes.get("stderr", 0),
            user_s=end.user_s,
            system_s=end.system_s,
            max_rss_kib=end.max_rss_kib,
            pipe_held=self.pipe_held,
            survivors=self.survivors,
            retried=retried,
            seen_late_ns=min(end.seen_late_ns, lasted_ns),  # it has not ended before it began
        )

    @property
    def ended_ns(self) -> int | None:
        """When it ended, if that was seen."""
        end = self.exit or self.done
        return end.t_ns if end else None


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
