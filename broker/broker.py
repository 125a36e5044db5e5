"""The broker: one machine made of the parts, with a table of what is done with which message.

Every method takes ``now_ns``, fabric time, and returns effects (see broker.effects) that are to be carried
out in their order.  Nothing here reads a clock, a socket or a file.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from broker import joining, keeping, recording, upkeep, working
from broker.access import Access
from broker.archive import Archive
from broker.effects import (
    Bytes,
    Effect,
    LogState,
    Note,
    Peer,
    PublishBeacon,
    RunFacts,
    SaveAccess,
    SaveMarks,
    Send,
    ToController,
    ToNode,
)
from broker.gate import allows
from broker.limits import STILL_NS, S
from broker.open_runs import OpenRuns
from broker.parts import Handler, Parts, Settings
from broker.registry import BEAT_NS, Registry
from broker.sink import Sink
from fabric.protocol import messages as m

__all__ = ["TABLE", "Broker", "Settings"]

TABLE: Final[Mapping[type, Handler]] = {
    m.Enrol: joining.enrol,
    m.AgentHello: joining.agent_hello,
    m.OperatorHello: joining.operator_hello,
    m.Beat: joining.beat,
    m.Goodbye: joining.goodbye,
    m.Probe: joining.probe,
    m.NodesRequest: joining.nodes_request,
    m.OpenRun: working.open_run,
    m.CloseRun: working.close_run,
    m.Assign: working.order,
    m.Prepare: working.order,
    m.FilePart: working.order,
    m.Cancel: working.order,
    m.Free: working.order,
    m.StartPhase: working.start_phase,
    m.Assigned: working.word,
    m.FileRequest: working.word,
    m.Ready: working.word,
    m.Refused: working.word,
    m.PhaseDone: working.word,
    m.Freed: working.freed,
    m.Confirm: working.go_answer,
    m.Declined: working.go_answer,
    m.Aborted: working.go_answer,
    m.Append: recording.append,
    m.Replay: recording.replay,
    m.RunsRequest: recording.runs_request,
    m.RunRequest: upkeep.run_request,
    m.DocumentRequest: upkeep.document_request,
    m.Drain: upkeep.drain,
    m.Label: upkeep.label,
    m.Clean: upkeep.clean,
    m.Cleaned: upkeep.cleaned,
    m.DeleteRun: upkeep.delete_run,
    m.Invite: keeping.invite,
    m.KeysRequest: keeping.keys_request,
    m.Revoke: keeping.revoke,
    m.Rotate: keeping.rotate,
    m.RotateNode: keeping.rotate_node,
}
"""What is done with a message; one that is not here is refused."""

_FIRST_WORDS: Final = (m.Enrol, m.AgentHello, m.OperatorHello)


class Broker:
    """Decides what becomes of everything that arrives.

    The state to go on with after a restart comes in by the constructor.
    """

    def __init__(
        self,
        settings: Settings,
        now_ns: int,
        *,
        nodes: Iterable[m.NodeInfo] = (),
        keys: Iterable[m.KeyInfo] = (),
        invitations: Iterable[m.InvitationInfo] = (),
        runs: Iterable[RunFacts] = (),
    ) -> None:
        registry, sink, archive = Registry(nodes, now_ns), Sink(), Archive()
        self._parts = Parts(
            settings=settings,
            registry=registry,
            access=Access(keys, invitations),
            sink=sink,
            archive=archive,
            runs=OpenRuns(runs, now_ns, epoch=settings.epoch, registry=registry, sink=sink, archive=archive),
        )
        self._registry, self._sink, self._archive, self._runs = registry, sink, archive, self._parts.runs
        keeping.begin(self._parts, now_ns)
        self._beacon_ns = now_ns
        self._stalled_ns = 0
        self._expired_ns = now_ns

    # --- what arrives -------------------------------------------------------------------------------

    def receive(self, peer: Peer, message: m.Message, now_ns: int) -> list[Effect]:
        """Take a message that came by control."""
        handler = TABLE.get(type(message))
        if handler is None or not allows(peer.role, message):
            return self._refused(peer, message)
        if isinstance(message, _FIRST_WORDS):
            return self._addressed(handler(self._parts, peer, message, now_ns))
        if not self._registry.heard(peer, now_ns):
            return [Send(peer, m.HelloWanted())]
        effects = self._heard(peer, now_ns)
        return self._addressed(effects + handler(self._parts, peer, message, now_ns))

    def receive_batch(
        self, node: str, batch: m.Batch, frame: Bytes, payload: Bytes, now_ns: int
    ) -> list[Effect]:
        """Take records that came by the sink.

        Raises:
            DecodeError: If the batch is wrong in itself; nothing of it is stored.
        """
        return self._addressed(recording.batch(self._parts, node, batch, frame, payload, now_ns))

    def refused_words(self, peer: Peer, why: str, now_ns: int) -> list[Effect]:
        """Take note that a known peer said what is no message, by control or by the sink, and why it is none.

        It would wait for an answer, or others for it.
        """
        if peer.role == "node":
            sentence = f"what {peer.name} says or reports is refused: {why}"
            return self._addressed(self._parts.runs.broken(peer.name, sentence, now_ns))
        return [Send(peer, m.Rejected(code="malformed", sentence=f"what was said is no message: {why}"))]

    def unreachable(self, peer: Peer, now_ns: int) -> list[Effect]:
        """Take note that a message to a peer could not be sent.

        Nothing else is done: each is said again until it is answered, and a silence ends in a lease.
        """
        return [Note("peer_unreachable", peer.name, "")]

    def subscribed(self, node: str, listening: bool) -> None:
        """Take note of a node's subscription to the go socket, or of its end."""
        self._registry.subscribed(node, listening)

    # --- what the shell answers ---------------------------------------------------------------------

    def committed(self, run: str, number: int, now_ns: int) -> list[Effect]:
        """Everything of a run up to ``number`` is durable."""
        effects = self._sink.committed(run, number)
        ended = self._runs.get(run)
        if ended is not None and ended.verdict is not None:
            effects += self._runs.end_abandoned(ended, now_ns)
        return self._addressed(effects)

    def log_reopened(self, run: str, state: LogState) -> list[Effect]:
        """A record log had to be opened anew: what it does not hold is asked for again."""
        return self._addressed(self._sink.reopen(run, state))

    def stall(self, sentence: str, now_ns: int) -> list[Effect]:
        """Records cannot be written at present, and why.  Said again each time that it was tried in vain."""
        if not self._sink.is_stalled:
            self._sink.stall()
            self._stalled_ns = now_ns
        return self._addressed(self._runs.tell_all(f"the broker cannot store records: {sentence}"))

    def resume(self, now_ns: int) -> list[Effect]:
        """Records can be written again."""
        effects = self._sink.resume()
        lasted_s = (now_ns - self._stalled_ns) / S
        sentence = f"the broker could not store records for {lasted_s:.0f} s; steps waited, nothing was lost"
        return self._addressed(effects + self._runs.notice_all(sentence, now_ns))

    def run_saved(self, run: str, now_ns: int) -> list[Effect]:
        """A new run is in the catalogue and has its log."""
        return self._addressed(self._runs.saved(run, now_ns))

    def run_not_saved(self, run: str, sentence: str) -> list[Effect]:
        """A new run could not be saved, and why."""
        return self._addressed(self._runs.not_saved(run, sentence))

    def verdict_saved(self, run: str, now_ns: int) -> list[Effect]:
        """The end of a run is in the catalogue."""
        return self._addressed(self._runs.verdict_saved(run, now_ns))

    def access_saved(self, effect: SaveAccess, now_ns: int) -> list[Effect]:
        """Keys or invitations are kept, and the handshake knows them."""
        return self._addressed(keeping.saved(self._parts, effect, now_ns))

    def marks_saved(self, effect: SaveMarks) -> list[Effect]:
        """Marks of nodes are kept: from now on they count."""
        return upkeep.marks_saved(self._parts, effect)

    def retire(self, run: str) -> list[Effect]:
        """A run is not kept any more."""
        return upkeep.retire_run(self._parts, run)

    def run_found(self, run: str, facts: RunFacts | None, now_ns: int) -> list[Effect]:
        """The catalogue has answered; None: there is no such run."""
        if facts is not None:
            self._sink.close(self._archive.add(facts))
        waiting = self._archive.answered(run)
        return self._addressed([effect for then in waiting for effect in then(facts, now_ns)])

    def find_failed(self, run: str) -> None:
        """The catalogue could not answer: nobody is told that there is no such run, they ask again."""
        self._archive.answered(run)

    def heard_of(self) -> dict[str, int]:
        """Return when each node was last heard of."""
        return self._registry.heard_of()

    # --- time ---------------------------------------------------------------------------------------

    @property
    def has_go(self) -> bool:
        """Whether nodes are being started."""
        return self._runs.has_go

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        parts = (self._registry, self._sink, self._runs, self._runs.leftovers, self._parts.access)
        waits = [part.deadline_ns for part in parts] + ([self._beacon_ns] if self._has_beacons() else [])
        return min((at for at in waits if at is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Do what is due.  Safe to call at any time.

        While a run is open this is called every second.  If it was not, this process has stood still, and
        nobody else has to answer for the silence.
        """
        still_ns, self._expired_ns = now_ns - self._expired_ns, now_ns
        if still_ns > STILL_NS:
            self._runs.postpone(still_ns, now_ns)
        effects = self._runs.expire(now_ns)
        effects += self._runs.leftovers.expire(now_ns, lambda node: self._is_heard(node, now_ns))
        effects += self._sink.expire(now_ns)
        effects += self._registry.expire(now_ns)
        effects += self._parts.access.expire(now_ns)
        return self._addressed(effects) + self._beacons(now_ns)

    def _has_beacons(self) -> bool:
        return self._runs.has_any() or self._archive.has_recent()

    def _beacons(self, now_ns: int) -> list[Effect]:
        if now_ns < self._beacon_ns:
            return []
        self._beacon_ns = now_ns + BEAT_NS
        runs = [run.facts.run for run in self._runs] + self._archive.recent(now_ns)
        return [PublishBeacon(self._runs.beacon(run)) for run in runs]

    # --- peers --------------------------------------------------------------------------------------

    def _heard(self, peer: Peer, now_ns: int) -> list[Effect]:
        """Tell the runs that a peer lives."""
        if peer.role == "node":
            held = self._runs.holding(peer.name)
            return [] if held is None else held.node_heard(peer.name, now_ns)
        for run in self._runs:
            if run.controller == peer:
                run.heard(now_ns)
        return []

    def _is_heard(self, node: str, now_ns: int) -> bool:
        known = self._registry.node(node)
        return known is not None and known.is_heard(now_ns)

    def _addressed(self, effects: list[Effect]) -> list[Effect]:
        """Give messages to nodes and controllers their connections; who has none gets nothing."""
        return [found for found in map(self._address, effects) if found is not None]

    def _address(self, effect: Effect) -> Effect | None:
        if isinstance(effect, ToNode):
            peer = self._registry.peer(effect.node)
        elif isinstance(effect, ToController):
            run = self._runs.get(effect.run)
            peer = None if run is None else run.controller
        else:
            return effect
        return None if peer is None else Send(peer, effect.message)

    def _refused(self, peer: Peer, message: m.Message) -> list[Effect]:
        why = ": a viewer reads, and changes nothing" if peer.role == "viewer" else ""
        sentence = f"{peer.role} {peer.name} may not send {message.kind}{why}"
        rejected = m.Rejected(code="not_allowed", sentence=sentence)
        ended = self._parts.access.revoked(peer.name) if peer.role == "unknown" else None
        if ended is not None:
            sentence = f"the key of {ended.role} {ended.name} was revoked; join again with a new token"
            rejected = m.Rejected(code="revoked", sentence=sentence)
        return [Note("message_refused", peer.name, rejected.sentence, refused=True), Send(peer, rejected)]
