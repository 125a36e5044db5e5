"""The open runs: how one is opened, carried through time, and closed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from broker import openings
from broker.archive import Archive
from broker.effects import (
    EMPTY_LOG,
    Effect,
    Peer,
    PublishBeacon,
    RunFacts,
    SaveRun,
    SaveVerdict,
    Send,
    ToController,
)
from broker.leftovers import Leftovers
from broker.limits import MAX_RUNS
from broker.registry import Registry
from broker.reservations import Reservation, Reservations
from broker.runs import Run
from broker.sink import Sink
from broker.sizes import shortened
from fabric.protocol.limits import MAX_WHY_CHARS
from fabric.protocol.messages import Append, Beacon, CloseRun, Denied, OpenRun, RunClosed, RunOpened
from fabric.protocol.names import CONTROLLER
from fabric.protocol.records import Notice, Record, RunEnded


@dataclass(frozen=True, slots=True)
class _Opening:
    """A run that is being saved."""

    peer: Peer
    message: OpenRun
    facts: RunFacts


class OpenRuns:
    """Holds the open runs with their reservations.  ``now_ns`` and ``deadline_ns`` are fabric time."""

    def __init__(
        self,
        runs: Iterable[RunFacts],
        now_ns: int,
        *,
        epoch: int,
        registry: Registry,
        sink: Sink,
        archive: Archive,
    ) -> None:
        self._epoch = epoch
        self._registry = registry
        self._sink = sink
        self._archive = archive
        self._reservations = Reservations()
        self._runs: dict[str, Run] = {}
        self._openings: dict[str, _Opening] = {}
        self._check_ns = now_ns  # no run has anything to do before
        self.leftovers = Leftovers()
        for facts in runs:
            held = Reservation(facts.run, facts.operator, facts.opened_ns)
            self._reservations.reserve(facts.nodes, held)
            self._runs[facts.run] = Run(facts, {}, now_ns)
            sink.open(facts.run, facts.log)

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._runs.values()))

    def get(self, run: str) -> Run | None:
        """Return an open run."""
        return self._runs.get(run)

    def holding(self, node: str) -> Run | None:
        """Return the open run that has a node reserved."""
        return self._runs.get(self._reservations.holder(node))

    def held(self, node: str) -> Reservation | None:
        """Return by whom a node is reserved, or which closed run it has still to end its part of."""
        held, leaving = self._reservations.held(node), self.leaving(node)
        return Reservation(leaving, "", 0) if held is None and leaving else held

    def leaving(self, node: str) -> str:
        """Return the run that a node ends its part of by itself, though it is not reserved for it; or ""."""
        known = self._registry.node(node)
        alone = sorted(known.alone) if known is not None else []
        return alone[0] if alone else self.leftovers.of(node)

    def has_any(self) -> bool:
        """Say whether a run is open."""
        return bool(self._runs)

    # --- opening ------------------------------------------------------------------------------------

    def open(self, peer: Peer, session: str, message: OpenRun, now_ns: int) -> list[Effect]:
        """Reserve all nodes and save the run, or say why not.  May be repeated."""
        if message.run in self._openings:
            return []  # the answer is under way
        run = self._runs.get(message.run)
        if run is not None:
            return self._open_again(run, peer, session, message, now_ns)
        refusal = openings.refusal(message, len(self._runs) + len(self._openings), MAX_RUNS)
        if refusal:
            return [Send(peer, refusal)]

        def then(facts: RunFacts | None, then_ns: int) -> list[Effect]:
            if facts is not None:
                return [Send(peer, openings.denied(message, "closed", f"run {message.run} is closed"))]
            if message.run in self._openings or message.run in self._runs:
                return self.open(peer, session, message, then_ns)  # it was asked for twice meanwhile
            return self._save(peer, session, message, then_ns)

        return self._archive.ask(message.run, then, now_ns)

    def _save(self, peer: Peer, session: str, message: OpenRun, now_ns: int) -> list[Effect]:
        reservation = Reservation(message.run, peer.name, now_ns)
        refusal = openings.reserve(message, self._registry, self._reservations, self.leaving, reservation)
        if refusal:
            return [Send(peer, refusal)]
        facts = RunFacts(
            run=message.run,
            name=message.name,
            operator=peer.name,
            nodes=message.nodes,
            opened_ns=now_ns,
            lease_s=message.lease_s,
            session=session,
            verdict="",
            log=EMPTY_LOG,
        )
        self._openings[message.run] = _Opening(peer, message, facts)
        return [SaveRun(request=message, facts=facts)]

    def saved(self, run: str, now_ns: int) -> list[Effect]:
        """The run is kept for good: its controller may go on."""
        opening = self._openings.pop(run)
        nodes = (self._registry.node(name) for name in opening.facts.nodes)
        incarnations: dict[str, int | None] = {node.name: node.incarnation for node in nodes if node}
        opened = self._runs[run] = Run(opening.facts, incarnations, now_ns)
        self._sink.open(run, EMPTY_LOG)
        self._check_ns = now_ns
        told = opened.adopt(opening.peer, opening.facts.session, now_ns)
        return [Send(opening.peer, self._opened(opening.message, now_ns)), *told]

    def not_saved(self, run: str, sentence: str) -> list[Effect]:
        """The run could not be saved: it is not open."""
        opening = self._openings.pop(run)
        self._reservations.release(run)
        return [Send(opening.peer, openings.denied(opening.message, "invalid", sentence))]

    def _open_again(self, run: Run, peer: Peer, session: str, message: OpenRun, now_ns: int) -> list[Effect]:
        refusal = denied_use(run, peer, session, now_ns, message.request)
        if refusal:
            return [Send(peer, refusal)]
        told = run.adopt(peer, session, now_ns)
        return [Send(peer, self._opened(message, now_ns)), *told]

    def _opened(self, message: OpenRun, now_ns: int) -> RunOpened:
        infos = [
            self._registry.info(name, self.held(name), now_ns) for name in self._runs[message.run].facts.nodes
        ]
        return RunOpened(request=message.request, run=message.run, nodes=shortened(infos))

    # --- closing ------------------------------------------------------------------------------------

    def close(self, peer: Peer, session: str, message: CloseRun, now_ns: int) -> list[Effect]:
        """Save the verdict and release the nodes, or say why not.  May be repeated."""
        run = self._runs.get(message.run)
        if run is None:
            return self._archive.ask(
                message.run, lambda facts, _: [Send(peer, _closed(facts, peer, message))], now_ns
            )
        refusal = denied_use(run, peer, session, now_ns, message.request)
        if refusal:
            return [Send(peer, refusal)]
        run.closing = (peer, message.request)
        run.verdict = SaveVerdict(
            run=message.run,
            verdict=message.verdict,
            result=message.result,
            closed_ns=now_ns,
            last=self._sink.last(message.run),
        )
        return [run.verdict]

    def verdict_saved(self, name: str, now_ns: int) -> list[Effect]:
        """The end of a run is kept for good: its nodes are free."""
        run = self._runs.pop(name, None)
        if run is None or run.verdict is None:
            return []
        self._reservations.release(name)
        self._sink.close(self._archive.add(replace(run.facts, verdict=run.verdict.verdict), now_ns))
        effects: list[Effect] = [PublishBeacon(self.beacon(name))]
        if run.closing:
            peer, request = run.closing
            effects.append(Send(peer, RunClosed(request=request, run=name)))
        for node in run.unfreed():
            effects += self.leftovers.add(node, name, now_ns)
        return effects

    def beacon(self, name: str) -> Beacon:
        """Return how far a run can be read.  It is open to its readers until all that it has is durable."""
        is_open = name in self._runs or not self._sink.is_idle(name)
        return Beacon(run=name, number=self._sink.last_durable(name), open=is_open)

    def end_abandoned(self, run: Run, now_ns: int) -> list[Effect]:
        """End a run whose controller was lost, step by step, as far as it can be done now."""
        if not run.is_left(now_ns) or self._sink.is_stalled or run.closing:
            return []
        name = run.facts.run
        if run.verdict is None:
            why = run.why_left()
            result = json.dumps({"verdict": "error", "why": why})
            last = self._sink.last(name) + 1  # with the record below
            run.verdict = SaveVerdict(run=name, verdict="error", result=result, closed_ns=now_ns, last=last)
            ended = RunEnded(t_ns=now_ns, bound_ns=0, verdict="error", why=why)
            return self.record(run, ended, now_ns)
        return [run.verdict] if self._sink.is_idle(name) else []

    def record(self, run: Run, record: Record, now_ns: int) -> list[Effect]:
        """Add a record of the broker's own to a run; its incarnation is the broker's epoch."""
        name = run.facts.run
        first = self._sink.next(name, CONTROLLER, self._epoch)  # which no limit refuses
        own = Append(run=name, incarnation=self._epoch, first=first, records=(record,))
        return self._sink.receive(CONTROLLER, own, None, b"", now_ns)

    def broken(self, node: str, sentence: str, now_ns: int) -> list[Effect]:
        """Have the run that has a node do without it, for it says what cannot be.  Told once."""
        run = self.holding(node)
        if run is None or run.parts[node].is_broken:
            return []
        sentence = sentence[:MAX_WHY_CHARS]
        notice = Notice(t_ns=now_ns, bound_ns=0, level="warning", message=sentence)
        return run.node_broken(node, sentence) + self.record(run, notice, now_ns)

    def tell_all(self, sentence: str) -> list[Effect]:
        """Tell every controller that its run's records cannot be stored."""
        return [
            ToController(run, Denied(request=0, run=run, code="no_room", sentence=sentence))
            for run in self._runs
        ]

    def notice_all(self, sentence: str, now_ns: int) -> list[Effect]:
        """Add a notice to every open run."""
        notice = Notice(t_ns=now_ns, bound_ns=0, level="warning", message=sentence)
        return [effect for run in self for effect in self.record(run, notice, now_ns)]

    # --- time ---------------------------------------------------------------------------------------

    @property
    def has_go(self) -> bool:
        """Whether nodes are being started."""
        return any(run.go_deadline_ns is not None for run in self._runs.values())

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        if not self._runs:
            return None
        goes = (run.go_deadline_ns for run in self._runs.values())
        return min([self._check_ns, *(at for at in goes if at is not None)])

    def postpone(self, ns: int, now_ns: int) -> None:
        """Give controllers and nodes more time: nobody listened to them for so long."""
        for run in self:
            run.postpone(ns, now_ns)

    def look_again(self, now_ns: int) -> None:
        """Something changed that may end a run: have `expire` look at all of them."""
        self._check_ns = now_ns

    def expire(self, now_ns: int) -> list[Effect]:
        """Carry the goes and the leases on.  Safe to call at any time.

        What is heard only moves the ends of leases away, so they are not looked at before ``_check_ns``.
        """
        effects = [effect for run in self for effect in run.expire_go(now_ns)]
        if now_ns < self._check_ns:
            return effects
        for run in self:
            effects += run.expire(now_ns)
            effects += self.end_abandoned(run, now_ns)
        self._check_ns = min((run.deadline_ns for run in self), default=now_ns)
        return effects


def denied_use(run: Run, peer: Peer, session: str, now_ns: int, request: int = 0) -> Denied | None:
    """Return why an operator's process cannot use an open run, or None.

    Args:
        run: It.
        peer: The operator's connection.
        session: Which process of the operator it is.
        now_ns: Fabric time.
        request: That is denied; 0 if it has no number.
    """
    if run.facts.operator != peer.name:
        sentence = f"run {run.facts.run} belongs to {run.facts.operator}"
        return Denied(request=request, run=run.facts.run, code="not_yours", sentence=sentence)
    if run.is_led_by_another(session, now_ns):
        sentence = f"run {run.facts.run} is led by another process of {run.facts.operator}"
        return Denied(request=request, run=run.facts.run, code="not_yours", sentence=sentence)
    if run.abandoned:
        sentence = f"run {run.facts.run} was given up: {run.abandoned}"
        return Denied(request=request, run=run.facts.run, code="closed", sentence=sentence)
    return None


def _closed(facts: RunFacts | None, peer: Peer, message: CloseRun) -> RunClosed | Denied:
    """Return the answer to a repeated `CloseRun`."""
    if facts is None:
        return Denied(
            request=message.request, code="unknown_run", sentence=f"there is no run {message.run!r:.80}"
        )
    if facts.operator != peer.name:
        sentence = f"run {facts.run} belongs to {facts.operator}"
        return Denied(request=message.request, code="not_yours", sentence=sentence)
    return RunClosed(request=message.request, run=facts.run)
