"""A phase from the go to its end, and the end of a node's part."""

from dataclasses import dataclass
from typing import ClassVar

from fabric.protocol.numbers import Count, Instant, Seconds, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPhase:
    """Controller to broker: all are ready; start them.  May be repeated until it is answered."""

    kind: ClassVar[str] = "start_phase"

    run: str
    phase: str
    go: Count  # 1 for the first try
    nodes: tuple[str, ...]
    lead_s: Seconds | None  # None: computed
    max_rtt_ns: Instant  # of the nodes, from their `Ready`, and what is added to it
    ready_ns: Span = 0  # from the first `Prepare` to the last `Ready`


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Broker to agents, by the go socket and again by control: start at ``t0_ns`` of fabric time."""

    kind: ClassVar[str] = "go"

    run: str
    phase: str
    go: Count
    epoch: Count
    t0_ns: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Agent to broker: it will start at t0.  Answers `Go`."""

    kind: ClassVar[str] = "confirm"

    run: str
    phase: str
    go: Count
    t0_ns: Instant  # of the go: a broker that died and asks again has another one under the same number


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Agent to broker: it will not start, and why.  Answers `Go`."""

    kind: ClassVar[str] = "declined"

    run: str
    phase: str
    go: Count
    sentence: str
    late: bool = False  # because it came too late


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Broker to agents, by the go socket and again by control: this go is void."""

    kind: ClassVar[str] = "abort"

    run: str
    phase: str
    go: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Agent to broker.  Answers `Abort`; ``started`` if it came too late: the phase has begun, by any go."""

    kind: ClassVar[str] = "aborted"

    run: str
    phase: str
    go: Count
    started: bool
    t0_ns: Instant = 0  # at which it has, in fabric time


@dataclass(frozen=True, slots=True, kw_only=True)
class GoCommitted:
    """Broker to controller: every node confirmed.  Answers `StartPhase`."""

    kind: ClassVar[str] = "go_committed"

    run: str
    phase: str
    go: Count
    t0_ns: Instant
    lead_ns: Instant
    confirm_ns: Instant = 0  # from the go to the last confirmation; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAborted:
    """Broker to controller: not every node confirmed, so none starts.  Answers `StartPhase`."""

    kind: ClassVar[str] = "go_aborted"

    run: str
    phase: str
    go: Count
    reasons: dict[str, str]  # by node
    started: tuple[str, ...]  # nodes that the abort reached too late
    late: bool = False  # some node would have needed a longer lead, as far as that is known
    t0_ns: Instant = 0  # at which those have started, in fabric time; 0 if that was not one instant
    lead_ns: Instant = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseDone:
    """Agent to controller: this node has done its part of the phase; said once, and may be lost.

    What counts is the record that says so, which comes when it is on the broker's disk.  Until then the next
    phase can be prepared.
    """

    kind: ClassVar[str] = "phase_done"

    run: str
    node: str
    phase: str
    failed: bool


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
    """Agent to broker and controller: nothing of the run is left here, all records are acknowledged.

    Answers `Free` and `Abandon`; also `Prepare` and `Cancel`, if this node has no part of the run (any more).
    """

    kind: ClassVar[str] = "freed"

    run: str
    node: str
    incarnation: Count
    records: Count  # how many the agent's journal of this incarnation had
    reset_failed: (
        bool  # this node is dirty: the last reset that ran here failed, or one that was due did not run
    )
    reset_why: str = ""  # ... and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Broker to agent: the controller's lease has ended: do what `Assign` says."""

    kind: ClassVar[str] = "abandon"

    run: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLost:
    """Broker to controller: a node of your run is not heard of, its agent has ended, or it says nonsense."""

    kind: ClassVar[str] = "node_lost"

    run: str
    node: str
    sentence: str
    gone: bool = False  # its agent said goodbye, or what cannot be: it will not come back into the run


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBack:
    """Broker to controller: the node is heard of again."""

    kind: ClassVar[str] = "node_back"

    run: str
    node: str
    incarnation: Count
    works_on: bool  # it still has its part of the run
    alone: bool = False  # it ends that part by itself, and takes no orders any more


PhaseMessage = (
    StartPhase
    | Go
    | Confirm
    | Declined
    | Abort
    | Aborted
    | GoCommitted
    | GoAborted
    | PhaseDone
    | Cancel
    | Free
    | Freed
    | Abandon
    | NodeLost
    | NodeBack
)
