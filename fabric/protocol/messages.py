"""Every message of the fabric: who sends it to whom, and when.

*control* carries one message in one frame.  *go* carries a topic and a message.  *sink* and *feed* carry
a `Batch` and the bytes that its records bring (see there).  A message of an operator that names a ``node``
is checked against the run's reservations and passed on by the broker, and so is the answer.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fabric.protocol.records import Record

# --- joining ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """Unknown key to broker: let this key be the node ``name``.  May be repeated until it is answered."""

    kind: ClassVar[str] = "enrol"

    protocol: int
    name: str
    secret: bytes  # from the join token


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """Broker to peer: the key is known from now on.  Answers `Enrol`."""

    kind: ClassVar[str] = "enrolled"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """Part of `AgentHello`: a journal that the agent still holds."""

    run: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """Agent to broker, first on every connection."""

    kind: ClassVar[str] = "agent_hello"

    protocol: int
    software: str  # version of testfabric
    name: str
    instance: str  # of the state directory; a lock there keeps a second agent off
    incarnation: int  # counts the starts of this agent
    labels: tuple[str, ...]
    addresses: dict[str, str]  # network name to address; "" is the default one
    facts: dict[str, str]
    journals: tuple[JournalHead, ...]
    runs: tuple[str, ...]  # that it works for


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorHello:
    """Controller or tail to broker, first on every connection."""

    kind: ClassVar[str] = "operator_hello"

    protocol: int
    software: str
    program: str
    session: str  # random; the same over reconnects of one process
    user: str  # for people; what may be done depends on the key
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Broker to peer: you are ``name``.  Answers a hello."""

    kind: ClassVar[str] = "welcome"

    protocol: int
    software: str
    epoch: int  # which life of the broker's clock
    name: str
    go_port: int
    sink_port: int
    feed_port: int
    now_ns: int = 0  # fabric time, older by the way that this took


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Broker to peer: no, and why, in a sentence for a person."""

    kind: ClassVar[str] = "rejected"

    code: Literal["version", "name_in_use", "not_allowed", "bad_token", "malformed"]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloWanted:
    """Broker to peer that it has not met in this life: say hello again."""

    kind: ClassVar[str] = "hello_wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Both ways, from the main loop, every BEAT_S."""

    kind: ClassVar[str] = "beat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """Agent to broker, last on a connection: this agent ends, so it is away from now on."""

    kind: ClassVar[str] = "goodbye"

    sentence: str  # why


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Agent or controller to broker: what time is it?"""

    kind: ClassVar[str] = "probe"

    t1_ns: int  # sender's monotonic clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReply:
    """Broker to whoever asked: T2 and T3 in fabric time.  Answers `Probe`."""

    kind: ClassVar[str] = "probe_reply"

    epoch: int
    t1_ns: int
    t2_ns: int
    t3_ns: int


# --- reservation --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """Part of `Nodes` and `RunOpened`: what the broker knows of a node.  Instants: fabric time, 0: never."""

    name: str
    state: Literal["free", "busy", "away", "drained"]  # drained: it is there, but not to be had
    incarnation: int
    labels: tuple[str, ...]  # its own, then those that operators gave it
    addresses: dict[str, str]
    facts: dict[str, str]
    run: str  # that has it reserved, or ""
    heard_ns: int  # the last word from it
    given_labels: tuple[str, ...] = ()  # those of ``labels`` that operators gave it
    operator: str = ""  # of the run that has it
    since_ns: int = 0  # that run has it
    drained_by: str = ""  # operator who keeps new runs off it, or ""
    drained_why: str = ""
    drained_ns: int = 0
    dirty_run: str = ""  # whose reset failed there, with no good one since


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesRequest:
    """Operator to broker: nodes by name, from the one after ``after`` on."""

    kind: ClassVar[str] = "nodes_request"

    request: int
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Broker to operator.  Answers `NodesRequest`."""

    kind: ClassVar[str] = "nodes"

    request: int
    nodes: tuple[NodeInfo, ...]
    more: bool = False  # ask on after the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Operator to broker: keep new runs off these nodes, or let them in again.  May be repeated."""

    kind: ClassVar[str] = "drain"

    request: int
    nodes: tuple[str, ...]
    drained: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Operator to broker: give these nodes labels, and take given ones away.  May be repeated."""

    kind: ClassVar[str] = "label"

    request: int
    nodes: tuple[str, ...]
    add: tuple[str, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Broker to operator: it is done, and kept.  Answers `Drain`, `Label` and `DeleteRun`."""

    kind: ClassVar[str] = "done"

    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """Controller to broker: reserve all these nodes, or none.  May be repeated."""

    kind: ClassVar[str] = "open_run"

    request: int
    run: str
    name: str  # of the trial
    nodes: tuple[str, ...]
    trial: str  # the file's text
    plan: str  # JSON
    lease_s: float  # of the controller


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpened:
    """Broker to controller: the nodes are yours.  Answers `OpenRun`."""

    kind: ClassVar[str] = "run_opened"

    request: int
    run: str
    nodes: tuple[NodeInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Broker to operator: the request cannot be done, and why, in a sentence."""

    kind: ClassVar[str] = "denied"

    request: int
    code: Literal[
        "busy",
        "away",
        "drained",
        "unknown_node",
        "unknown_run",
        "not_yours",
        "open",
        "closed",
        "invalid",
        "no_room",
    ]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRun:
    """Controller to broker: the verdict is known; release the nodes.  May be repeated."""

    kind: ClassVar[str] = "close_run"

    request: int
    run: str
    verdict: str
    result: str  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClosed:
    """Broker to controller.  Answers `CloseRun`."""

    kind: ClassVar[str] = "run_closed"

    request: int
    run: str


# --- a phase ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyWhen:
    """Part of `Step`: when a spawned step is ready; exactly one of the conditions is set."""

    port: int | None = None  # a socket of the node listens there
    log: str = ""  # a regular expression that its output matches
    cmd: tuple[str, ...] = ()  # a command that succeeds
    file: str = ""  # that exists
    within_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Part of `Step`: a file that the controller has and the node is to get."""

    path: str  # on the node: absolute, or in the step's directory
    size: int  # bytes
    sha256: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Part of `Assign` and `Prepare`: one step, fully resolved for one node."""

    step: str  # StepId
    verb: Literal["cmd", "spawn", "put", "fetch", "stop", "wait"]
    argv: tuple[str, ...]  # a command line in sh is ("/bin/sh", "-c", line)
    env: dict[str, str]  # added to the agent's own environment
    dir: str | None  # None: the run's scratch directory on the node
    timeout_s: float | None
    at_s: float | None  # after the go
    ok: tuple[int, ...]
    on_fail: Literal["stop", "continue"]
    when: Literal["always", "passed", "failed"]
    signal: int
    grace_s: float
    attempts: int = 1  # at most so many
    retry_on: Literal["error", "fail"] = "error"  # what another attempt follows
    may_exit: bool = False  # a spawned step that ends by itself has not failed
    ready: ReadyWhen | None = None
    user: str = ""  # "": the agent's own
    pty: bool = False
    stdin: bytes | None = None  # None: empty
    stdin_file: str = ""
    limits: dict[str, int] = field(default_factory=dict)  # memory, files, processes, cpu, file_size, core
    output: Literal["keep", "drop"] = "keep"  # drop: rather lose output than let the program wait
    output_limit_bytes: int | None = None  # of one stream of one attempt
    files: tuple[FileSource, ...] = ()  # put
    paths: tuple[str, ...] = ()  # fetch: patterns
    target: str = ""  # stop: StepId of a spawned step
    wait_s: float = 0.0
    bring: tuple[str, ...] = ()  # files that are fetched when the step has ended, for its metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Controller to agent: your part of a run; ``reset`` is what you do alone if a lease ends.

    Comes again with another reset when a cell of the matrix begins.
    """

    kind: ClassVar[str] = "assign"

    run: str
    node: str
    on_lost: Literal["stop", "continue"]
    lease_s: float  # how long the agent works on without news from the broker
    reset: tuple[Step, ...]
    env: dict[str, str] = field(default_factory=dict)  # of all steps; a step's own variables win


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """Agent to controller: bytes of a file that a put wants.  May be repeated until it is answered."""

    kind: ClassVar[str] = "file_request"

    run: str
    node: str
    sha256: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Controller to agent: bytes of a file.  Answers `FileRequest`."""

    kind: ClassVar[str] = "file_part"

    run: str
    node: str
    sha256: str
    offset: int
    data: bytes
    sentence: str  # why there are none; "" if there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Agent to controller: every role's first step is armed.  Answers `Prepare`."""

    kind: ClassVar[str] = "ready"

    run: str
    node: str
    phase: str
    clock_bound_ns: int  # half-width of the interval that holds the true offset
    rtt_ns: int  # smallest recent round trip to the broker


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPhase:
    """Controller to broker: all are ready; start them.  May be repeated until it is answered."""

    kind: ClassVar[str] = "start_phase"

    run: str
    phase: str
    go: int  # 1 for the first try
    nodes: tuple[str, ...]
    lead_s: float | None  # None: computed
    max_rtt_ns: int  # of the nodes, from their `Ready`


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Broker to agents, by the go socket and again by control: start at ``t0_ns`` of fabric time."""

    kind: ClassVar[str] = "go"

    run: str
    phase: str
    go: int
    epoch: int
    t0_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Agent to broker: it will start at t0.  Answers `Go`."""

    kind: ClassVar[str] = "confirm"

    run: str
    phase: str
    go: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Agent to broker: it will not start, and why.  Answers `Go`."""

    kind: ClassVar[str] = "declined"

    run: str
    phase: str
    go: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Broker to agents, by the go socket and again by control: this go is void."""

    kind: ClassVar[str] = "abort"

    run: str
    phase: str
    go: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Agent to broker.  Answers `Abort`; ``started`` if it came too late."""

    kind: ClassVar[str] = "aborted"

    run: str
    phase: str
    go: int
    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GoCommitted:
    """Broker to controller: every node confirmed.  Answers `StartPhase`."""

    kind: ClassVar[str] = "go_committed"

    run: str
    phase: str
    go: int
    t0_ns: int
    lead_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAborted:
    """Broker to controller: not every node confirmed, so none starts.  Answers `StartPhase`."""

    kind: ClassVar[str] = "go_aborted"

    run: str
    phase: str
    go: int
    reasons: dict[str, str]  # by node
    started: tuple[str, ...]  # nodes that the abort reached too late


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Controller to agent: end this phase: running `cmd` steps end.  May be repeated.

    Steps that have not begun do not begin; unless ``everything``, those do that run after a failure too.
    """

    kind: ClassVar[str] = "cancel"

    run: str
    node: str
    phase: str
    everything: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """Controller to agent: the run is over: end what is left, ship your journal.  May be repeated."""

    kind: ClassVar[str] = "free"

    run: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """Agent to broker and controller: nothing of the run is left here, all records are acknowledged."""

    kind: ClassVar[str] = "freed"

    run: str
    node: str
    incarnation: int
    records: int  # how many the agent's journal of this incarnation had
    reset_failed: bool  # the last reset that ran here failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Broker to agent: the controller's lease has ended: do what `Assign` says."""

    kind: ClassVar[str] = "abandon"

    run: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLost:
    """Broker to controller: nothing is heard of a node of your run, or its agent has ended."""

    kind: ClassVar[str] = "node_lost"

    run: str
    node: str
    sentence: str
    gone: bool = False  # its agent said goodbye: it will not come back to its part of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBack:
    """Broker to controller: the node is heard of again."""

    kind: ClassVar[str] = "node_back"

    run: str
    node: str
    incarnation: int
    works_on: bool  # it still has its part of the run


# --- records --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Agent to sink: consecutive records of one journal.  A second frame holds the bytes that they bring."""

    kind: ClassVar[str] = "batch"

    run: str
    incarnation: int
    first: int  # number of the first record; the first one of a journal is 1
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Controller to broker: records of the run itself, as `Batch`, without output."""

    kind: ClassVar[str] = "append"

    run: str
    incarnation: int
    first: int
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Broker to source: records up to ``number`` of this journal are stored for good."""

    kind: ClassVar[str] = "acknowledged"

    run: str
    incarnation: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Broker to source: records from ``number`` on are missing."""

    kind: ClassVar[str] = "resend"

    run: str
    incarnation: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Broker to agent: this run is not in the catalogue, so its journal can go nowhere."""

    kind: ClassVar[str] = "forget"

    run: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHead:
    """First frame of an entry of the record log and of the feed; its `Batch` and the bytes follow.

    The batch's records have the run's numbers ``number``, ``number + 1``, ...
    """

    kind: ClassVar[str] = "entry"

    number: int
    count: int
    node: str  # "" for the controller
    incarnation: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon:
    """Broker to feed: the run's last number, so that a reader sees a gap in a quiet run."""

    kind: ClassVar[str] = "beacon"

    run: str
    number: int
    open: bool


# --- reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Reader to broker: entries from ``number`` on, up to ``limit_bytes``."""

    kind: ClassVar[str] = "replay"

    request: int
    run: str
    number: int
    limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEnd:
    """Broker to reader, after the entries of a `Replay`, each of which comes as head, batch and bytes."""

    kind: ClassVar[str] = "replay_end"

    request: int
    run: str
    next: int  # number from which to ask on
    end: bool  # nothing more is stored now


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Part of `Runs`."""

    run: str
    name: str
    state: Literal["open", "closed"]
    verdict: str
    operator: str
    opened_ns: int
    closed_ns: int  # 0: open
    nodes: tuple[str, ...]
    last: int  # number of the last record


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsRequest:
    """Operator to broker: the newest runs, or the one whose id is or begins with ``run``."""

    kind: ClassVar[str] = "runs_request"

    request: int
    run: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Broker to operator, newest first.  Answers `RunsRequest`."""

    kind: ClassVar[str] = "runs"

    request: int
    runs: tuple[RunInfo, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseInfo:
    """Part of `RunDetails`: one go of a phase.  Instants are fabric time."""

    phase: str  # repeat/phase
    go: int  # 0: it ended without a go
    t0_ns: int
    lead_ns: int
    skew_ns: int | None
    skew_bound_ns: int | None
    failed: bool | None  # None: not over


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """Part of `RunDetails`: an attempt of a step that failed."""

    node: str
    step: str
    attempt: int
    reason: str
    exit_code: int | None
    signal: int | None
    started_ns: int | None
    finished_ns: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Operator to broker: all that the catalogue has of one run, by its whole id."""

    kind: ClassVar[str] = "run_request"

    request: int
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """Broker to operator.  Answers `RunRequest`."""

    kind: ClassVar[str] = "run_details"

    request: int
    info: RunInfo
    phases: tuple[PhaseInfo, ...]  # the last ones
    failed: tuple[StepInfo, ...]  # the first steps that failed
    phase_count: int  # in all
    step_count: int
    failed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRequest:
    """Operator to broker: a text that is stored with a run, from a byte on."""

    kind: ClassVar[str] = "document_request"

    request: int
    run: str
    document: Literal["trial", "plan", "result"]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Broker to operator: a part of a text in UTF-8.  Answers `DocumentRequest`."""

    kind: ClassVar[str] = "document"

    request: int
    data: bytes
    size: int  # of the whole text; 0: there is none (yet)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    """Operator to broker: delete a closed run with its records.  May be repeated."""

    kind: ClassVar[str] = "delete_run"

    request: int
    run: str


Message = (
    Enrol
    | Enrolled
    | AgentHello
    | OperatorHello
    | Welcome
    | Rejected
    | HelloWanted
    | Beat
    | Goodbye
    | Probe
    | ProbeReply
    | NodesRequest
    | Nodes
    | Drain
    | Label
    | Done
    | OpenRun
    | RunOpened
    | Denied
    | CloseRun
    | RunClosed
    | Assign
    | Assigned
    | Prepare
    | FileRequest
    | FilePart
    | Ready
    | Refused
    | StartPhase
    | Go
    | Confirm
    | Declined
    | Abort
    | Aborted
    | GoCommitted
    | GoAborted
    | Cancel
    | Free
    | Freed
    | Abandon
    | NodeLost
    | NodeBack
    | Batch
    | Append
    | Acknowledged
    | Resend
    | Forget
    | EntryHead
    | Beacon
    | Replay
    | ReplayEnd
    | RunsRequest
    | Runs
    | RunRequest
    | RunDetails
    | DocumentRequest
    | Document
    | DeleteRun
)
