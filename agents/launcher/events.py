"""What a launcher tells its agent.  Instants are ns of CLOCK_MONOTONIC of this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Armed:
    """Only the release is missing.  The two non-blocking read ends are the receiver's to close."""

    key: str
    pid: int
    stdout_fd: int
    stderr_fd: int


@dataclass(frozen=True, slots=True)
class ArmFailed:
    """The step cannot be started; nothing of it runs or is kept.

    lacks: not for what was asked, but because the node has no process or descriptor left for it.
    """

    key: str
    sentence: str
    lacks: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The step runs since ``t_ns``, the instant of the ``event``.

    release: just before it was let go; exec: its exec was seen to have succeeded.
    """

    key: str
    pid: int
    t_ns: int
    event: Literal["exec", "release"]
    released_ns: int
    ordered_ns: int = 0  # when the launcher had the order to release it
    woke_ns: int = 0  # when its wait for the instant was over; 0: there was none
    way: Literal["exec_stop", "gate"] = "gate"
    way_why: str = ""  # why it was not held after its exec
    is_linked: bool = False  # its libraries were loaded before


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The step was to start, but its program could not be executed.  Nothing of it runs or is kept."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Held:
    """Answers `hold`: ``keys`` are armed without a release; those in ``late`` run, or are gone."""

    keys: tuple[str, ...]
    late: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exited:
    """The step's program has ended.  Code and signal are both None if it could not be killed."""

    key: str
    exit_code: int | None
    signal: int | None
    user_s: float
    system_s: float
    max_rss_kib: int
    t_ns: int
    limit: str = ""  # of the step's limits the one that has ended it
    seen_late_ns: int = 0  # it may have ended so much earlier


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing of the step's tree is left but ``survivors``.  At the pipes' end: `drained`."""

    key: str
    survivors: tuple[int, ...]
    pipe_rest: bool  # after the program's end a descendant held stdout or stderr until it was killed
    had_rest: bool  # descendants outlived the program


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """The agent was silent for so long that the launcher has ended every step."""

    silence_s: float


@dataclass(frozen=True, slots=True)
class Complaint:
    """The launcher did not understand a command: a mistake in the agent."""

    sentence: str


@dataclass(frozen=True, slots=True)
class LauncherDied:
    """The launcher has ended or was killed.  Before anything else: `LauncherClient.kill_orphans`."""


StepEvent = Started | StartFailed | Exited | Ended


@dataclass(frozen=True, slots=True)
class AdoptedStep:
    """A step that an earlier life of the agent armed, with what has happened since, in order.

    Its output is what the earlier life has stored, then the tail files if ``has_tail``, then the pipes.
    """

    key: str
    pid: int
    state: Literal["arming", "armed", "released", "running", "exited", "ended", "failed"]
    stdout_fd: int
    stderr_fd: int
    has_tail: bool
    events: tuple[StepEvent, ...]
    planned_ns: int | None = None  # for when its release is planned; 0: for at once
    is_ending: bool = False  # somebody has asked for its end


@dataclass(frozen=True, slots=True)
class Adopted:
    """The launcher lived already when the client came; these are all of its steps."""

    steps: tuple[AdoptedStep, ...]
    wire: int = 1  # version of what it says and understands
    software: str = ""
    has_ended_all: bool = False  # nobody led it for so long that it has ended these steps


Event = (
    Armed
    | ArmFailed
    | Started
    | StartFailed
    | Held
    | Exited
    | Ended
    | LeaseEnded
    | Complaint
    | LauncherDied
    | Adopted
)

Raw = dict[str, Any]


def _exited(raw: Raw) -> Exited:
    return Exited(
        key=raw["key"],
        exit_code=raw["code"],
        signal=raw["signal"],
        user_s=raw["user"],
        system_s=raw["system"],
        max_rss_kib=raw["rss"],
        t_ns=raw["t"],
        # A launcher of an earlier version does not say what follows.
        limit=raw.get("limit", ""),
        seen_late_ns=raw.get("late", 0),
    )


def _started(raw: Raw) -> Started:
    return Started(
        key=raw["key"],
        pid=raw["pid"],
        t_ns=raw["t"],
        event=raw["event"],
        released_ns=raw["released"],
        # A launcher of an earlier version does not say what follows.
        ordered_ns=raw.get("ordered", 0),
        woke_ns=raw.get("woke", 0),
        way=raw.get("way", "gate"),
        way_why=raw.get("why", ""),
        is_linked=raw.get("linked", False),
    )


_STEP_EVENTS: Final[Mapping[str, Callable[[Raw], StepEvent]]] = {
    "started": _started,
    "start_failed": lambda raw: StartFailed(raw["key"], raw["why"]),
    "exited": _exited,
    "ended": lambda raw: Ended(raw["key"], tuple(raw["survivors"]), raw["pipe_held"], raw["rest"]),
}

_OTHER_EVENTS: Final[Mapping[str, Callable[[Raw, tuple[int, ...]], Event]]] = {
    "armed": lambda raw, fds: Armed(raw["key"], raw["pid"], fds[0], fds[1]),
    "arm_failed": lambda raw, _: ArmFailed(raw["key"], raw["why"], raw.get("lacks", False)),
    "held": lambda raw, _: Held(tuple(raw["held"]), tuple(raw["late"])),
    "lease_ended": lambda raw, _: LeaseEnded(raw["silence"]),
    "refused": lambda raw, _: Complaint(raw["why"]),
}


def read(raw: Raw, fds: tuple[int, ...]) -> Event | None:
    """Return the event of a frame, or None if it is not one that an agent acts on."""
    kind = raw["ev"]
    if kind in _STEP_EVENTS:
        return _STEP_EVENTS[kind](raw)
    reader = _OTHER_EVENTS.get(kind)
    return None if reader is None else reader(raw, fds)


def read_step(raw: Raw, fds: tuple[int, ...]) -> AdoptedStep:
    """Return what a frame says of a step that is to be adopted."""
    return AdoptedStep(
        key=raw["key"],
        pid=raw["pid"],
        state=raw["state"],
        stdout_fd=fds[0],
        stderr_fd=fds[1],
        has_tail=raw["tail"],
        events=tuple(_STEP_EVENTS[report["ev"]](report) for report in raw["reports"]),
        planned_ns=raw.get("planned"),
        is_ending=raw.get("ending", False),
    )
