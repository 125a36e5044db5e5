"""Who is connected: nodes and operators, and when each was last heard of."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from broker.effects import Effect, Marks, Note, Peer, SaveHeard, SaveNode, Send
from broker.limits import FORGET_NS, MAX_NODES, MAX_OPERATORS, SAVE_HEARD_NS, S
from broker.reservations import Reservation
from broker.words import heard
from fabric.protocol.limits import BEAT_S, RETURN_S, SILENCE_S
from fabric.protocol.messages import AgentHello, Beat, Clean, NodeClock, NodeInfo, OperatorHello, Rejected

SILENCE_NS: Final = int(SILENCE_S * S)
BEAT_NS: Final = int(BEAT_S * S)
RETURN_NS: Final = int(RETURN_S * S)


@dataclass(slots=True)
class Node:
    """What is known of a node.  ``peer`` is the connection of its newest hello in this life of the broker."""

    name: str
    labels: tuple[str, ...] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    incarnation: int = 0
    instance: str = ""
    runs: frozenset[str] = frozenset()  # that it said it works for
    peer: Peer | None = None
    heard_ns: int = 0  # fabric time; 0: never
    marks: Marks = field(default_factory=Marks)  # what operators and runs have said of it
    listening: bool = False  # its subscription to the go socket has been seen
    clock: NodeClock | None = None  # what it knows of fabric time
    alone: frozenset[str] = frozenset()  # runs whose part it ends by itself
    is_shut_out: bool = False  # its key was revoked, and it has no other
    cleaner: tuple[Peer, Clean] | None = None  # who waits for its being cleaned

    def is_heard(self, now_ns: int) -> bool:
        """Say whether it is connected and was heard of within SILENCE_S."""
        return self.peer is not None and now_ns - self.heard_ns < SILENCE_NS


@dataclass(slots=True)
class Operator:
    """A connection of a controller, a tail or a viewer."""

    peer: Peer
    session: str
    heard_ns: int


class Registry:
    """Knows every node that was ever here, and every connection that has said hello.

    ``now_ns`` is fabric time.  Nodes of earlier lives of the broker come in by the constructor.
    """

    def __init__(self, nodes: Iterable[NodeInfo] = (), now_ns: int = 0) -> None:
        self._nodes = {info.name: _recovered(info) for info in nodes}
        self._operators: dict[bytes, Operator] = {}
        self._next_beat_ns = 0
        self._next_save_ns = now_ns + SAVE_HEARD_NS
        self._expected = _there_last(self._nodes.values())
        self._expected_until_ns = now_ns + RETURN_NS

    @property
    def deadline_ns(self) -> int | None:
        """When the next beat is due; None while nobody is connected."""
        somebody = self._operators or any(node.peer for node in self._nodes.values())
        return self._next_beat_ns if somebody else None

    def node(self, name: str) -> Node | None:
        """Return a node that was ever here."""
        return self._nodes.get(name)

    def names(self) -> list[str]:
        """Return the nodes that were ever here, sorted."""
        return sorted(self._nodes)

    def peer(self, node: str) -> Peer | None:
        """Return a node's connection, if it has one."""
        known = self._nodes.get(node)
        return None if known is None else known.peer

    def operator(self, peer: Peer) -> Operator | None:
        """Return what is known of an operator's connection."""
        return self._operators.get(peer.routing)

    def heard_of(self) -> dict[str, int]:
        """Return when each node was last heard of; nodes that never were are left out."""
        return {node.name: node.heard_ns for node in self._nodes.values() if node.heard_ns}

    def is_listening(self, node: str) -> bool:
        """Say whether the go socket has shown the node's subscription."""
        known = self._nodes.get(node)
        return known is not None and known.listening

    def subscribed(self, node: str, listening: bool) -> None:
        """The go socket has shown a subscription of a node, or its end."""
        known = self._nodes.get(node)
        if known is not None:
            known.listening = listening

    def heard(self, peer: Peer, now_ns: int) -> bool:
        """Note that a peer spoke; return False if its hello is wanted first."""
        if peer.role != "node":
            operator = self._operators.get(peer.routing)
            if operator is None:
                return False
            operator.heard_ns = now_ns
            return True
        known = self._nodes.get(peer.name)
        if known is None or known.peer != peer:
            return False
        known.heard_ns = now_ns
        return True

    def left(self, peer: Peer) -> None:
        """Note that a node's agent has said that it ends."""
        known = self._nodes.get(peer.name)
        if known is not None and known.peer == peer:
            known.peer, known.listening = None, False

    def told_clock(self, node: str, clock: NodeClock | None) -> None:
        """Note what a node says that it knows of fabric time."""
        known = self._nodes.get(node)
        if known is not None:
            known.clock = clock

    def heard_by_sink(self, node: str, now_ns: int) -> None:
        """Note that a node's records came: a busy sink must not make the node look silent."""
        known = self._nodes.get(node)
        if known is not None and known.peer is not None:
            known.heard_ns = now_ns

    def agent_hello(self, peer: Peer, hello: AgentHello, now_ns: int) -> Rejected | list[Effect]:
        """Let a node in, or say why not.  Its earlier connection counts no more."""
        if hello.name != peer.name:
            return _not_allowed(f"this key belongs to node {peer.name}, not to {hello.name!r:.80}")
        known = self._nodes.get(peer.name)
        if known is None:
            if len(self._nodes) >= MAX_NODES:
                return _not_allowed(f"the broker knows {MAX_NODES} nodes already, which is its limit")
            known = self._nodes[peer.name] = Node(peer.name)
        refusal = _refusal(known, hello, now_ns)
        if refusal:
            return Rejected(code="name_in_use", sentence=refusal)
        if known.incarnation != hello.incarnation:
            known.listening = False  # that was its last life's socket
        self._expected.discard(peer.name)
        is_again = known.peer == peer and known.incarnation == hello.incarnation
        _update(known, peer, hello, now_ns)
        # It is said again until it is answered: many agents that come at once must not be more work for that.
        return [] if is_again else [SaveNode(hello, now_ns)]

    def operator_hello(self, peer: Peer, hello: OperatorHello, now_ns: int) -> Rejected | None:
        """Let an operator's connection in, or say why not."""
        if peer.routing not in self._operators and len(self._operators) >= MAX_OPERATORS:
            return _not_allowed(f"{MAX_OPERATORS} operators are connected already, which is the limit")
        self._operators[peer.routing] = Operator(peer, hello.session, now_ns)
        return None

    def ended(self, name: str, run: str) -> None:
        """Note that a node has nothing of a run left."""
        known = self._nodes.get(name)
        if known is not None:
            known.alone -= {run}

    def shut_out(self, name: str, *, is_shut_out: bool) -> None:
        """Note that a node has no key any more, or has one again."""
        known = self._nodes.get(name)
        if known is not None:
            known.is_shut_out = is_shut_out

    def mark(self, name: str, marks: Marks) -> None:
        """Note what operators and runs say of a node, from now on."""
        self._nodes[name].marks = marks

    def info(self, name: str, held: Reservation | None, now_ns: int) -> NodeInfo:
        """Return what operators are told of a node, and who has it reserved."""
        node = self._nodes[name]
        marks = node.marks
        return NodeInfo(
            name=name,
            state=_state(node, held, now_ns),
            expected=self.is_expected(name, now_ns),
            incarnation=node.incarnation,
            labels=(*node.labels, *(label for label in marks.labels if label not in node.labels)),
            addresses=node.addresses,
            facts=node.facts,
            run="" if held is None else held.run,
            heard_ns=node.heard_ns,
            given_labels=marks.labels,
            operator="" if held is None else held.operator,
            since_ns=0 if held is None else held.since_ns,
            drained_by=marks.drained_by,
            drained_why=marks.drained_why,
            drained_ns=marks.drained_ns,
            dirty_run=marks.dirty_run,
            dirty_why=marks.dirty_why,
            dirty_ns=marks.dirty_ns,
            clock=node.clock,
        )

    def is_expected(self, name: str, now_ns: int) -> bool:
        """Say whether a node is to be waited for: it was there when the last life of the broker ended."""
        node = self._nodes.get(name)
        is_early = now_ns < self._expected_until_ns
        return is_early and name in self._expected and node is not None and not node.is_shut_out

    def absence(self, name: str, now_ns: int) -> tuple[Literal["away", "expected"], str] | None:
        """Return the code and the sentence by which a node is refused that is not there; None if it is."""
        node = self._nodes.get(name)
        if node is None or node.is_heard(now_ns):
            return None
        if node.is_shut_out:
            return "away", f"{name} is shut out: its key was revoked; it can join again with a new token"
        if self.is_expected(name, now_ns):
            return "expected", f"{name} has not come back since the broker's start"
        return "away", f"{name} is away, {heard(node.heard_ns, now_ns)}"

    def expire(self, now_ns: int) -> list[Effect]:
        """Send the beats that are due and forget operators that left.  Safe to call at any time."""
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return []
        self._next_beat_ns = now_ns + BEAT_NS
        gone = [operator for operator in self._operators.values() if now_ns - operator.heard_ns >= FORGET_NS]
        for operator in gone:
            del self._operators[operator.peer.routing]
        peers = [node.peer for node in self._nodes.values() if node.peer and node.is_heard(now_ns)]
        peers += [operator.peer for operator in self._operators.values()]
        effects: list[Effect] = [Note("operator_forgotten", operator.peer.name, "") for operator in gone]
        if now_ns >= self._next_save_ns:
            self._next_save_ns = now_ns + SAVE_HEARD_NS
            effects.append(SaveHeard(self.heard_of()))
        return effects + [Send(peer, Beat()) for peer in peers]


def _state(
    node: Node, held: Reservation | None, now_ns: int
) -> Literal["free", "busy", "away", "revoked", "drained", "dirty"]:
    if not node.is_heard(now_ns):
        return "revoked" if node.is_shut_out else "away"
    if held is not None:
        return "busy"
    if node.marks.dirty_run:
        return "dirty"
    return "drained" if node.marks.drained_by else "free"


def _there_last(nodes: Iterable[Node]) -> set[str]:
    """Return the nodes that were heard of when the last life ended, as far as its last notes tell."""
    heard_ns = {node.name: node.heard_ns for node in nodes if node.heard_ns}
    since_ns = max(heard_ns.values(), default=0) - SAVE_HEARD_NS - SILENCE_NS
    return {name for name, at_ns in heard_ns.items() if at_ns >= since_ns}


def _recovered(info: NodeInfo) -> Node:
    marks = Marks(
        labels=info.given_labels,
        drained_by=info.drained_by,
        drained_why=info.drained_why,
        drained_ns=info.drained_ns,
        dirty_run=info.dirty_run,
        dirty_why=info.dirty_why,
        dirty_ns=info.dirty_ns,
    )
    return Node(
        name=info.name,
        marks=marks,
        labels=tuple(label for label in info.labels if label not in info.given_labels),
        addresses=info.addresses,
        facts=info.facts,
        incarnation=info.incarnation,
        heard_ns=info.heard_ns,
    )


def _refusal(known: Node, hello: AgentHello, now_ns: int) -> str:
    """Return why a hello is refused, "" if it is not."""
    if not known.is_heard(now_ns):
        return ""
    if hello.instance != known.instance:
        return (
            f"the name {known.name} is in use by another agent ({heard(known.heard_ns, now_ns)}); "
            f"stop that one or choose another name"
        )
    if hello.incarnation < known.incarnation:
        return f"a newer start of the agent of {known.name} is connected; this one is out of date"
    return ""


def _update(known: Node, peer: Peer, hello: AgentHello, now_ns: int) -> None:
    known.labels = hello.labels
    known.addresses = hello.addresses
    known.facts = hello.facts
    known.incarnation = hello.incarnation
    known.instance = hello.instance
    known.runs = frozenset(hello.runs)
    known.alone = frozenset(hello.alone)
    known.peer, known.clock = peer, None
    known.heard_ns = now_ns


def _not_allowed(sentence: str) -> Rejected:
    return Rejected(code="not_allowed", sentence=sentence)
