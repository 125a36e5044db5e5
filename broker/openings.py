"""Whether a run can be opened."""

from collections.abc import Callable, Sequence

from broker.limits import LEASE_MAX_S, LEASE_MIN_S, MAX_RUN_NODES
from broker.registry import Registry
from broker.reservations import Reservation, Reservations
from broker.words import listed, when
from fabric.protocol.messages import Denied, OpenRun
from fabric.protocol.names import NODE, RUN


def refusal(message: OpenRun, open_runs: int, max_runs: int) -> Denied | None:
    """Return why the request itself is wrong, or None."""
    if RUN.fullmatch(message.run) is None:
        return denied(message, "invalid", f"{message.run!r:.80} is not the id of a run")
    if not 1 <= len(set(message.nodes)) == len(message.nodes) <= MAX_RUN_NODES:
        return denied(message, "invalid", f"a run has 1 to {MAX_RUN_NODES} nodes, each of them once")
    if not LEASE_MIN_S <= message.lease_s <= LEASE_MAX_S:
        wanted = f"{LEASE_MIN_S:g} to {LEASE_MAX_S:g} s"
        return denied(message, "invalid", f"a lease lasts {wanted}, not {message.lease_s:g} s")
    if open_runs >= max_runs:
        return denied(message, "busy", f"{max_runs} runs are open already, which is the broker's limit")
    return None


def reserve(
    message: OpenRun,
    registry: Registry,
    reservations: Reservations,
    leaving: Callable[[str], str],
    wanted: Reservation,
) -> Denied | None:
    """Reserve all nodes of a run or none; return why it cannot be done, or None if it was.

    Args:
        message: That asks for it.
        registry: Of the nodes.
        reservations: Of all runs.
        leaving: Returns the run that a node ends its part of by itself, or "".
        wanted: What the nodes get; made now, in fabric time.
    """
    now_ns = wanted.since_ns
    unknown = [name for name in message.nodes if registry.node(name) is None]
    if unknown:
        return denied(message, "unknown_node", _unknown(unknown, registry.names()))
    away = [absence for name in message.nodes if (absence := registry.absence(name, now_ns))]
    absent = [found for found in away if found[0] == "away"] or away
    if absent:
        return denied(message, absent[0][0], "; ".join(sentence for _, sentence in absent[:4]))
    drained = [_drained(registry, name) for name in message.nodes]
    kept_off = [sentence for sentence in drained if sentence]
    if kept_off:
        return denied(message, "drained", "; ".join(kept_off[:4]))
    dirty = [] if message.dirty_too else [_dirty(registry, name) for name in message.nodes]
    unclean = [sentence for sentence in dirty if sentence]
    if unclean:
        return denied(message, "dirty", "; ".join(unclean[:4]))
    left = [(name, leaving(name)) for name in message.nodes]
    going = [f"{name} still ends its part of run {run} by itself" for name, run in left if run]
    sentence = "; ".join(going[:4]) or reservations.reserve(message.nodes, wanted)
    return denied(message, "busy", sentence) if sentence else None


def denied(message: OpenRun, code: str, sentence: str) -> Denied:
    """Return the refusal of a request."""
    return Denied(request=message.request, code=code, sentence=sentence)  # type: ignore[arg-type]


def _drained(registry: Registry, name: str) -> str:
    node = registry.node(name)
    if node is None or not node.marks.drained_by:
        return ""
    marks = node.marks
    why = f": {marks.drained_why}" if marks.drained_why else ""
    return f"{name} is drained by {marks.drained_by} since {when(marks.drained_ns)}{why}"


def _dirty(registry: Registry, name: str) -> str:
    node = registry.node(name)
    if node is None or not node.marks.dirty_run:
        return ""
    marks = node.marks
    why = f" ({marks.dirty_why})" if marks.dirty_why else ""
    since = f" since {when(marks.dirty_ns)}" if marks.dirty_ns else ""
    way_out = f"`fabric nodes clean {name}` does it again"
    return f"{name} is dirty{since}: the reset of run {marks.dirty_run} did not succeed{why}; {way_out}"


def _unknown(unknown: Sequence[str], known: Sequence[str]) -> str:
    shown = ", ".join(name if NODE.fullmatch(name) else f"{name!r:.80}" for name in unknown[:8])
    have = f"nodes: {listed(known)}" if known else "no node has joined yet"
    return f"no node {shown} has ever been here; {have}"
