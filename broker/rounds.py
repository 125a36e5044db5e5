"""One go: all nodes of a phase confirm it, or none starts."""

from collections.abc import Callable, Collection
from enum import Enum, auto

from broker.effects import Effect, PublishGo, ToController, ToNode
from broker.limits import ABORT_PATIENCE_NS, ABORT_REPEAT_NS, LEAD_MAX_NS, LEAD_MIN_NS, ONE_T0_NS, S
from fabric.protocol.messages import (
    Abort,
    Aborted,
    Confirm,
    Declined,
    Go,
    GoAborted,
    GoCommitted,
    StartPhase,
)
from fabric.timing.lead import Pace, guard_ns, repeats_ns


class GoState(Enum):
    """Where a go stands."""

    WAITING = auto()  # for confirmations
    ABORTING = auto()  # for the answers to an abort
    OVER = auto()  # ``result`` says how


class GoRound:
    """Sends a go until every node has confirmed it, or takes it back.

    ``now_ns`` and ``deadline_ns`` are fabric time.  A confirmation counts until the abort is sent, however
    late it is: a node that has confirmed starts by itself, so if all have, all start.
    """

    def __init__(self, request: StartPhase, epoch: int, now_ns: int, pace: Pace) -> None:
        self.request = request
        self.result: GoCommitted | GoAborted | None = None
        self._pace = pace
        self._lead_ns = _lead(request, pace)
        self._sent_ns = now_ns
        self._go = Go(
            run=request.run, phase=request.phase, go=request.go, epoch=epoch, t0_ns=now_ns + self._lead_ns
        )
        self._state = GoState.WAITING
        self._silent = dict.fromkeys(request.nodes)  # a set that keeps the order
        self._reasons: dict[str, str] = {}
        self._is_late = False  # a longer lead might have done
        self._started: dict[str, int] = {}  # that have begun the phase, and at which t0
        self._repeats = [now_ns + after_ns for after_ns in repeats_ns(self._lead_ns)]
        self._until_ns = self._go.t0_ns - guard_ns(self._lead_ns)

    @property
    def key(self) -> tuple[str, int]:
        """Phase and number of the try: what makes a `StartPhase` a repetition."""
        return self.request.phase, self.request.go

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        if self._state is GoState.OVER:
            return None
        return min([*self._repeats, self._until_ns])

    def start(self, listening: Callable[[str], bool]) -> list[Effect]:
        """Broadcast the go, and send it to the nodes whose subscription has not been seen."""
        deaf = [node for node in self.request.nodes if not listening(node)]
        return [PublishGo(self._go), *self._to(deaf, self._go)]

    def receive(self, node: str, message: Confirm | Declined | Aborted, now_ns: int) -> list[Effect]:
        """Take a node's answer.  What belongs to another go or comes too late changes nothing."""
        if (message.run, message.phase, message.go) != (self._go.run, *self.key):
            return []
        if node not in self.request.nodes:
            return []
        if isinstance(message, Aborted):
            return self._aborted(node, message)
        if self._state is not GoState.WAITING:
            return []
        if isinstance(message, Declined):
            self._reasons[node], self._is_late = message.sentence, message.late
            return self._abort(now_ns)
        if message.t0_ns != self._go.t0_ns:
            return []  # it answers the go of an earlier life of the broker
        self._silent.pop(node, None)
        if self._silent:
            return []
        spent_ns = now_ns - self._sent_ns
        self._pace.confirmed(len(self.request.nodes), spent_ns, self.request.ready_ns)
        return self._over(self._committed(self._go.t0_ns, spent_ns))

    def expire(self, now_ns: int) -> list[Effect]:
        """Say the go or the abort again, decide at t0 - guard, give up.  Safe to call at any time."""
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return []
        if self._state is GoState.WAITING:
            return self._decide(now_ns)
        if now_ns >= self._until_ns:
            return self._give_up()
        self._repeats = [now_ns + ABORT_REPEAT_NS]
        return self._to(self._silent, self._taken_back())

    def cancel(self, sentence: str, now_ns: int) -> list[Effect]:
        """Take the go back for a reason that is not a node's."""
        if self._state is not GoState.WAITING:
            return []
        self._reasons[""] = sentence
        return self._abort(now_ns)

    def _decide(self, now_ns: int) -> list[Effect]:
        if now_ns >= self._until_ns:
            for node in self._silent:
                self._reasons[node] = f"{node} did not confirm the go in time"
            self._is_late = True
            # They would have needed longer, nobody knows how long: the next lead is twice as long.
            self._pace.confirmed(len(self.request.nodes), self._lead_ns * 2 // 3, self.request.ready_ns)
            return self._abort(now_ns)
        self._repeats = [at for at in self._repeats if at > now_ns]
        return self._to(self._silent, self._go)

    def _abort(self, now_ns: int) -> list[Effect]:
        self._state = GoState.ABORTING
        self._silent = dict.fromkeys(self.request.nodes)
        self._repeats = [now_ns + ABORT_REPEAT_NS]
        self._until_ns = now_ns + ABORT_PATIENCE_NS
        return [PublishGo(self._taken_back()), *self._to(self._silent, self._taken_back())]

    def _aborted(self, node: str, message: Aborted) -> list[Effect]:
        if self._state is not GoState.ABORTING or node not in self._silent:
            return []
        if message.started:
            self._started[node] = message.t0_ns
        del self._silent[node]
        if self._silent:
            return []
        if self._started.keys() >= set(self.request.nodes) and self._are_one(self._started.values()):
            # Where the broker was too slow for its own abort, or had died and asked again, all have started
            # together, as they were asked to.
            return self._over(self._committed(max(self._started.values()), 0))
        return self._over(self._failed())

    @staticmethod
    def _are_one(t0s_ns: Collection[int]) -> bool:
        return max(t0s_ns) - min(t0s_ns) < ONE_T0_NS

    def _give_up(self) -> list[Effect]:
        for node in self._silent:  # it may have started, if it had confirmed
            self._reasons.setdefault(node, f"{node} did not answer the abort")
        return self._over(self._failed())

    def _over(self, result: GoCommitted | GoAborted) -> list[Effect]:
        self._state = GoState.OVER
        self.result = result
        return [ToController(self._go.run, result)]

    def _committed(self, t0_ns: int, confirm_ns: int) -> GoCommitted:
        return GoCommitted(
            run=self._go.run,
            phase=self._go.phase,
            go=self._go.go,
            t0_ns=t0_ns or self._go.t0_ns,
            lead_ns=self._lead_ns,
            confirm_ns=confirm_ns,
        )

    def _failed(self) -> GoAborted:
        go = self._go
        started, t0s = tuple(sorted(self._started)), self._started.values()
        return GoAborted(
            run=go.run,
            phase=go.phase,
            go=go.go,
            reasons=self._reasons,
            started=started,
            late=self._is_late,
            t0_ns=max(t0s) if t0s and self._are_one(t0s) else 0,
            lead_ns=self._lead_ns,
        )

    def _taken_back(self) -> Abort:
        return Abort(run=self._go.run, phase=self._go.phase, go=self._go.go)

    @staticmethod
    def _to(nodes: Collection[str], message: Go | Abort) -> list[Effect]:
        return [ToNode(node, message) for node in nodes]


def _lead(request: StartPhase, pace: Pace) -> int:
    if request.lead_s is None:
        lead_ns = pace.lead_ns(request.max_rtt_ns, len(request.nodes), request.ready_ns)
        return min(lead_ns, LEAD_MAX_NS)
    return int(min(max(request.lead_s * S, LEAD_MIN_NS), LEAD_MAX_NS))  # which may have been endless
