"""Phases that start, and nothing else: the broker's go, executors and a controller's phase, from a seed.

Smaller than the whole runs of `world`, so that a hundred thousand orders of events can be gone through.
"""

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from broker.effects import LogState, PublishGo, RunFacts, ToController, ToNode
from broker.runs import Run as OpenRun
from fabric.controller.desk import Desk
from fabric.controller.effects import Effect, Note, Tell
from fabric.controller.entry import Read
from fabric.controller.partial import take_record
from fabric.controller.phase import PhaseRun
from fabric.controller.plan import RunPlan
from fabric.protocol.messages import (
    Abort,
    Aborted,
    Confirm,
    Declined,
    Go,
    Message,
    Prepare,
    Ready,
    Refused,
    StartPhase,
)
from fabric.protocol.records import PhaseFinished, Record
from fabric.timing.lead import guard_ns
from fabric.trial.load import parse_trial
from tests.plans import kept, plain_plan
from tests.simulation.go_links import Link, Turns
from tests.simulation.go_node import GoNode
from tests.simulation.world import MS, Alarm, S, World

RUN = "20260301-102207-ping-k3f9"
BEGIN_NS = 1_700_000_000 * S
LOST_NS = 12 * S
"""A node that is dead is given up after so long."""

TRIAL = """
[trial]
name = "go"
[nodes]
a = [{nodes}]
b = "n1"
[run]
a = "work"
b = [{{ cmd = "more", at = "{at}" }}]
[reset]
a = "clean"
"""


@cache
def plan_of(nodes: int, at: str, repeats: int) -> RunPlan:
    names = ", ".join(f'"n{number}"' for number in range(1, nodes + 1))
    trial = parse_trial(TRIAL.format(nodes=names, at=at), "go.toml")
    return kept(plain_plan(trial, {}, ("run",), repeats))


@dataclass
class Sent:
    """A go as the broker sent it; instants are world time."""

    phase: str
    number: int
    nodes: tuple[str, ...]
    t0_ns: int
    decided_ns: int
    first_abort_ns: int | None = None


class GoBroker:
    """The open run of a broker that may die and come back."""

    def __init__(self, lab: "GoLab") -> None:
        self.lab, self.world = lab, lab.world
        self.turns = Turns(lab.world)
        self.epoch = 0
        self.offset_ns = BEGIN_NS
        self.gos: list[Sent] = []
        self._alarm = Alarm(lab.world, lambda: self.turns.take(self._expire))

    @property
    def fabric_ns(self) -> int:
        return self.offset_ns + self.world.now_ns

    def start(self) -> None:
        """Begin a life: of a go that was under way nothing is known."""
        self.epoch += 1
        self.offset_ns = BEGIN_NS + self.epoch * 37 * MS
        facts = RunFacts(
            run=RUN, name="go", operator="op", nodes=tuple(self.lab.names), opened_ns=0, lease_s=1000.0,
            session="s", verdict="", log=LogState(0, {}),
        )  # fmt: skip
        self.run = OpenRun(facts, dict.fromkeys(self.lab.names, 1), self.fabric_ns)
        self.turns.alive = True

    def ask(self, message: StartPhase) -> None:
        """Take the controller's request."""
        found = self.run.start_phase(message, self.epoch, self.fabric_ns, lambda _: self.lab.all_listen)
        assert not isinstance(found, str), found
        self._do(found)

    def answer(self, node: str, message: Confirm | Declined | Aborted) -> None:
        """Take a node's answer."""
        self._do(self.run.answer_go(node, message, self.fabric_ns))

    def _expire(self) -> None:
        self._do(self.run.expire_go(self.fabric_ns))

    def _do(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case PublishGo(message):
                    self._note(message)
                    for node in self.lab.nodes.values():
                        self._send(node, message)
                case ToNode(node, message):
                    self._send(self.lab.nodes[node], message)
                case ToController(_, message):
                    self.lab.to_controller(message)
        deadline_ns = self.run.go_deadline_ns
        self._alarm.set(
            None if deadline_ns is None else max(deadline_ns - self.offset_ns, self.world.now_ns + 1)
        )

    def _send(self, node: GoNode, message: Message) -> None:
        life = node.turns.life
        node.down.send(lambda: node.hear(message) if node.turns.life == life else None)

    def _note(self, message: Go | Abort) -> None:
        if isinstance(message, Abort):
            self.gos[-1].first_abort_ns = self.world.now_ns
            return
        t0_ns = message.t0_ns - self.offset_ns
        guard = guard_ns(t0_ns - self.world.now_ns)
        request = self.run._go.request  # type: ignore[union-attr]
        self.gos.append(Sent(message.phase, message.go, request.nodes, t0_ns, t0_ns - guard))
        self.lab.note_go(len(self.gos), t0_ns)


@dataclass
class Story:
    """What happens in a seed."""

    seed: int
    nodes: int = 3
    repeats: int = 2
    base_ns: tuple[int, int] = (50_000, 5 * MS)
    loss: float = 0.0
    tail: float = 0.0
    cuts: int = 0
    node_stalls: int = 0
    broker_stalls: int = 0
    launcher_stalls: int = 0
    node_deaths: int = 0
    broker_deaths: int = 0
    notes: list[str] = field(default_factory=list)


class GoLab:
    """One schedule."""

    def __init__(self, story: Story) -> None:
        self.story, self.run_id = story, RUN
        self.world = World(story.seed)
        random = self.world.random
        self.names = [f"n{number}" for number in range(1, story.nodes + 1)]
        self.all_listen = random.random() < 0.7
        self.nodes: dict[str, GoNode] = {}
        self.broker = GoBroker(self)
        self.broker.start()
        for name in self.names:
            self.nodes[name] = GoNode(self, name, self._link(), self._link())
        self.control = (self._link(), self._link())  # to the broker, from it
        self.desk = Desk(RUN, plan_of(story.nodes, random.choice(("0s", "3ms", "30ms")), story.repeats))
        self.desk.alive = dict.fromkeys(self.names)
        self.lost: set[str] = set()
        self.started: list[tuple[str, str]] = []  # phase, node: by the records that came
        self._number = 0
        self._alarm = Alarm(self.world, self._expire)
        self._troubled = random.choice((1, 1, 2, 3)[: story.repeats + 2])  # the go that has the trouble

    def _link(self) -> Link:
        random, story = self.world.random, self.story
        base_ns = random.randint(*story.base_ns)
        jitter_ns = random.choice((0, base_ns, *([20 * MS] if story.tail else [])))
        return Link(self.world, base_ns, jitter_ns, story.loss, story.tail)

    # --- trouble ----------------------------------------------------------------------------------------

    def note_go(self, count: int, t0_ns: int) -> None:
        """Let things happen between a go and a little after its t0."""
        if count != self._troubled:
            return
        random, story, now_ns = self.world.random, self.story, self.world.now_ns
        nodes = list(self.nodes.values())
        after_ns = t0_ns - now_ns + 20 * MS

        def window(longest_ms: int) -> tuple[int, int]:
            begin_ns = now_ns + random.randrange(after_ns)
            return begin_ns, begin_ns + random.choice((MS, 10 * MS, longest_ms * MS, longest_ms * MS))

        for _ in range(story.cuts):
            node, cut = random.choice(nodes), window(random.choice((30, 300, 4000)))
            for link in random.choice(((node.up,), (node.down,), (node.up, node.down))):
                link.cuts.append(cut)
        for _ in range(story.node_stalls):
            random.choice(nodes).turns.stalls.append(window(100))
        for _ in range(story.launcher_stalls):
            random.choice(nodes).launcher.stalls.append(window(100))
        for _ in range(story.broker_stalls):
            self.broker.turns.stalls.append(window(100))
        for _ in range(story.node_deaths):
            self.world.after(random.randrange(after_ns), partial(self._kill, random.choice(nodes)))
        for _ in range(story.broker_deaths):
            self.world.after(random.randrange(after_ns), self._kill_broker)

    def _kill(self, node: GoNode) -> None:
        if node.turns.alive:
            node.die()
            self.world.after(LOST_NS, lambda: self._lose(node.name, f"{node.name} was lost"))

    def _kill_broker(self) -> None:
        self.broker.turns.die()
        self.world.after(self.world.random.randrange(60 * MS, S), self._revive)

    def _revive(self) -> None:
        self.broker.start()
        for node in self.nodes.values():
            self.world.after(self.world.random.randrange(MS, 100 * MS), node.know_clock)
        self.world.after(self.world.random.randrange(MS, 100 * MS), self._say_again)

    # --- words ------------------------------------------------------------------------------------------

    def from_node(self, node: GoNode, message: Message) -> None:
        """Carry what a node says."""
        broker = self.broker
        if isinstance(message, (Confirm, Declined, Aborted)):
            node.up.send(lambda: broker.turns.take(lambda: broker.answer(node.name, message)))
        else:
            node.up.send(lambda: broker.turns.take(lambda: self.to_controller(message)))

    def to_controller(self, message: Message) -> None:
        """Carry what the broker says, or passes on."""
        self.control[1].send(lambda: self._heard(message))

    def record(self, node: GoNode, record: Record) -> None:
        """Carry a record: it is kept until it has come."""
        at_ns = node.up.open_ns(self.world.now_ns) + self.world.random.randrange(MS, 30 * MS)
        self.world.at(at_ns, lambda: self._read(node.name, record))

    def _say(self, message: Message) -> None:
        broker = self.broker
        if isinstance(message, StartPhase):
            self.control[0].send(lambda: broker.turns.take(lambda: broker.ask(message)))
            return
        node = self.nodes[message.node]  # type: ignore[attr-defined]
        self.control[0].send(lambda: broker.turns.take(lambda: node.down.send(lambda: node.hear(message))))

    # --- the controller ---------------------------------------------------------------------------------

    @property
    def local_ns(self) -> int:
        return self.world.now_ns + 5 * S

    def run(self) -> bool:
        """Go through the phases; False if one hangs."""
        for repeat in self.desk.plan.repeats:
            self.phase = PhaseRun(self.desk, repeat, "run")
            self._do(self.phase.begin(self.local_ns))
            if not self.world.run(lambda: self.phase.is_over, 400 * S):
                return False
            if self.desk.is_last_repeat:
                break
        self.world.run(lambda: False, self.world.now_ns + 30 * S)  # what is under way arrives
        return True

    def _heard(self, message: Message) -> None:
        now_ns = self.local_ns
        match message:
            case Ready():
                self._do(self.phase.ready(message, now_ns))
            case Refused():
                self._do(self.phase.refused(message, now_ns))
            case _ if message.kind == "go_committed":
                self._do(self.phase.committed(message, now_ns))  # type: ignore[arg-type]
            case _ if message.kind == "go_aborted":
                self._do(self.phase.aborted(message, now_ns))  # type: ignore[arg-type]
            case _:
                pass

    def _read(self, node: str, record: Record) -> None:
        self._number += 1
        take_record(self.desk, Read(self._number, node, record, b"", 1), self.local_ns)
        if isinstance(record, PhaseFinished) and record.phase == self.phase.id:
            self._do(self.phase.finished(node, self.local_ns))

    def _say_again(self) -> None:
        self._do([Tell(message) for message in self.desk.outbox.repeat_all(self.local_ns)])

    def _expire(self) -> None:
        now_ns = self.local_ns
        effects: list[Effect] = [Tell(message) for message in self.desk.outbox.expire(now_ns)]
        self._do(effects + self.phase.expire(now_ns))
        while self.phase.overdue:
            node, why = self.phase.overdue.pop(0)
            self._lose(node, why)
        assert not self.phase.lost_broker

    def _lose(self, node: str, why: str) -> None:
        """Give a node up, as a run does."""
        self.lost.add(node)
        if self.desk.alive.pop(node, self) is self:
            return
        self.desk.findings.add("error", why)
        self.desk.is_last_repeat = True
        self.desk.progress.stop()
        self._do(self.phase.node_gone(node, why, self.local_ns))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(message):
                    self._say(message)
                case Note(record):
                    self.record_own(record)
                case _:
                    pass
        if not self.phase.is_over:
            times = [self.phase.deadline_ns, self.desk.outbox.deadline_ns]
            self._alarm.set(min(time for time in times if time is not None) - 5 * S)

    def record_own(self, record: Record) -> None:
        """Take in a record of the controller's own."""
        self._number += 1
        take_record(self.desk, Read(self._number, "", record, b"", 1), self.local_ns)

    # --- what came of it --------------------------------------------------------------------------------

    def starters(self, phase: str) -> dict[str, list[tuple[int, int]]]:
        """Return the nodes that began a phase: when, and for which instant."""
        return {
            name: found
            for name, node in self.nodes.items()
            if (found := [(at, planned) for one, at, planned in node.starts if one == phase])
        }


__all__ = ["GoLab", "Prepare", "Sent", "Story"]
