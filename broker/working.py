"""What is done with the words of a run: its opening and closing, its phases, its goes."""

from broker import upkeep
from broker.effects import Effect, Note, Peer, Send, ToController, ToNode
from broker.open_runs import denied_use
from broker.parts import Parts
from fabric.protocol.messages import (
    Aborted,
    Assign,
    Assigned,
    Cancel,
    CloseRun,
    Confirm,
    Declined,
    Denied,
    FilePart,
    FileRequest,
    Free,
    Freed,
    OpenRun,
    PhaseDone,
    Prepare,
    Ready,
    Refused,
    StartPhase,
)


def open_run(parts: Parts, peer: Peer, message: OpenRun, now_ns: int) -> list[Effect]:
    """Reserve nodes for a run."""
    return parts.runs.open(peer, parts.session(peer), message, now_ns)


def close_run(parts: Parts, peer: Peer, message: CloseRun, now_ns: int) -> list[Effect]:
    """Keep the verdict and release the nodes."""
    return parts.runs.close(peer, parts.session(peer), message, now_ns)


def order(
    parts: Parts, peer: Peer, message: Assign | Prepare | FilePart | Cancel | Free, now_ns: int
) -> list[Effect]:
    """Pass an order of the controller on to a node of its run."""
    run = parts.runs.get(message.run)
    if run is None:
        return [_not_open(peer, message.run)]
    refusal = denied_use(run, peer, parts.session(peer), now_ns)
    if refusal:
        return [Send(peer, refusal)]
    if message.node not in run.parts:
        sentence = f"run {message.run} does not have the node {message.node!r:.80}"
        return [Send(peer, Denied(request=0, run=message.run, code="not_yours", sentence=sentence))]
    if isinstance(message, Assign):
        run.assigned(message.node)
    return [*parts.adopt(run, peer, now_ns), ToNode(message.node, message)]


def start_phase(parts: Parts, peer: Peer, message: StartPhase, now_ns: int) -> list[Effect]:
    """Begin a go."""
    run = parts.runs.get(message.run)
    if run is None:
        return [_not_open(peer, message.run)]
    refusal = denied_use(run, peer, parts.session(peer), now_ns)
    if refusal:
        return [Send(peer, refusal)]
    effects = parts.adopt(run, peer, now_ns)
    begun = run.start_phase(message, parts.settings.epoch, now_ns, parts.registry.is_listening)
    if isinstance(begun, str):
        return [*effects, Send(peer, Denied(request=0, run=message.run, code="invalid", sentence=begun))]
    return effects + begun


def word(
    parts: Parts, peer: Peer, message: Assigned | FileRequest | Ready | Refused | PhaseDone, now_ns: int
) -> list[Effect]:
    """Pass a node's word on to the controller of its run."""
    if message.node != peer.name:
        return [_for_another(peer, message.node, message.kind)]
    run = parts.runs.get(message.run)
    if run is None or peer.name not in run.parts:
        return parts.runs.leftovers.add(peer.name, message.run, now_ns)
    if isinstance(message, Assigned):
        run.assigned(peer.name)
    return [ToController(message.run, message)]


def freed(parts: Parts, peer: Peer, message: Freed, now_ns: int) -> list[Effect]:
    """Note that a node has nothing of a run left, and tell the controller."""
    if message.node != peer.name:
        return [_for_another(peer, message.node, message.kind)]
    parts.runs.leftovers.freed(peer.name, message.run)
    parts.registry.ended(peer.name, message.run)
    marked = upkeep.after_reset(parts, message, now_ns)
    run = parts.runs.get(message.run)
    if run is None or peer.name not in run.parts:
        return marked
    run.freed(message)
    parts.runs.look_again(now_ns)
    return [ToController(message.run, message), *marked]


def go_answer(parts: Parts, peer: Peer, message: Confirm | Declined | Aborted, now_ns: int) -> list[Effect]:
    """Take a node's answer to a go."""
    run = parts.runs.get(message.run)
    return [] if run is None else run.answer_go(peer.name, message, now_ns)


def _not_open(peer: Peer, run: str) -> Send:
    sentence = f"run {run!r:.80} is not open"
    return Send(peer, Denied(request=0, run=run[:80], code="closed", sentence=sentence))


def _for_another(peer: Peer, node: str, kind: str) -> Note:
    return Note("message_refused", peer.name, f"{kind} speaks for node {node!r:.80}", refused=True)
