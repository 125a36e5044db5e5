"""What is done with the words by which operators look after nodes and stored runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from broker.effects import (
    AnswerDocument,
    AnswerRun,
    Effect,
    EraseRun,
    Marks,
    Peer,
    RunFacts,
    SaveMarks,
    Send,
    ToNode,
)
from broker.limits import MAX_LABELS, MAX_MARKED
from broker.parts import Parts
from broker.registry import Node
from broker.words import listed
from fabric.protocol.limits import MAX_WHY_CHARS
from fabric.protocol.messages import (
    AgentHello,
    Clean,
    Cleaned,
    DeleteRun,
    Denied,
    DocumentRequest,
    Done,
    Drain,
    Freed,
    Label,
    RunRequest,
)
from fabric.protocol.names import RUN, WORD


def drain(parts: Parts, peer: Peer, message: Drain, now_ns: int) -> list[Effect]:
    """Keep new runs off some nodes, or let them in again; a run that has one goes on."""
    if len(message.why) > MAX_WHY_CHARS:
        return _denied(peer, message.request, "invalid", f"a reason has at most {MAX_WHY_CHARS} characters")

    def drained(_: str, marks: Marks) -> Marks:
        if not message.drained:
            return replace(marks, drained_by="", drained_why="", drained_ns=0)
        return replace(marks, drained_by=peer.name, drained_why=message.why, drained_ns=now_ns)

    return _change(parts, peer, message, drained)


def label(parts: Parts, peer: Peer, message: Label, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Give nodes labels beside their own, and take given ones away."""
    wrong = [word for word in message.add if not WORD.fullmatch(word)]
    if wrong:
        return _denied(peer, message.request, "invalid", f"{wrong[0]!r:.80} cannot be a label")
    own = [
        f"{word} is a label that the agent of {name} gives it; start the agent without it"
        for name in message.nodes
        for word in message.remove
        if (node := parts.registry.node(name)) and word in node.labels and word not in node.marks.labels
    ]
    if own:
        return _denied(peer, message.request, "invalid", "; ".join(own[:4]))

    def labelled(_: str, marks: Marks) -> Marks:
        kept = [word for word in marks.labels if word not in message.remove]
        return replace(marks, labels=tuple(dict.fromkeys([*kept, *message.add])))

    return _change(parts, peer, message, labelled)


def marks_saved(parts: Parts, effect: SaveMarks) -> list[Effect]:
    """Let marks count that are kept, and say so."""
    for name, marks in effect.marks.items():
        parts.registry.mark(name, marks)
    return [] if effect.peer is None else [Send(effect.peer, Done(request=effect.request))]


def after_reset(parts: Parts, message: Freed, now_ns: int) -> list[Effect]:
    """Note that a node is dirty since its reset failed."""
    if not message.reset_failed:
        return []
    return _dirty(parts, message.node, message.run, message.reset_why, now_ns)


def after_hello(parts: Parts, message: AgentHello) -> list[Effect]:
    """Note what a node says of itself: the word of it that came first may have been lost.

    Nothing that is owed is not enough to be clean: an agent whose state directory was lost says so, too.
    """
    node = parts.registry.node(message.name)
    if node is None or any(left.run == node.marks.dirty_run for left in message.dirty):
        return []
    if message.dirty:
        left = message.dirty[0]
        return _dirty(parts, message.name, left.run, left.why, left.since_ns)
    return _clean(node) if node.marks.dirty_run in message.cleaned else []


def _dirty(parts: Parts, name: str, run: str, why: str, since_ns: int) -> list[Effect]:
    node = parts.registry.node(name)
    if node is None or node.marks.dirty_run == run:
        return []
    marks = replace(node.marks, dirty_run=run[:80], dirty_why=why[:MAX_WHY_CHARS], dirty_ns=since_ns)
    return [SaveMarks({name: marks})]


def _clean(node: Node, asker: Peer | None = None, request: int = 0) -> list[Effect]:
    marks = replace(node.marks, dirty_run="", dirty_why="", dirty_ns=0)
    return [SaveMarks({node.name: marks}, asker, request)]


def clean(parts: Parts, peer: Peer, message: Clean, now_ns: int) -> list[Effect]:
    """Have a dirty node do again what it owes, or forget it; the answer comes when it has."""
    node = parts.registry.node(message.node)
    if node is None:
        return _denied(peer, message.request, "unknown_node", f"no node {message.node!r:.80} was ever here")
    if not node.marks.dirty_run:
        return [Send(peer, Done(request=message.request))]
    absence = parts.registry.absence(node.name, now_ns)
    if absence is not None:
        code, sentence = absence
        return _denied(peer, message.request, code, f"{sentence}: it can be cleaned when it is back")
    held = parts.runs.held(message.node)
    if held is not None:
        return _denied(peer, message.request, "busy", f"{node.name} is in use by run {held.run}")
    node.cleaner = (peer, message)
    return [ToNode(node.name, replace(message, run=node.marks.dirty_run))]


def cleaned(parts: Parts, peer: Peer, message: Cleaned, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Note that a node is clean, or what has failed there again; tell who waits for it."""
    node = parts.registry.node(peer.name)
    if node is None or message.node != peer.name:
        return []
    waiting, node.cleaner = node.cleaner, None
    if waiting is not None and waiting[1].clean != message.clean:
        waiting, node.cleaner = None, waiting
    asker, request = (None, 0) if waiting is None else (waiting[0], waiting[1].request)
    if not message.why:
        return _clean(node, asker, request)
    effects: list[Effect] = []
    if node.marks.dirty_run:
        effects = [SaveMarks({node.name: replace(node.marks, dirty_why=message.why[:MAX_WHY_CHARS])})]
    return effects + ([] if asker is None else _denied(asker, request, "dirty", message.why))


def delete_run(parts: Parts, peer: Peer, message: DeleteRun, now_ns: int) -> list[Effect]:
    """Delete a closed run; every operator may, as every operator may run any program."""
    if parts.runs.get(message.run) is not None:
        sentence = f"run {message.run} is open: it can be removed when it is over"
        return _denied(peer, message.request, "open", sentence)
    if RUN.fullmatch(message.run) is None:
        return _unknown_run(peer, message.request, message.run)

    def then(facts: RunFacts | None, _: int) -> list[Effect]:
        if facts is None:
            return _unknown_run(peer, message.request, message.run)
        return _erase(parts, message.run, peer, message.request)

    return parts.archive.ask(message.run, then, now_ns)


def retire_run(parts: Parts, run: str) -> list[Effect]:
    """Delete a run that is not kept any more, unless it is open."""
    return [] if parts.runs.get(run) is not None else _erase(parts, run)


def _erase(parts: Parts, run: str, peer: Peer | None = None, request: int = 0) -> list[Effect]:
    parts.archive.forget(run)
    parts.sink.close(run)
    return [EraseRun(peer, request, run)]


def run_request(parts: Parts, peer: Peer, message: RunRequest, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Have the catalogue read; every operator may read every run."""
    return [AnswerRun(peer, message)]


def document_request(
    parts: Parts,  # noqa: ARG001
    peer: Peer,
    message: DocumentRequest,
    now_ns: int,  # noqa: ARG001
) -> list[Effect]:
    """Have a stored text read."""
    return [AnswerDocument(peer, message)]


def _change(
    parts: Parts, peer: Peer, message: Drain | Label, change: Callable[[str, Marks], Marks]
) -> list[Effect]:
    """Change the marks of all the nodes, or of none."""
    refusal = _wrong_nodes(parts, message.nodes)
    if refusal:
        return _denied(peer, message.request, *refusal)
    found: dict[str, Marks] = {}
    for name in message.nodes:
        node = parts.registry.node(name)
        assert node is not None, "that was looked at"
        found[name] = change(name, node.marks)
    if any(len(marks.labels) > MAX_LABELS for marks in found.values()):
        return _denied(peer, message.request, "invalid", f"a node is given at most {MAX_LABELS} labels")
    return [SaveMarks(found, peer, message.request)]


def _wrong_nodes(parts: Parts, names: Sequence[str]) -> tuple[str, str] | None:
    if not 1 <= len(names) <= MAX_MARKED:
        return "invalid", f"name 1 to {MAX_MARKED} nodes"
    unknown = [f"{name:.63}" for name in names if parts.registry.node(name) is None]
    if unknown:
        known = listed(parts.registry.names()) or "none has joined yet"
        return "unknown_node", f"no node {listed(unknown)} has ever been here; nodes: {known}"
    return None


def _unknown_run(peer: Peer, request: int, run: str) -> list[Effect]:
    return _denied(peer, request, "unknown_run", f"there is no run {run!r:.80}")


def _denied(peer: Peer, request: int, code: str, sentence: str) -> list[Effect]:
    return [Send(peer, Denied(request=request, code=code, sentence=sentence))]  # type: ignore[arg-type]
