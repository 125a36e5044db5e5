"""Carries out what the broker decides: the one place where its effects meet sockets and files."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from broker.broker import Broker
from broker.callers import Callers
from broker.effects import (
    AnswerDocument,
    AnswerReplay,
    AnswerRun,
    AnswerRuns,
    Bytes,
    Effect,
    EraseRun,
    FindRun,
    Note,
    Peer,
    PublishBeacon,
    PublishGo,
    SaveAccess,
    SaveHeard,
    SaveMarks,
    SaveNode,
    SaveRun,
    SaveVerdict,
    Send,
    Store,
)
from broker.feed import Topics, Unpublished, feed_topic
from broker.gate import Gate
from broker.home import Home
from broker.identity import log_access, tell_gate
from broker.limits import MAX_READ, PORTION, PORTION_EVERY_NS, READING_NS, RETRY_NS, VERSION_EVERY_NS
from broker.reading import Readers
from broker.retention import Reads
from broker.sockets import Sockets
from fabric.clock import Clock
from fabric.errors import DecodeError, StoreError
from fabric.log import get_logger
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from fabric.refusals import Refusals
from fabric.transport import send_now

log = get_logger()

GO_TOPIC: Final = b"go"


class Hands:
    """Does what effects say, and tells the broker what came of it.  ``now_ns`` is fabric time."""

    def __init__(self, broker: Broker, home: Home, sockets: Sockets, gate: Gate, clock: Clock) -> None:
        self.topics = Topics()
        self.refusals = Refusals()
        self.callers = Callers(sockets.ports.values())
        self._broker = broker
        self._home = home
        self._sockets = sockets
        self._gate = gate
        self._clock = clock
        self.reads = Reads(MAX_READ, READING_NS)
        self._readers = Readers(home, sockets, self._send, self.reads)
        self._unpublished = Unpublished()
        self._finding: set[str] = set()  # runs whose logs are being opened for the broker
        self._unwritten: list[Store] = []  # entries of this turn
        self._stuck: deque[Store] = deque()  # entries that could not be written, in their order
        self._broken: set[str] = set()  # runs whose logs have to be opened anew
        self._retry_ns = 0
        self._portion_ns = 0  # when the next entries may be published
        self._heard: m.Message | None = None  # at present, and the frame in which it came
        self._heard_frame: Bytes = b""
        self._ways: Mapping[type, Callable[[Any, int], None]] = {
            Send: self._send,
            PublishGo: self._publish_go,
            PublishBeacon: self._publish_beacon,
            Store: self._store,
            SaveRun: self._save_run,
            SaveVerdict: self._save_verdict,
            SaveNode: self._save_node,
            SaveHeard: self._save_heard,
            SaveAccess: self._save_access,
            FindRun: self._find_run,
            SaveMarks: self._save_marks,
            EraseRun: self._erase_run,
            AnswerReplay: self._queue_replay,
            AnswerRuns: self._readers.answer_runs,
            AnswerRun: self._readers.answer_run,
            AnswerDocument: self._readers.answer_document,
            Note: self._note,
        }

    @property
    def deadline_ns(self) -> int | None:
        """When `carry_on` has something to do; 0: at once."""
        if self._readers.has_work:
            return 0
        times = [self._retry_ns] if self.is_stalled else []
        times += [self._portion_ns] if self._unpublished.has_durable else []
        return min(times, default=None)

    @property
    def is_stalled(self) -> bool:
        """Whether the disk refuses records: then none are taken from the sink."""
        return bool(self._stuck or self._broken)

    def hear(self, peer: Peer, message: m.Message, frame: Bytes, now_ns: int) -> None:
        """Let the broker take a message that came by control, and do what it decides."""
        self._heard, self._heard_frame = message, frame
        self.carry_out(self._broker.receive(peer, message, now_ns), now_ns)
        self._heard, self._heard_frame = None, b""

    def retire(self, run: str, now_ns: int) -> None:
        """Delete a run that is not kept any more."""
        self.carry_out(self._broker.retire(run), now_ns)

    def carry_out(self, effects: list[Effect], now_ns: int) -> None:
        """Do all of it, in order."""
        for effect in effects:
            self._ways[type(effect)](effect, now_ns)

    def carry_on(self, now_ns: int) -> None:
        """Publish, answer one reader, try again what the disk refused, have what was written made durable."""
        self._publish(now_ns)
        self._readers.carry_on(now_ns)
        if self.is_stalled and now_ns >= self._retry_ns:
            self._retry(now_ns)
        self._write_out(now_ns)
        self._home.logs.commit()

    def take_commits(self, now_ns: int) -> None:
        """Publish what has become durable, and tell the broker."""
        for run, number, error in self._home.logs.committed():
            if error is None:
                self._unpublished.committed(run, number)
                self.carry_out(self._broker.committed(run, number, now_ns), now_ns)
            elif run not in self._broken:
                _failed("commit_failed", error, run=run)
                self._broken.add(run)
                self._stall(error, now_ns)

    def take_opened(self, now_ns: int) -> None:
        """Go on with what waited for a log."""
        for run in self._home.logs.opened():
            self._readers.opened(run)
            if run in self._finding:
                self._finding.discard(run)
                self._found(run, now_ns)

    def refuse_version(self, peer: Peer, sentence: str, now_ns: int) -> None:
        """Tell a peer of another version so; log it now and then for each, for each is to be upgraded."""
        who = "" if peer.role == "unknown" else f"{peer.role} {peer.name}"
        if count := self.refusals.count(f"version_refused {who}", now_ns, VERSION_EVERY_NS):
            log.warning("version_refused", peer=peer.name, detail=sentence, count=count)
        self._send(Send(peer, m.Rejected(code="version", sentence=sentence)), now_ns)

    def refuse(self, event: str, peer: str, detail: str, now_ns: int) -> None:
        """Count something that was refused, and log it now and then."""
        count = self.refusals.count(event, now_ns)
        if count:
            log.warning(event, peer=peer, detail=detail, count=count)

    # --- to peers -----------------------------------------------------------------------------------

    def _send(self, effect: Send, now_ns: int) -> None:
        message = effect.message
        if isinstance(message, m.ProbeReply):
            # T3 is when it goes out: the time since it came in is not a part of the way.
            message = replace(message, t3_ns=self._clock.now_ns())
        if message is self._heard:
            frame: Bytes = self._heard_frame  # it is passed on
        else:
            try:
                frame = encode(message)
            except DecodeError as error:
                _failed("message_too_large", error, peer=effect.peer.name)
                return
        if not send_now(self._sockets.control, (effect.peer.routing, frame)):
            self.carry_out(self._broker.unreachable(effect.peer, now_ns), now_ns)

    def _publish_go(self, effect: PublishGo, _: int) -> None:
        send_now(self._sockets.go, (GO_TOPIC, encode(effect.message)))

    def _publish_beacon(self, effect: PublishBeacon, _: int) -> None:
        if self.topics.is_followed(effect.message.run):
            send_now(self._sockets.feed, (feed_topic(effect.message.run), encode(effect.message)))

    # --- records ------------------------------------------------------------------------------------

    def _store(self, effect: Store, _: int) -> None:
        """Write it at the end of the turn: where many nodes end a step, one transaction does for all."""
        self._unwritten.append(effect)

    def _write_out(self, now_ns: int) -> None:
        """Write what came in this turn, behind what is stuck."""
        if not self._unwritten:
            return
        was_stuck = bool(self._stuck)
        self._stuck.extend(self._unwritten)
        self._unwritten.clear()
        if was_stuck:
            return
        try:
            self._write_stuck()
        except StoreError as error:
            self._stall(error, now_ns)

    def _write_stuck(self) -> None:
        self._home.logs.save_rows(self._stuck)
        while self._stuck:
            self._write(self._stuck[0])
            self._stuck.popleft()

    def _write(self, effect: Store) -> None:
        entry = self._home.logs.write(effect)
        if self.topics.is_followed(effect.run):
            self._unpublished.add(effect.run, entry)

    def _publish(self, now_ns: int) -> None:
        if now_ns < self._portion_ns or not self._unpublished.has_durable:
            return
        self._portion_ns = now_ns + PORTION_EVERY_NS
        for run, entry in self._unpublished.portion(PORTION):
            send_now(self._sockets.feed, (feed_topic(run), entry.head, entry.batch, entry.payload))

    def _stall(self, error: StoreError, now_ns: int) -> None:
        self._retry_ns = now_ns + RETRY_NS
        _failed("store_refused", error)
        self.carry_out(self._broker.stall(str(error), now_ns), now_ns)

    def _retry(self, now_ns: int) -> None:
        try:
            for run in list(self._broken):
                self._reopen(run, now_ns)
            self._write_stuck()
        except StoreError as error:
            self._retry_ns = now_ns + RETRY_NS
            log.debug("store_still_refused", error=str(error))
            self.carry_out(self._broker.stall(str(error), now_ns), now_ns)
            return
        log.info("store_resumed")
        self.carry_out(self._broker.resume(now_ns), now_ns)

    def _reopen(self, run: str, now_ns: int) -> None:
        """Open a log anew; what was to be written behind its old end will be sent again."""
        state = self._home.logs.reopen(run)
        self._unpublished.drop(run)
        self._stuck = deque(store for store in self._stuck if store.run != run)
        self._broken.discard(run)
        self.carry_out(self._broker.log_reopened(run, state), now_ns)

    # --- catalogue ----------------------------------------------------------------------------------

    def _save_run(self, effect: SaveRun, now_ns: int) -> None:
        facts = effect.facts
        try:
            held = self._home.catalogue.open_run(
                effect.request, facts.operator, facts.opened_ns, facts.session
            )
            assert not held, f"the catalogue and the broker disagree on who has {held}"
            self._home.logs.open(facts.run)
        except StoreError as error:
            _failed("run_not_saved", error, run=facts.run)
            self.carry_out(self._broker.run_not_saved(facts.run, str(error)), now_ns)
            return
        log.info("run_opened", run=facts.run, operator=facts.operator, nodes=len(facts.nodes))
        self.carry_out(self._broker.run_saved(facts.run, now_ns), now_ns)

    def _save_verdict(self, effect: SaveVerdict, now_ns: int) -> None:
        try:
            self._home.catalogue.close_run(
                effect.run, effect.verdict, effect.result, effect.closed_ns, effect.last
            )
        except StoreError as error:
            _failed("verdict_not_saved", error, run=effect.run)
            return  # it is asked for again
        log.info("run_closed", run=effect.run, verdict=effect.verdict)
        self.carry_out(self._broker.verdict_saved(effect.run, now_ns), now_ns)

    def _save_node(self, effect: SaveNode, _: int) -> None:
        hello = effect.hello
        log.info("node_joined", node=hello.name, incarnation=hello.incarnation)
        try:
            self._home.catalogue.save_node(hello, effect.heard_ns)
        except StoreError as error:  # its next hello saves it
            _failed("node_not_saved", error, node=hello.name)

    def _save_heard(self, effect: SaveHeard, _: int) -> None:
        try:
            self._home.catalogue.save_heard(effect.heard_ns)
        except StoreError as error:  # the next minute's are as good
            _failed("heard_not_saved", error)

    def _save_access(self, effect: SaveAccess, now_ns: int) -> None:
        try:
            self._home.catalogue.access.save(effect.keys, effect.invitations, effect.gone)
        except StoreError as error:
            _failed("access_not_saved", error)
            self._not_saved(effect, str(error), now_ns)
            return
        self._let_in(effect)
        log_access(effect)
        self.carry_out(self._broker.access_saved(effect, now_ns), now_ns)

    def _let_in(self, effect: SaveAccess) -> None:
        for key in effect.keys:
            tell_gate(self._gate, key)
            if key.revoked_ns is not None:
                self.callers.cut(key.public_key)

    def _not_saved(self, effect: SaveAccess, sentence: str, now_ns: int) -> None:
        """Say so to who asked; a key that has expired is let in no more, whatever is written."""
        if effect.peer is None:
            self._let_in(effect)
        else:
            request = getattr(effect.answer, "request", None)
            if request is None:
                answer = m.Rejected(code="not_allowed", sentence=sentence)
                self._send(Send(effect.peer, answer), now_ns)
            else:
                self._deny(effect.peer, request, sentence, now_ns)

    def _save_marks(self, effect: SaveMarks, now_ns: int) -> None:
        try:
            for node, marks in effect.marks.items():
                self._home.catalogue.save_marks(node, asdict(marks))
        except StoreError as error:
            _failed("marks_not_saved", error)
            if effect.peer is not None:
                self._deny(effect.peer, effect.request, str(error), now_ns)
            return
        log.info("nodes_marked", nodes=len(effect.marks), by="" if effect.peer is None else effect.peer.name)
        self.carry_out(self._broker.marks_saved(effect), now_ns)

    def _erase_run(self, effect: EraseRun, now_ns: int) -> None:
        self._write_out(now_ns)  # a late record of it may have come just now
        try:
            self._home.erase(effect.run)
        except StoreError as error:
            _failed("run_not_erased", error, run=effect.run)
            if effect.peer is not None:
                self._deny(effect.peer, effect.request, str(error), now_ns)
            return
        log.info("run_erased", run=effect.run, operator="" if effect.peer is None else effect.peer.name)
        if effect.peer is not None:
            self._send(Send(effect.peer, m.Done(request=effect.request)), now_ns)

    def _find_run(self, effect: FindRun, now_ns: int) -> None:
        try:
            known = self._home.catalogue.run(effect.run)
        except StoreError as error:
            _failed("run_not_read", error, run=effect.run)
            self._broker.find_failed(effect.run)
            return
        if known is not None and not self._home.logs.want(effect.run):
            self._finding.add(effect.run)
        else:
            self._found(effect.run, now_ns)

    def _found(self, run: str, now_ns: int) -> None:
        try:
            facts = self._home.find(run)
        except StoreError as error:
            _failed("run_not_read", error, run=run)
            self._broker.find_failed(run)
            return
        self.carry_out(self._broker.run_found(run, facts, now_ns), now_ns)

    # --- readers ------------------------------------------------------------------------------------

    def _queue_replay(self, effect: AnswerReplay, now_ns: int) -> None:
        if not self._readers.put(effect):
            self.refuse("replay_refused", effect.peer.name, "too many requests wait", now_ns)

    def _deny(self, peer: Peer, request: int, sentence: str, now_ns: int) -> None:
        self._send(Send(peer, m.Denied(request=request, code="invalid", sentence=sentence)), now_ns)

    # --- log ----------------------------------------------------------------------------------------

    def _note(self, effect: Note, now_ns: int) -> None:
        if effect.refused:
            self.refuse(effect.event, effect.peer, effect.detail, now_ns)
        else:
            log.debug(effect.event, peer=effect.peer, detail=effect.detail)


def _failed(event: str, error: StoreError | DecodeError, **values: str) -> None:
    """Log what went wrong on this machine; the traceback would say no more."""
    log.error(event, error=str(error), hint=error.hint, **values)
