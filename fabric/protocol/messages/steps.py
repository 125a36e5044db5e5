"""What a node is to do in a run and a phase, and whether it can."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fabric.protocol.numbers import Bound, Count, Port, Seconds, Span, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyWhen:
    """Part of `Step`: when a spawned step is ready; exactly one of the conditions is set."""

    port: Port | None = None  # a socket of the node listens there
    log: str = ""  # a regular expression that its output matches
    cmd: tuple[str, ...] = ()  # a command that succeeds
    file: str = ""  # that exists
    within_s: Seconds = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Part of `Step`: a file that the controller has and the node is to get."""

    path: str  # on the node: absolute, or in the step's directory
    size: Count  # bytes
    sha256: str
    mode: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Part of `Assign` and `Prepare`: one step, fully resolved for one node."""

    step: str  # StepId
    verb: Literal["cmd", "spawn", "put", "fetch", "stop", "wait"]
    argv: tuple[str, ...]  # a command line in sh is ("/bin/sh", "-c", line)
    env: dict[str, str]  # added to the agent's own environment
    dir: str | None  # None: the run's scratch directory on the node
    timeout_s: Seconds | None
    at_s: Seconds | None  # after the go
    ok: tuple[Whole, ...]
    on_fail: Literal["stop", "continue"]
    when: Literal["always", "passed", "failed"]
    signal: Whole
    grace_s: Seconds
    attempts: Count = 1  # at most so many
    retry_on: Literal["error", "fail"] = "error"  # what another attempt follows
    may_exit: bool = False  # a spawned step that ends by itself has not failed
    ready: ReadyWhen | None = None
    user: str = ""  # "": the agent's own
    pty: bool = False
    stdin: bytes | None = None  # None: empty
    stdin_file: str = ""
    limits: dict[str, Count] = field(default_factory=dict)  # memory, files, processes, cpu, file_size, core
    output: Literal["keep", "drop"] = "keep"  # drop: rather lose output than let the program wait
    output_limit_bytes: Count | None = None  # of one stream of one attempt
    files: tuple[FileSource, ...] = ()  # put
    paths: tuple[str, ...] = ()  # fetch: patterns
    target: str = ""  # stop: StepId of a spawned step
    wait_s: Seconds = 0.0
    bring: tuple[str, ...] = ()  # files that are fetched when the step has ended, for its metrics
    secrets: dict[str, str] = field(default_factory=dict)  # variables, each with the name of its secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Controller to agent: your part of a run; ``reset`` is what you do alone if a lease ends.

    Comes again with another reset when a cell of the matrix begins.
    """

    kind: ClassVar[str] = "assign"

    run: str
    node: str
    on_lost: Literal["stop", "continue"]
    lease_s: Seconds  # how long the agent works on without news from the broker
    reset: tuple[Step, ...]
    env: dict[str, str] = field(default_factory=dict)  # of all steps; a step's own variables win
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # by name, those that the steps want


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Agent to controller.  Answers `Assign`; later repeats are harmless."""

    kind: ClassVar[str] = "assigned"

    run: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Controller to agent: check and arm a phase.  May be repeated until it is answered."""

    kind: ClassVar[str] = "prepare"

    run: str
    node: str
    phase: str  # repeat/phase
    end: tuple[str, ...]  # spawned steps whose `until` this is
    failed: bool  # a step of this repeat has failed (for `when`)
    stopped: bool  # ... and stopped the phases that follow (for `when`)
    steps: tuple[Step, ...]  # of all roles of the node; a role's in their order
    env: dict[str, str] = field(default_factory=dict)  # of all steps; a step's own variables win
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # by name, those that the steps want


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """Agent to controller: bytes of a file that a put wants.  May be repeated until it is answered."""

    kind: ClassVar[str] = "file_request"

    run: str
    node: str
    sha256: str
    offset: Count
    size: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Controller to agent: bytes of a file.  Answers `FileRequest`."""

    kind: ClassVar[str] = "file_part"

    run: str
    node: str
    sha256: str
    offset: Count
    data: bytes
    sentence: str  # why there are none; "" if there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Agent to controller: every role's first step is armed.  Answers `Prepare`."""

    kind: ClassVar[str] = "ready"

    run: str
    node: str
    phase: str
    clock_bound_ns: Bound  # half-width of the interval that holds the true offset
    rtt_ns: Span  # longest recent round trip to the broker but one: a go may meet the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Agent to controller: the phase cannot be done here, or (without a phase) no part of the run at all.

    Answers `Prepare` or `Assign`.
    """

    kind: ClassVar[str] = "refused"

    run: str
    node: str
    phase: str
    step: str  # "" if it is not about one step
    sentence: str


PartMessage = Assign | Assigned | Prepare | FileRequest | FilePart | Ready | Refused
