"""An open run as the broker sees it: its controller, its nodes, its lease, its go."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from broker.effects import Effect, Peer, RunFacts, SaveVerdict, ToController, ToNode
from broker.limits import ABANDONED_NS, GO_RESULTS, NEWS_EVERY_NS, REPEAT_NS, S
from broker.registry import SILENCE_NS
from broker.rounds import GoRound
from broker.words import heard, listed
from fabric.protocol.limits import LEASE_S
from fabric.protocol.messages import (
    Abandon,
    Aborted,
    AgentHello,
    Confirm,
    Declined,
    Freed,
    GoAborted,
    GoCommitted,
    NodeBack,
    NodeLost,
    StartPhase,
)
from fabric.timing.lead import Pace

LEASE_NS: Final = int(LEASE_S * S)


@dataclass(slots=True)
class Part:
    """A node's part of a run."""

    incarnation: int | None  # None: not heard of in this life of the broker
    heard_ns: int  # when it was last heard of, or when the wait for it began
    works_on: bool = False
    freed: Freed | None = None  # what it said when nothing of the run was left there
    alone: bool = False  # it ends its part by itself
    was_cut: bool = False  # ... and that part was this start's: it has heard nothing for too long
    is_broken: bool = False  # it said what cannot be: nothing more is expected of it
    news: NodeLost | NodeBack | None = None  # the last that the controller was told, or was to be told

    @property
    def told(self) -> NodeLost | NodeBack | Freed | None:
        """What the controller has to know.  It takes a node that came free unasked for a lost one."""
        return self.freed or self.news

    @property
    def is_left(self) -> bool:
        """Whether the node is known to do nothing for the run."""
        is_idle = not self.works_on and not self.alone and self.incarnation is not None
        return self.freed is not None or is_idle


class Run:
    """Lives while its controller is heard of; then its nodes are told to stop, and the broker ends it.

    ``now_ns`` and ``deadline_ns`` are fabric time.
    """

    def __init__(self, facts: RunFacts, incarnations: dict[str, int | None], now_ns: int) -> None:
        self.facts = facts
        self.controller: Peer | None = None
        self.session = facts.session  # of the controller
        self.verdict: SaveVerdict | None = None  # wanted; the run is open until it is saved
        self.closing: tuple[Peer, int] | None = None  # who asked for the end, and its request
        self.abandoned = ""  # why, in a sentence; "" while the lease holds
        self._abandoned_ns = now_ns
        self._lease_ns = int(facts.lease_s * S)
        self.heard_ns = now_ns  # when its controller was
        self._repeat_ns = now_ns
        self._news_ns = now_ns + NEWS_EVERY_NS
        self.parts = {node: Part(incarnations.get(node), now_ns) for node in facts.nodes}
        self._go: GoRound | None = None
        self._pace = Pace()
        self._results: dict[tuple[str, int], GoCommitted | GoAborted] = {}

    # --- the controller -----------------------------------------------------------------------------

    def adopt(self, peer: Peer, session: str, now_ns: int) -> list[Effect]:
        """Take a connection as the controller's; tell a new one what is known of the nodes."""
        is_new = self.controller != peer
        self.controller, self.session, self.heard_ns = peer, session, now_ns
        if not is_new:
            return []
        return self._tell_news(now_ns)

    def _tell_news(self, now_ns: int) -> list[Effect]:
        """Say the last news of every node: a lost word would leave the controller waiting for ever."""
        self._news_ns = now_ns + NEWS_EVERY_NS
        told = (part.told for part in self.parts.values())
        return [ToController(self.facts.run, news) for news in told if news is not None]

    def is_led_by_another(self, session: str, now_ns: int) -> bool:
        """Whether a controller that is not this one, though of the same operator, was heard of just now."""
        return bool(self.session) and session != self.session and now_ns - self.heard_ns < SILENCE_NS

    def heard(self, now_ns: int) -> None:
        """Note that the controller spoke."""
        self.heard_ns = now_ns

    def postpone(self, ns: int, now_ns: int) -> None:
        """Give everybody so much more time: nobody listened to them."""
        self.heard_ns = min(self.heard_ns + ns, now_ns)
        for part in self.parts.values():
            part.heard_ns = min(part.heard_ns + ns, now_ns)

    # --- its nodes ----------------------------------------------------------------------------------

    def node_heard(self, node: str, now_ns: int) -> list[Effect]:
        """Note that a node spoke; the controller hears of it if the node was lost.

        Records of an agent that has ended may still come; that it is back, its hello says.
        """
        part = self.parts[node]
        part.heard_ns = now_ns
        return self._back(node, part) if isinstance(part.news, NodeLost) and not part.news.gone else []

    def node_hello(self, hello: AgentHello, now_ns: int) -> list[Effect]:
        """Note a node's hello; the controller hears of a new start of its agent, and after a silence."""
        part, run = self.parts[hello.name], self.facts.run
        is_news = part.incarnation != hello.incarnation or isinstance(part.news, NodeLost)
        part.alone = run in hello.alone
        # A new start has restarted, also while it resets what the last one has left.
        part.was_cut = part.alone and part.incarnation in (None, hello.incarnation)
        part.incarnation, part.works_on, part.heard_ns = hello.incarnation, run in hello.runs, now_ns
        return self._back(hello.name, part) if is_news and not part.is_broken else []

    def node_left(self, node: str, sentence: str, now_ns: int) -> list[Effect]:
        """Note that a node's agent has ended, and with it what it did for this run."""
        part = self.parts[node]
        part.works_on, part.heard_ns = False, now_ns
        part.news = NodeLost(run=self.facts.run, node=node, sentence=sentence, gone=True)
        return [ToController(self.facts.run, part.news)]

    def node_broken(self, node: str, sentence: str) -> list[Effect]:
        """Note that a node says what cannot be, and tell the controller: it will not wait for more.

        It does not come back into the run, whatever it says from now on.
        """
        part = self.parts[node]
        part.is_broken = True
        part.news = NodeLost(run=self.facts.run, node=node, sentence=sentence, gone=True)
        return [ToController(self.facts.run, part.news)]

    def _back(self, node: str, part: Part) -> list[Effect]:
        run, incarnation = self.facts.run, part.incarnation or 0
        part.news = NodeBack(
            run=run, node=node, incarnation=incarnation, works_on=part.works_on, alone=part.was_cut
        )
        return [ToController(run, part.freed or part.news)]

    def _lost(self, now_ns: int) -> list[Effect]:
        silent = [
            (node, part)
            for node, part in self.parts.items()
            if now_ns - part.heard_ns >= SILENCE_NS and not isinstance(part.news, NodeLost)
        ]
        for node, part in silent:
            sentence = f"{node} is not reachable, {heard(part.heard_ns, now_ns)}"
            part.news = NodeLost(run=self.facts.run, node=node, sentence=sentence)
        return [ToController(self.facts.run, part.news) for _, part in silent if part.news]

    def assigned(self, node: str) -> None:
        """Note that a node has, or may have, its part of the run."""
        part = self.parts[node]
        part.works_on, part.freed, part.alone = True, None, False
        if isinstance(part.news, NodeBack):
            part.news = replace(part.news, works_on=True)

    def freed(self, message: Freed) -> None:
        """Note that a node has nothing of the run left."""
        part = self.parts[message.node]
        part.works_on, part.freed, part.alone = False, message, False

    def unfreed(self) -> list[str]:
        """Return the nodes that may still work for the run."""
        return [node for node, part in self.parts.items() if not part.is_left]

    # --- the lease ----------------------------------------------------------------------------------

    def is_left(self, now_ns: int) -> bool:
        """Say whether an abandoned run has come to rest: every node freed, or lost for a lease.

        Nodes that live, and never say that they have ended their part, keep it open for a time only.
        """
        if not self.abandoned:
            return False
        return now_ns - self._abandoned_ns >= ABANDONED_NS or all(
            part.is_left or part.is_broken or now_ns - part.heard_ns >= LEASE_NS
            for part in self.parts.values()
        )

    def why_left(self) -> tuple[str, ...]:
        """Return the sentences for the verdict of an abandoned run."""
        lost = [node for node, part in self.parts.items() if not part.is_left]
        return (self.abandoned, *([f"never heard that it ended on {listed(lost)}"] if lost else []))

    def _abandon(self, now_ns: int) -> list[Effect]:
        if not self.abandoned:
            self.abandoned = f"the controller was lost, {heard(self.heard_ns, now_ns)}"
            self._abandoned_ns = now_ns
        self._repeat_ns = now_ns + REPEAT_NS
        effects = [] if self._go is None else self._go.cancel(self.abandoned, now_ns)
        message = Abandon(run=self.facts.run, sentence=self.abandoned)
        return effects + [ToNode(node, message) for node, part in self.parts.items() if not part.is_left]

    # --- a go ---------------------------------------------------------------------------------------

    def start_phase(
        self, request: StartPhase, epoch: int, now_ns: int, listening: Callable[[str], bool]
    ) -> list[Effect] | str:
        """Begin a go, or repeat the answer to one.

        Returns:
            What is to be done, or the sentence that says why it cannot be.
        """
        key = (request.phase, request.go)
        if key in self._results:
            return [ToController(self.facts.run, self._results[key])]
        if self._go is not None:
            return [] if self._go.key == key else f"the go of phase {self._go.key[0]} is under way"
        strange = set(request.nodes) - self.parts.keys()
        if strange or not request.nodes:
            return f"the run does not have {listed(strange) or 'a node to start'}"
        self._go = GoRound(request, epoch, now_ns, self._pace)
        return self._go.start(listening)

    def answer_go(self, node: str, message: Confirm | Declined | Aborted, now_ns: int) -> list[Effect]:
        """Take a node's answer to a go."""
        return [] if self._go is None else self._after_go(self._go.receive(node, message, now_ns))

    def _after_go(self, effects: list[Effect]) -> list[Effect]:
        go = self._go
        if go is not None and go.result is not None:
            self._results[go.key] = go.result
            self._go = None
            while len(self._results) > GO_RESULTS:
                del self._results[next(iter(self._results))]
        return effects

    # --- time ---------------------------------------------------------------------------------------

    @property
    def go_deadline_ns(self) -> int | None:
        """When the go has something to do."""
        return None if self._go is None else self._go.deadline_ns

    @property
    def deadline_ns(self) -> int:
        """When a lease ends, a node counts as lost, or something is to be said again."""
        waits = [
            part.heard_ns + SILENCE_NS for part in self.parts.values() if not isinstance(part.news, NodeLost)
        ]
        waits += [self._news_ns] if any(part.told for part in self.parts.values()) else []
        lease_ns = self._repeat_ns if self.abandoned else self.heard_ns + self._lease_ns
        return min([lease_ns, *waits])

    def expire_go(self, now_ns: int) -> list[Effect]:
        """Carry the go on.  Safe to call at any time."""
        return [] if self._go is None else self._after_go(self._go.expire(now_ns))

    def expire(self, now_ns: int) -> list[Effect]:
        """Tell of lost nodes, end the lease, say again what must arrive.  Safe to call at any time."""
        effects = self._tell_news(now_ns) if now_ns >= self._news_ns else []
        effects += self._lost(now_ns)
        is_due = now_ns >= self._repeat_ns if self.abandoned else now_ns - self.heard_ns >= self._lease_ns
        return effects + self._abandon(now_ns) if is_due else effects
