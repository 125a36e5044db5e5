"""Which nodes there are, and whose they are."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from fabric.protocol.messages.clock import NodeClock
from fabric.protocol.numbers import Count, Instant, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """Part of `Nodes` and `RunOpened`: what the broker knows of a node.  Instants: fabric time, 0: never."""

    name: str
    # Drained or dirty: it is there, but not to be had.
    state: Literal["free", "busy", "away", "revoked", "drained", "dirty"]
    incarnation: Count
    labels: tuple[str, ...]  # its own, then those that operators gave it
    addresses: dict[str, str]
    facts: dict[str, str]
    run: str  # that has it reserved, or ""
    heard_ns: Instant  # the last word from it
    given_labels: tuple[str, ...] = ()  # those of ``labels`` that operators gave it
    operator: str = ""  # of the run that has it
    since_ns: Instant = 0  # that run has it
    drained_by: str = ""  # operator who keeps new runs off it, or ""
    drained_why: str = ""
    drained_ns: Instant = 0
    dirty_run: str = ""  # whose reset did not succeed there, and it was not cleaned since
    dirty_why: str = ""
    dirty_ns: Instant = 0  # since when
    clock: NodeClock | None = None  # by its last beat in this life of the broker
    expected: bool = False  # away; the broker has just started, and gives it time to come back


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesRequest:
    """Operator or viewer to broker: nodes by name, from the one after ``after`` on."""

    kind: ClassVar[str] = "nodes_request"

    request: Count
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Broker to operator.  Answers `NodesRequest`."""

    kind: ClassVar[str] = "nodes"

    request: Count
    nodes: tuple[NodeInfo, ...]
    more: bool = False  # ask on after the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Operator to broker: keep new runs off these nodes, or let them in again.  May be repeated."""

    kind: ClassVar[str] = "drain"

    request: Count
    nodes: tuple[str, ...]
    drained: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Operator to broker: give these nodes labels, and take given ones away.  May be repeated."""

    kind: ClassVar[str] = "label"

    request: Count
    nodes: tuple[str, ...]
    add: tuple[str, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Operator to broker, and on to the agent: do again what the reset of a dirty node owes.

    May be repeated until it is answered, which is when that has ended.
    """

    kind: ClassVar[str] = "clean"

    request: Count
    node: str
    clean: str  # random; the same when it is repeated
    force: bool  # forget what is owed: a person has cleaned up
    run: str = ""  # by which the broker holds the node for dirty, and says so to the agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Agent to broker: nothing is owed any more, or ``why`` says what failed again.  Answers `Clean`."""

    kind: ClassVar[str] = "cleaned"

    node: str
    clean: str  # "": nobody has asked, a reset that was owed has gone well
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Broker to operator: it is done, and kept.

    Answers `Clean`, `Drain`, `Label`, `DeleteRun`, `Invite`, `Revoke`, `Rotate` and `RotateNode`.
    """

    kind: ClassVar[str] = "done"

    request: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """Controller to broker: reserve all these nodes, or none.  May be repeated."""

    kind: ClassVar[str] = "open_run"

    request: Count
    run: str
    name: str  # of the trial
    nodes: tuple[str, ...]
    trial: str  # the file's text
    plan: str  # JSON
    lease_s: Seconds  # of the controller
    dirty_too: bool = False  # a command that a person gives may be what cleans a dirty node


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpened:
    """Broker to controller: the nodes are yours.  Answers `OpenRun`.

    Of very many nodes facts, labels and addresses are left out; `Nodes` has them.
    """

    kind: ClassVar[str] = "run_opened"

    request: Count
    run: str
    nodes: tuple[NodeInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Broker to operator: the request cannot be done, and why, in a sentence."""

    kind: ClassVar[str] = "denied"

    request: Count
    code: Literal[
        "busy",
        "away",
        "expected",  # the broker has just started; ask again
        "drained",
        "dirty",
        "unknown_node",
        "unknown_run",
        "unknown_key",
        "not_yours",
        "open",
        "closed",
        "invalid",
        "no_room",
        "refused",
    ]
    sentence: str
    run: str = ""  # that an unnumbered request (0) was about


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRun:
    """Controller to broker: the verdict is known; release the nodes.  May be repeated."""

    kind: ClassVar[str] = "close_run"

    request: Count
    run: str
    verdict: str
    result: str  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClosed:
    """Broker to controller.  Answers `CloseRun`."""

    kind: ClassVar[str] = "run_closed"

    request: Count
    run: str


ReservationMessage = (
    NodesRequest
    | Nodes
    | Drain
    | Label
    | Clean
    | Cleaned
    | Done
    | OpenRun
    | RunOpened
    | Denied
    | CloseRun
    | RunClosed
)
