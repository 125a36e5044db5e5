"""Who is there: enrolment, hellos, liveness, and the time."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from fabric.protocol.messages.clock import NodeClock
from fabric.protocol.numbers import Count, Instant, Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """Unknown key to broker: let this key be the node ``name``.  May be repeated until it is answered.

    With ``login`` it is a person's, who becomes an operator or a viewer, as the invitation says.
    """

    kind: ClassVar[str] = "enrol"

    protocol: Count
    name: str  # a person may leave it out: then it is the invitation's, or the login
    secret: bytes  # from the join token
    login: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """Broker to peer: the key is known from now on.  Answers `Enrol`."""

    kind: ClassVar[str] = "enrolled"

    name: str
    role: Literal["node", "operator", "viewer"] = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """Part of `AgentHello`: a journal that the agent still holds."""

    run: str
    incarnation: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtyRun:
    """Part of `AgentHello`: a run that left this node dirty, for its reset did not succeed."""

    run: str
    why: str
    since_ns: Instant  # fabric time


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """Agent to broker, first on every connection."""

    kind: ClassVar[str] = "agent_hello"

    protocol: Count
    software: str  # version of testfabric
    name: str
    instance: str  # of the state directory; a lock there keeps a second agent off
    incarnation: Count  # counts the starts of this agent
    labels: tuple[str, ...]
    addresses: dict[str, str]  # network name to address; "" is the default one
    facts: dict[str, str]
    journals: tuple[JournalHead, ...]
    runs: tuple[str, ...]  # that it works for
    alone: tuple[str, ...] = ()  # runs whose part it ends by itself, for nobody leads it
    dirty: tuple[DirtyRun, ...] = ()
    cleaned: tuple[str, ...] = ()  # runs that had left it dirty, and do no more: the last few


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorHello:
    """Controller, tail or viewer to broker, first on every connection."""

    kind: ClassVar[str] = "operator_hello"

    protocol: Count
    software: str
    program: str
    session: str  # random; the same over reconnects of one process
    user: str  # for people; what may be done depends on the key
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Broker to peer: you are ``name``.  Answers a hello."""

    kind: ClassVar[str] = "welcome"

    protocol: Count
    software: str
    epoch: Count  # which life of the broker's clock
    name: str
    go_port: Port
    sink_port: Port
    feed_port: Port
    now_ns: Instant = 0  # fabric time, older by the way that this took


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Broker to peer: no, and why, in a sentence for a person."""

    kind: ClassVar[str] = "rejected"

    code: Literal["version", "name_in_use", "not_allowed", "bad_token", "malformed", "revoked"]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloWanted:
    """Broker to peer that it has not met in this life: say hello again."""

    kind: ClassVar[str] = "hello_wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Both ways, from the main loop, every BEAT_S."""

    kind: ClassVar[str] = "beat"

    clock: NodeClock | None = None  # of an agent that knows this life of the broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """Agent to broker, last on a connection: this agent ends, so it is away from now on."""

    kind: ClassVar[str] = "goodbye"

    sentence: str  # why


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Agent or controller or viewer to broker: what time is it?"""

    kind: ClassVar[str] = "probe"

    t1_ns: Instant  # sender's monotonic clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReply:
    """Broker to whoever asked: T2 and T3 (RFC 5905) in fabric time.  Answers `Probe`."""

    kind: ClassVar[str] = "probe_reply"

    epoch: Count
    t1_ns: Instant
    t2_ns: Instant
    t3_ns: Instant


JoiningMessage = (
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
)
