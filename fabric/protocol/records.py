"""Records: the numbered things that are reported about a run.

Each has an instant ``t_ns`` in fabric time with the bound ``bound_ns`` (half-width; -1: no bound
is known).  A record's number is its place in the journal of its source.  A source of records is a
node, or the controller (the empty name).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from fabric.protocol.numbers import Bound, Count, Instant, Measure, Offset, Seconds, Span, Whole

Stream = Literal["stdout", "stderr"]

Then = Literal["", "again", "given_up", "without"]
"""After a go that was taken back: it is tried again, the phase is given up, or the reset goes on without
those nodes.  Empty: another record tells."""

Reason = Literal["exited", "timeout", "stopped", "ended_early", "lost", "not_started", "not_ready", "done"]
"""Why a step is over.

exited: by itself.  timeout: its time was up.  stopped: the fabric ended it as the trial says (`until`) or
because the phase was cancelled.  ended_early: a spawned step ended before it was asked to.  lost: its
launcher or its agent died, so how it ended is not known.  not_started: its program could not be executed.
not_ready: a spawned step was not ready in time, so it was ended.  done: it had no program, the agent did it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Bytes that a step wrote.  They follow the batch's header, in the order of its records."""

    kind: ClassVar[str] = "output"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    stream: Stream
    offset: Count  # of the first byte, in this stream of this attempt
    size: Count  # bytes; 0 marks the end of the stream


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDropped:
    """Bytes that a step wrote and that were not kept, as the trial allows; the offsets count on."""

    kind: ClassVar[str] = "output_dropped"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    stream: Stream
    offset: Count  # of the first byte that is missing
    size: Count
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBegun:
    """A file of the node is being fetched; its bytes follow as `FileChunk`."""

    kind: ClassVar[str] = "file_begun"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    file: Count  # counts the files of this attempt, from 1
    path: str  # on the node: absolute, or in the run's scratch directory
    size: Whole  # bytes, as it begins; -1: not known
    mode: Count
    mtime_ns: Offset  # by the node's wall clock


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChunk:
    """Bytes of a file that is being fetched.  They follow the batch's header, as those of `Output`."""

    kind: ClassVar[str] = "file_chunk"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    file: Count
    offset: Count
    size: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEnded:
    """All bytes of a fetched file are stored, or ``problem`` says why not."""

    kind: ClassVar[str] = "file_ended"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    file: Count
    size: Count
    sha256: str  # of the bytes that came
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMissing:
    """Something that was to be fetched could not be had."""

    kind: ClassVar[str] = "file_missing"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    path: str  # or the pattern that nothing matches
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """The step's program runs.  ``t_ns`` is the instant named by ``event``."""

    kind: ClassVar[str] = "step_started"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    pid: Count
    event: Literal["release", "exec", "agent"]
    """exec: the successful exec was seen; release: the child was let go; agent: it has no program."""

    planned_ns: Instant  # fabric time at which it was to start; 0: as soon as its turn came
    go: Count  # the go that released it; 0: not a first step
    way: Literal["", "exec_stop", "gate"] = ""
    """How it was held until then: by the kernel right after its exec, or before that; "": no program."""

    way_why: str = ""  # why it was not held after its exec
    linked: bool = False  # held so, with its shared libraries loaded and not yet initialised
    ordered_ns: Instant = 0  # fabric time at which the launcher had the order to release it; 0: not known
    woke_ns: Instant = 0  # ... at which its wait for ``planned_ns`` was over; 0: it did not wait
    local_ns: Instant = 0  # ``t_ns`` by the node's own CLOCK_MONOTONIC; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReady:
    """A spawned step is ready; ``what`` says what showed it."""

    kind: ClassVar[str] = "step_ready"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """The step is over and nothing of its process tree is left, or ``survivors`` says what is."""

    kind: ClassVar[str] = "step_finished"

    t_ns: Instant
    bound_ns: Bound
    step: str
    attempt: Count
    reason: Reason
    failed: bool
    exit_code: Whole | None  # None: ended by a signal, or never started
    signal: Whole | None
    message: str  # one line for a person
    duration_ns: Span
    stdout_bytes: Count
    stderr_bytes: Count
    user_s: Seconds
    system_s: Seconds
    max_rss_kib: Count
    pipe_held: bool  # a descendant still held stdout or stderr when the program had ended
    survivors: tuple[Count, ...]  # pids that could not be killed
    retried: bool = False  # another attempt follows, so this failure is not the step's
    seen_late_ns: Span = 0  # its program may have ended so much earlier than was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """The step was not run."""

    kind: ClassVar[str] = "step_skipped"

    t_ns: Instant
    bound_ns: Bound
    step: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFinished:
    """All of the node's steps of the phase are done and its spawned ones run."""

    kind: ClassVar[str] = "phase_finished"

    t_ns: Instant
    bound_ns: Bound
    phase: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should know."""

    kind: ClassVar[str] = "notice"

    t_ns: Instant
    bound_ns: Bound
    level: Literal["info", "warning", "error"]
    message: str


# --- records of the controller ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The nodes are reserved and have their part of the run."""

    kind: ClassVar[str] = "run_started"

    t_ns: Instant
    bound_ns: Bound
    name: str
    nodes: tuple[str, ...]
    phases: tuple[str, ...] = ()  # of a repeat, the reset last
    cells: Count = 1
    repeats: Count = 1  # that this run is to do, in all cells
    resumes: str = ""  # the run that it continues


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatStarted:
    """One pass over the phases begins."""

    kind: ClassVar[str] = "repeat_started"

    t_ns: Instant
    bound_ns: Bound
    cell: Count  # 0: the trial has no matrix
    repeat: Count
    warmup: bool  # its metrics do not count
    variables: dict[str, str]  # of the matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatEnded:
    """All phases of a repeat are over."""

    kind: ClassVar[str] = "repeat_ended"

    t_ns: Instant
    bound_ns: Bound
    cell: Count
    repeat: Count
    failed: bool
    cut: bool = False  # by a user, a lost node or a limit of the whole trial: no result to build on


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a step on a node came to."""

    kind: ClassVar[str] = "metric"

    t_ns: Instant
    bound_ns: Bound
    node: str
    step: str
    attempt: Count
    name: str
    value: Measure
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMissing:
    """A number that a step on a node should have come to was not found: the step has failed."""

    kind: ClassVar[str] = "metric_missing"

    t_ns: Instant
    bound_ns: Bound
    node: str
    step: str
    attempt: Count
    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStarted:
    """All nodes confirmed the go; ``t0_ns`` is its instant in fabric time."""

    kind: ClassVar[str] = "phase_started"

    t_ns: Instant
    bound_ns: Bound
    phase: str
    go: Count
    t0_ns: Instant
    lead_ns: Instant
    confirm_ns: Instant = 0  # from the go to the last node's confirmation; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseAborted:
    """Not all nodes confirmed the go, so none was to start.  ``reasons`` is by node."""

    kind: ClassVar[str] = "phase_aborted"

    t_ns: Instant
    bound_ns: Bound
    phase: str
    go: Count
    reasons: dict[str, str]
    started: tuple[str, ...] = ()  # nodes that had begun when they heard of it
    then: Then = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded:
    """Every node finished the phase.  No skew is known where fewer than two nodes started something."""

    kind: ClassVar[str] = "phase_ended"

    t_ns: Instant
    bound_ns: Bound
    phase: str
    failed: bool
    skew_ns: Instant | None
    skew_bound_ns: Instant | None
    latest_node: str
    delayed_by: str = ""  # what made the latest node the latest, in a sentence
    earliest_node: str = ""
    way: Literal["", "exec_stop", "gate", "mixed"] = ""  # how the programs were held until their start


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The verdict.  Nothing follows."""

    kind: ClassVar[str] = "run_ended"

    t_ns: Instant
    bound_ns: Bound
    verdict: str
    why: tuple[str, ...]


Record = (
    Output
    | OutputDropped
    | FileBegun
    | FileChunk
    | FileEnded
    | FileMissing
    | StepStarted
    | StepReady
    | StepFinished
    | StepSkipped
    | PhaseFinished
    | Notice
    | RunStarted
    | RepeatStarted
    | RepeatEnded
    | Metric
    | MetricMissing
    | PhaseStarted
    | PhaseAborted
    | PhaseEnded
    | RunEnded
)


def payload_size(record: Record) -> int:
    """Return how many bytes of the batch's second frame belong to a record."""
    return record.size if isinstance(record, Output | FileChunk) else 0
