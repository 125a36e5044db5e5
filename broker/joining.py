"""What is done with the words by which peers join, and show that they live."""

from broker import upkeep
from broker.effects import Effect, Note, Peer, Send
from broker.limits import HELLO_BYTES, HELLO_JOURNALS, NODES_BYTES
from broker.parts import Parts
from broker.recording import journal_head
from broker.sizes import size_of, size_of_hello
from fabric.protocol.limits import MAX_WHY_CHARS, PROTOCOL_VERSION
from fabric.protocol.messages import (
    AgentHello,
    Beat,
    Enrol,
    Goodbye,
    NodeInfo,
    Nodes,
    NodesRequest,
    OperatorHello,
    Probe,
    ProbeReply,
    Rejected,
    Welcome,
)
from fabric.protocol.names import WORD, is_address


def enrol(parts: Parts, peer: Peer, message: Enrol, now_ns: int) -> list[Effect]:
    """Let a key be a node's, an operator's or a viewer's."""
    return parts.access.enrol(peer, message, now_ns)


def agent_hello(parts: Parts, peer: Peer, message: AgentHello, now_ns: int) -> list[Effect]:
    """Let a node in; tell it how far its journals are stored, and which of its runs are over."""
    size = size_of_hello(message)
    if size > HELLO_BYTES:  # or no answer could tell an operator of this node, nor of any other
        sentence = (
            f"what the agent of {peer.name} says of itself has {size} bytes, over the limit of {HELLO_BYTES}"
        )
        return _rejected(peer, Rejected(code="malformed", sentence=f"{sentence}: give it fewer labels"))
    for network, address in message.addresses.items():
        if not is_address(address) or (network and not WORD.fullmatch(network)):
            sentence = f"{network!r:.80} = {address!r:.80} is no network and its address"
            return _rejected(peer, Rejected(code="malformed", sentence=sentence))
    verdict = parts.registry.agent_hello(peer, message, now_ns)
    if isinstance(verdict, Rejected):
        return _rejected(peer, verdict)
    effects = [*verdict, Send(peer, _welcome(parts, peer, now_ns))]
    for head in message.journals[:HELLO_JOURNALS]:
        effects += journal_head(parts, peer.name, head, now_ns)
    held = parts.runs.holding(peer.name)
    if held is not None:
        effects += held.node_hello(message, now_ns)
    effects += upkeep.after_hello(parts, message)
    for run in message.runs:
        if held is None or held.facts.run != run:
            effects += parts.runs.leftovers.add(peer.name, run, now_ns)
    return effects


def operator_hello(parts: Parts, peer: Peer, message: OperatorHello, now_ns: int) -> list[Effect]:
    """Let an operator's or a viewer's connection in; the controller of a run goes on with it."""
    rejected = parts.registry.operator_hello(peer, message, now_ns)
    if rejected is not None:
        return _rejected(peer, rejected)
    effects: list[Effect] = [Send(peer, _welcome(parts, peer, now_ns))]
    if peer.role != "operator":
        return effects  # a viewer may have an operator's name
    for run in parts.runs:
        if run.session and run.session == message.session and run.facts.operator == peer.name:
            effects += run.adopt(peer, message.session, now_ns)
    return effects


def beat(parts: Parts, peer: Peer, message: Beat, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Note what a node knows of the clock; that the peer spoke has been noted."""
    if peer.role == "node":
        parts.registry.told_clock(peer.name, message.clock)
    return []


def goodbye(parts: Parts, peer: Peer, message: Goodbye, now_ns: int) -> list[Effect]:
    """Let a node be away at once: its agent ends."""
    parts.registry.left(peer)
    held = parts.runs.holding(peer.name)
    sentence = f"the agent on {peer.name} has ended: {message.sentence[:MAX_WHY_CHARS]}"
    told = [] if held is None else held.node_left(peer.name, sentence, now_ns)
    return [Note("node_left", peer.name, message.sentence), *told]


def probe(parts: Parts, peer: Peer, message: Probe, now_ns: int) -> list[Effect]:
    """Tell the time.  The shell has read the clock after the probe came, and puts T3 in at the very end.

    So no interval is too narrow, and none is wider for what is done here.
    """
    epoch = parts.settings.epoch
    return [Send(peer, ProbeReply(epoch=epoch, t1_ns=message.t1_ns, t2_ns=now_ns, t3_ns=now_ns))]


def nodes_request(parts: Parts, peer: Peer, message: NodesRequest, now_ns: int) -> list[Effect]:
    """List as many nodes as one answer holds."""
    names = [name for name in parts.registry.names() if name > message.after]
    infos: list[NodeInfo] = []
    room = NODES_BYTES
    for name in names:
        info = parts.registry.info(name, parts.runs.held(name), now_ns)
        room -= size_of(info)
        if room < 0 and infos:
            break
        infos.append(info)
    more = len(infos) < len(names)
    return [Send(peer, Nodes(request=message.request, nodes=tuple(infos), more=more))]


def _welcome(parts: Parts, peer: Peer, now_ns: int) -> Welcome:
    settings = parts.settings
    return Welcome(
        protocol=PROTOCOL_VERSION,
        software=settings.software,
        epoch=settings.epoch,
        name=peer.name,
        go_port=settings.go_port,
        sink_port=settings.sink_port,
        feed_port=settings.feed_port,
        now_ns=now_ns,
    )


def _rejected(peer: Peer, rejected: Rejected) -> list[Effect]:
    return [Note("hello_rejected", peer.name, rejected.sentence, refused=True), Send(peer, rejected)]
