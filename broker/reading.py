"""Answers those who read: replays of record logs, and what the catalogue knows of runs."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Final

from broker.effects import AnswerDocument, AnswerReplay, AnswerRun, AnswerRuns, Peer, Send
from broker.home import Home
from broker.limits import (
    DETAIL_CHARS,
    DETAIL_PHASES,
    DETAIL_STEPS,
    DOCUMENT_BYTES,
    MAX_REPLAYS,
    REPLAY_ENTRIES,
    WHY_CHARS,
)
from broker.replay import ReplayQueue
from broker.retention import Reads
from broker.sizes import fitting
from broker.sockets import Sockets
from fabric.errors import StoreError
from fabric.protocol import messages as m
from fabric.store.rows import StoredPhase, StoredStep
from fabric.transport import send_now

_TEXTS: Final = ("earliest_node", "latest_node", "delayed_by", "way")


class Readers:
    """Reads the store for operators.  ``now_ns`` is fabric time; ``send`` takes a `Send`."""

    def __init__(self, home: Home, sockets: Sockets, send: Callable[[Send, int], None], reads: Reads) -> None:
        self._home = home
        self._sockets = sockets
        self._send = send
        self._reads = reads
        self._replays = ReplayQueue()
        self._unopened: dict[str, list[AnswerReplay]] = {}  # by the run whose log is being opened

    # --- replays ------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether a replay can be answered at once."""
        return bool(self._replays)

    def put(self, effect: AnswerReplay) -> bool:
        """Keep a request; return False if too many wait, then the reader has to ask again."""
        if sum(map(len, self._unopened.values())) >= MAX_REPLAYS:
            return False
        return self._replays.put(effect)

    def carry_on(self, now_ns: int) -> None:
        """Answer one reader."""
        request = self._replays.take()
        if request is not None:
            self._replay(request, now_ns)

    def opened(self, run: str) -> None:
        """Let those go on who waited for a log; who finds no room asks again."""
        for effect in self._unopened.pop(run, []):
            self._replays.put(effect)

    def _replay(self, effect: AnswerReplay, now_ns: int) -> None:
        """Send the entries, then the end; if the reader takes no more, it asks again from where it is."""
        peer, request = effect.peer, effect.request
        self._reads.note(request.run, now_ns)
        try:
            if self._home.catalogue.run(request.run) is None:
                self._deny(peer, request.request, "unknown_run", f"there is no run {request.run}", now_ns)
                return
            if request.run in self._unopened or not self._home.logs.want(request.run):
                self._unopened.setdefault(request.run, []).append(effect)
                return
            entries = self._home.logs.read(request.run, request.number, request.limit_bytes)
            durable = self._home.logs.durable(request.run)
            if request.number > durable + 1:
                self._deny(peer, request.request, "closed", _older(request, durable), now_ns)
                return
        except StoreError as error:
            self._deny(peer, request.request, "invalid", str(error), now_ns)
            return
        next_number = request.number
        for entry in entries[:REPLAY_ENTRIES]:
            payload = b"" if request.without_bytes else entry.payload
            frames = (peer.routing, entry.head, entry.batch, payload)
            if not send_now(self._sockets.control, frames):
                return  # it asks again
            next_number = entry.next_number
        end = m.ReplayEnd(
            request=request.request, run=request.run, next=next_number, end=next_number > durable
        )
        self._send(Send(peer, end), now_ns)

    # --- the catalogue ------------------------------------------------------------------------------

    def answer_runs(self, effect: AnswerRuns, now_ns: int) -> None:
        """List runs."""
        peer, request = effect.peer, effect.request
        try:
            runs = tuple(
                replace(self._with_last(info), heard_ns=effect.heard_ns.get(info.run, 0))
                for info in self._home.catalogue.runs(request.run, request.limit)
            )
        except StoreError as error:
            self._deny(peer, request.request, "invalid", str(error), now_ns)
            return
        self._send(Send(peer, m.Runs(request=request.request, runs=fitting(runs))), now_ns)

    def answer_run(self, effect: AnswerRun, now_ns: int) -> None:
        """Tell what is known of one run."""
        peer, request = effect.peer, effect.request
        try:
            details = self._details(request)
        except StoreError as error:
            self._deny(peer, request.request, "invalid", str(error), now_ns)
            return
        if details is None:
            self._deny(peer, request.request, "unknown_run", f"there is no run {request.run!r:.80}", now_ns)
        else:
            self._send(Send(peer, details), now_ns)

    def answer_document(self, effect: AnswerDocument, now_ns: int) -> None:
        """Give out a part of a text that is stored with a run."""
        peer, request = effect.peer, effect.request
        try:
            stored = self._home.catalogue.run(request.run)
        except StoreError as error:
            self._deny(peer, request.request, "invalid", str(error), now_ns)
            return
        if stored is None:
            self._deny(peer, request.request, "unknown_run", f"there is no run {request.run!r:.80}", now_ns)
            return
        self._reads.note(request.run, now_ns)
        texts = {"trial": stored.trial, "plan": stored.plan, "result": stored.result}
        data = texts[request.document].encode("utf-8", "surrogatepass")
        part = data[max(0, request.offset) :][:DOCUMENT_BYTES]
        self._send(Send(peer, m.Document(request=request.request, data=part, size=len(data))), now_ns)

    def _details(self, request: m.RunRequest) -> m.RunDetails | None:
        catalogue = self._home.catalogue
        stored = catalogue.run(request.run)
        if stored is None:
            return None
        phases, steps, failed = catalogue.counts(request.run)
        return m.RunDetails(
            request=request.request,
            info=self._with_last(stored.info),
            phases=tuple(map(_phase, catalogue.phases(request.run, DETAIL_PHASES))),
            failed=tuple(map(_step, catalogue.failed_steps(request.run, DETAIL_STEPS))),
            phase_count=phases,
            step_count=steps,
            failed_count=failed,
        )

    def _with_last(self, info: m.RunInfo) -> m.RunInfo:
        """Fill in what the log knows: its size, the last number of an open run."""
        info = replace(info, size_bytes=self._home.logs.size(info.run))
        if info.state == "closed":
            return info
        return replace(info, last=self._home.logs.durable(info.run))

    def _deny(self, peer: Peer, request: int, code: str, sentence: str, now_ns: int) -> None:
        denied = m.Denied(request=request, code=code, sentence=sentence)  # type: ignore[arg-type]
        self._send(Send(peer, denied), now_ns)


def _older(request: m.Replay, durable: int) -> str:
    """Say to a reader that it has read what is not there: only what is durable is ever given out."""
    has = f"of run {request.run} the broker has {durable} records, and {request.number - 1} were read"
    return f"{has}: its store was put back to an earlier state"


def _phase(phase: StoredPhase) -> m.PhaseInfo:
    texts = {name: (getattr(phase, name) or "")[:WHY_CHARS] for name in _TEXTS}
    return m.PhaseInfo(**(asdict(phase) | texts))


def _step(step: StoredStep) -> m.StepInfo:
    return m.StepInfo(
        node=step.node,
        step=step.step,
        attempt=step.attempt,
        reason=step.reason or "",
        exit_code=step.exit_code,
        signal=step.signal,
        started_ns=step.started_ns,
        finished_ns=step.finished_ns,
        message=step.message[:DETAIL_CHARS],
    )
