"""What the broker's machines ask their shell to do.

The shell carries effects out in their order, at once.  Some have an answer, which the shell gives back by the
method that the docstring names; a simulation does the same without files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fabric.protocol.messages import (
    Abort,
    AgentHello,
    Beacon,
    DocumentRequest,
    EntryHead,
    Go,
    InvitationInfo,
    KeyInfo,
    Message,
    OpenRun,
    Replay,
    RunRequest,
    RunsRequest,
)
from fabric.protocol.records import PhaseEnded, PhaseStarted, StepFinished

Role = Literal["node", "operator", "viewer", "unknown"]
Bytes = bytes | memoryview
Indexed = PhaseStarted | PhaseEnded | StepFinished
"""Records of which the catalogue has rows."""


class Peer(NamedTuple):
    """One connection to the control socket.

    Role and name come from its CURVE key, never from what it says.  The name of an unknown key is the key.
    """

    routing: bytes
    role: Role
    name: str


class LogState(NamedTuple):
    """What a record log holds: the run's last number, and the last number of each (source, incarnation)."""

    last: int
    journals: dict[tuple[str, int], int]


EMPTY_LOG = LogState(0, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run of the catalogue.  ``verdict`` is "" while it is open; instants are fabric time."""

    run: str
    name: str
    operator: str
    nodes: tuple[str, ...]
    opened_ns: int
    lease_s: float
    session: str  # of its controller
    verdict: str
    log: LogState


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What operators and runs have said of a node; it is kept over restarts.  Empty: nothing."""

    labels: tuple[str, ...] = ()
    drained_by: str = ""
    drained_why: str = ""
    drained_ns: int = 0
    dirty_run: str = ""  # whose reset did not succeed there, and it was not cleaned since
    dirty_why: str = ""
    dirty_ns: int = 0


# --- to peers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message by control.  If it cannot go now: `Broker.unreachable`."""

    peer: Peer
    message: Message


@dataclass(frozen=True, slots=True)
class ToNode:
    """Send a message to a node, wherever it is connected; nothing if it is not.  Only between machines."""

    node: str
    message: Message


@dataclass(frozen=True, slots=True)
class ToController:
    """Send a message to the controller of a run, if it is connected.  Only between machines."""

    run: str
    message: Message


@dataclass(frozen=True, slots=True)
class PublishGo:
    """Broadcast on the go socket."""

    message: Go | Abort


@dataclass(frozen=True, slots=True)
class PublishBeacon:
    """Broadcast on the feed, under the run's topic."""

    message: Beacon


# --- records ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Store:
    """Append an entry to the run's record log, publish it on the feed, commit soon.

    ``batch`` is the frame of a `Batch` that begins with ``head.first``.  ``rows`` go into the catalogue
    first: a broker that dies in between gets the batch again, and a row may be written twice.  Answer:
    `Broker.committed` when the entry is durable.  While it cannot be written the shell keeps it, reads no
    more of the sink and calls `Broker.stall`.
    """

    run: str
    head: EntryHead
    batch: Bytes
    payload: Bytes
    rows: tuple[Indexed, ...] = ()


# --- catalogue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRun:
    """Save a new run and make its record log.  Answer: `Broker.run_saved` or `Broker.run_not_saved`."""

    request: OpenRun
    facts: RunFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveVerdict:
    """Save the end of a run.  Answer: `Broker.verdict_saved`; none if it failed, then it is asked again."""

    run: str
    verdict: str
    result: str
    closed_ns: int
    last: int  # the run's number of its last record


@dataclass(frozen=True, slots=True)
class SaveNode:
    """Save what a node says of itself."""

    hello: AgentHello
    heard_ns: int


@dataclass(frozen=True, slots=True)
class SaveHeard:
    """Save when nodes were last heard of, in fabric time: a restarted broker tells people."""

    heard_ns: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveAccess:
    """Keep how keys and invitations are from now on, all or nothing, and let the gate know.

    A key that is revoked loses its connections.  Answer: `Broker.access_saved`; if it failed, the peer is
    told so, and an expiry is in force all the same.
    """

    keys: tuple[KeyInfo, ...] = ()
    invitations: tuple[InvitationInfo, ...] = ()
    gone: tuple[str, ...] = ()  # keys and digests of invitations that are forgotten
    peer: Peer | None = None  # who asked for it
    answer: Message | None = None  # to that peer


@dataclass(frozen=True, slots=True)
class SaveMarks:
    """Save the marks of nodes.  Answer: `Broker.marks_saved`; if it failed, `Denied` to who asked."""

    marks: dict[str, Marks]
    peer: Peer | None = None  # who asked for it; None: nobody did
    request: int = 0


@dataclass(frozen=True, slots=True)
class EraseRun:
    """Delete a closed run with its records.  Answer: `Done`, or `Denied`, to who asked."""

    peer: Peer | None  # None: nobody asked, it is not kept any more
    request: int
    run: str


@dataclass(frozen=True, slots=True)
class FindRun:
    """Look a run up in the catalogue.  Answer: `Broker.run_found`."""

    run: str


@dataclass(frozen=True, slots=True)
class AnswerReplay:
    """Read the record log and answer: the entries, then `ReplayEnd`; or `Denied`."""

    peer: Peer
    request: Replay


@dataclass(frozen=True, slots=True)
class AnswerRuns:
    """Read the catalogue and answer with `Runs`."""

    peer: Peer
    request: RunsRequest
    heard_ns: Mapping[str, int] = field(default_factory=dict)
    """When the controllers of the open runs were last heard of, in fabric time."""


@dataclass(frozen=True, slots=True)
class AnswerRun:
    """Read the catalogue and answer with `RunDetails`, or `Denied`."""

    peer: Peer
    request: RunRequest


@dataclass(frozen=True, slots=True)
class AnswerDocument:
    """Read the catalogue and answer with `Document`, or `Denied`."""

    peer: Peer
    request: DocumentRequest


@dataclass(frozen=True, slots=True)
class Note:
    """Log an event; ``refused`` is counted and logged at a limited rate."""

    event: str
    peer: str
    detail: str
    refused: bool = False


Effect = (
    Send
    | ToNode
    | ToController
    | PublishGo
    | PublishBeacon
    | Store
    | SaveRun
    | SaveVerdict
    | SaveNode
    | SaveHeard
    | SaveAccess
    | SaveMarks
    | EraseRun
    | FindRun
    | AnswerReplay
    | AnswerRuns
    | AnswerRun
    | AnswerDocument
    | Note
)
