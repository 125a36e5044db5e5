"""What is done with records, and with those who want to read them."""

from dataclasses import replace

from broker import records
from broker.archive import Then
from broker.effects import AnswerReplay, AnswerRuns, Bytes, Effect, Note, Peer, RunFacts, Send, ToNode
from broker.limits import RUNS_LIMIT
from broker.open_runs import denied_use
from broker.parts import Parts
from fabric.errors import DecodeError
from fabric.protocol.limits import REPLAY_BYTES, SKIM_BYTES
from fabric.protocol.messages import (
    Acknowledged,
    Append,
    Batch,
    Denied,
    Forget,
    JournalHead,
    Replay,
    RunsRequest,
)
from fabric.protocol.names import CONTROLLER, RUN


def journal_head(parts: Parts, node: str, head: JournalHead, now_ns: int) -> list[Effect]:
    """Tell a node how far one of its journals is stored, or that it can go nowhere."""
    if RUN.fullmatch(head.run) is None:
        return [ToNode(node, Forget(run=head.run, incarnation=head.incarnation))]

    def then(facts: RunFacts | None, _: int) -> list[Effect]:
        if facts is None or node not in facts.nodes:
            return [ToNode(node, Forget(run=head.run, incarnation=head.incarnation))]
        parts.sink.open(head.run, facts.log)
        number = parts.sink.durable(head.run, node, head.incarnation)
        return [ToNode(node, Acknowledged(run=head.run, incarnation=head.incarnation, number=number))]

    return _with_facts(parts, head.run, then, now_ns)


def batch(  # noqa: PLR0917 - one call per batch on the way of the records
    parts: Parts, node: str, message: Batch, frame: Bytes, payload: Bytes, now_ns: int
) -> list[Effect]:
    """Take records of a node: of the run that has it, or late ones of any run that had it.

    Raises:
        DecodeError: If the batch is wrong in itself; nothing of it is stored.
    """
    records.check(node, message, len(payload))
    parts.registry.heard_by_sink(node, now_ns)
    run = parts.runs.get(message.run)
    if run is not None and node in run.parts:
        effects = run.node_heard(node, now_ns)
        return effects + _received(parts, node, message, frame, payload, now_ns)

    def then(facts: RunFacts | None, then_ns: int) -> list[Effect]:
        if facts is None:
            return [ToNode(node, Forget(run=message.run, incarnation=message.incarnation))]
        if node not in facts.nodes:
            refused = Note("batch_refused", node, f"{message.run} does not have this node", refused=True)
            return [refused, ToNode(node, Forget(run=message.run, incarnation=message.incarnation))]
        parts.sink.open(message.run, facts.log)
        return _received(parts, node, message, frame, payload, then_ns)

    return _with_facts(parts, message.run, then, now_ns)


def _received(  # noqa: PLR0917 - as above
    parts: Parts, node: str, message: Batch, frame: Bytes, payload: Bytes, now_ns: int
) -> list[Effect]:
    """Store records of a node, unless that has too many journals in the run."""
    if not (why := parts.sink.refuses(message.run, node, message.incarnation)):
        return parts.sink.receive(node, message, frame, payload, now_ns)
    refused = Note("batch_refused", node, why, refused=True)
    forget = ToNode(node, Forget(run=message.run, incarnation=message.incarnation))
    run, said = parts.runs.holding(node), f"what {node} reports is refused: {why}"
    is_present = run is not None and run.facts.run == message.run
    return [refused, forget, *(parts.runs.broken(node, said, now_ns) if is_present else ())]


def append(parts: Parts, peer: Peer, message: Append, now_ns: int) -> list[Effect]:
    """Take records of a run itself from its controller."""
    try:
        records.check(CONTROLLER, message, 0)
        records.check_incarnation(message, parts.settings.epoch)
    except DecodeError as error:
        return _append_refused(peer, message, str(error))
    run = parts.runs.get(message.run)
    if run is None:
        sentence = f"run {message.run} is not open"
        return [Send(peer, Denied(request=0, run=message.run[:80], code="closed", sentence=sentence))]
    refusal = denied_use(run, peer, parts.session(peer), now_ns)
    if refusal:
        return [Send(peer, refusal)]
    if why := parts.sink.refuses(message.run, CONTROLLER, message.incarnation):
        return _append_refused(peer, message, why)
    return parts.adopt(run, peer, now_ns) + parts.sink.receive(CONTROLLER, message, None, b"", now_ns)


def _append_refused(peer: Peer, message: Append, why: str) -> list[Effect]:
    """Say so: a controller that only waits would say the same for ever."""
    sentence = f"what the run reports of itself is refused: {why}"
    denied = Denied(request=0, run=message.run[:80], code="refused", sentence=sentence)
    return [Note("append_refused", peer.name, why, refused=True), Send(peer, denied)]


def replay(parts: Parts, peer: Peer, message: Replay, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Have stored records read; every operator may read every run."""
    if RUN.fullmatch(message.run) is None:
        sentence = f"{message.run!r:.80} is not the id of a run"
        return [Send(peer, Denied(request=message.request, code="unknown_run", sentence=sentence))]
    limit_bytes = SKIM_BYTES if message.without_bytes else REPLAY_BYTES
    wanted = replace(
        message, number=max(message.number, 1), limit_bytes=min(max(message.limit_bytes, 1), limit_bytes)
    )
    return [AnswerReplay(peer, wanted)]


def runs_request(parts: Parts, peer: Peer, message: RunsRequest, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Have the catalogue read."""
    limit = min(max(message.limit, 1), RUNS_LIMIT)
    wanted = RunsRequest(request=message.request, run=message.run, limit=limit)
    return [AnswerRuns(peer, wanted, {run.facts.run: run.heard_ns for run in parts.runs})]


def _with_facts(parts: Parts, name: str, then: Then, now_ns: int) -> list[Effect]:
    run = parts.runs.get(name)
    return parts.archive.ask(name, then, now_ns) if run is None else then(run.facts, now_ns)
