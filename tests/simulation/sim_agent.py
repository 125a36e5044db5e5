"""The agent's machines with a launcher and a journal in memory, which survives the agent as files do."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agents import session as ss
from agents.effects import Check, Effect, RefreshClock, Report, Send, Ship
from agents.executor import Executor
from agents.session import Session
from fabric.protocol.codec import encode
from fabric.protocol.limits import PROTOCOL_VERSION, WINDOW_RECORDS
from fabric.protocol.messages import (
    Abandon,
    Acknowledged,
    AgentHello,
    Assign,
    Batch,
    Beat,
    Forget,
    Free,
    Freed,
    Goodbye,
    JournalHead,
    Message,
    Probe,
    Resend,
)
from fabric.protocol.records import Record
from tests.simulation.sim_broker import SimBroker
from tests.simulation.sim_launcher import SimLauncher
from tests.simulation.world import Alarm, Network, S, World

RESEND_NS = 2 * S


@dataclass
class Journal:
    run: str
    incarnation: int
    records: list[tuple[Record, bytes]] = field(default_factory=list)
    acknowledged: int = 0
    sent: int = 0
    progress_ns: int = 0  # last acknowledgement, or first record sent after one


class SimAgent:
    """A node: session, executors, launcher, journals."""

    def __init__(self, world: World, network: Network, broker: SimBroker, name: str, skew_ns: int) -> None:
        self.world, self.network, self.broker, self.name = world, network, broker, name
        self.skew_ns = skew_ns  # local monotonic minus world time
        self.journals: dict[tuple[str, int], Journal] = {}
        self.incarnation = 0
        self.alive = False
        self.life = 0
        self.starts: list[tuple[int, str]] = []  # when which key was released
        self.written: dict[tuple[str, int, int, str], bytes] = {}
        """What programs wrote, by step, attempt, incarnation and stream."""
        self.start()

    @property
    def local_ns(self) -> int:
        return self.world.now_ns + self.skew_ns

    def start(self) -> None:
        """Begin a life."""
        self.incarnation += 1
        self.life += 1
        self.alive = True
        self.connection = ""
        self.sockets = 0
        self.executors: dict[str, Executor] = {}
        self.launcher = SimLauncher(self)
        self.transfers: dict[str, bool] = {}  # that are under way, and whether for metrics
        self._effects: deque[Effect] = deque()
        self._is_busy = False
        self.shipping: dict[str, str] = {}
        self.freed: dict[str, Freed] = {}
        self.session = Session(self.name, None, self.world.random.random, self.local_ns)
        self.alarm = Alarm(self.world, self._expire)
        self._rearm()

    def crash(self) -> None:
        """Lose everything but the journals; the launcher ends all programs."""
        self.alive = False
        self.life += 1

    def stop(self) -> None:
        """End as after a signal: say goodbye, keep the journals."""
        if self.alive:
            if self.session.state == "up":
                self._say(Goodbye(sentence="SIGTERM"))
            self.crash()

    def lose_launcher(self) -> None:
        """The launcher dies, and with it all programs; there is a new one at once."""
        if self.alive:
            gone, self.launcher = self.launcher, SimLauncher(self)
            for executor in list(self.executors.values()):
                self.do(executor.launcher_died("the launcher died", self.local_ns))
            gone.end_streams()

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, message: Message) -> None:
        """Take a message of the broker."""
        if not self.alive or connection != self.connection:
            return
        self._session(self.session.receive(message, self.local_ns))
        if isinstance(message, Acknowledged):
            self._acknowledged(message)
        elif isinstance(message, Resend):
            self._rewind(message)
        elif isinstance(message, Forget):
            self.journals.pop((message.run, message.incarnation), None)
        else:
            self._for_run(message)
        self._ship()
        self._rearm()

    def _for_run(self, message: Message) -> None:
        run = getattr(message, "run", None)
        if run is None:
            return
        executor = self.executors.get(run)
        if executor is None and isinstance(message, Assign):
            executor = self.executors[run] = Executor(message)
            self.journals[run, self.incarnation] = Journal(run, self.incarnation)
            executor.clock_changed(self._epoch, self.session.time.clock)
        if executor is not None:
            self.do(executor.receive(message, self.local_ns))
        elif isinstance(message, (Free, Abandon)):
            nothing = Freed(
                run=run, node=self.name, incarnation=self.incarnation, records=0, reset_failed=False
            )
            self._say(self.freed.get(run, nothing))

    def _expire(self) -> None:
        if not self.alive:
            return
        self._session(self.session.expire(self.local_ns))
        for executor in list(self.executors.values()):
            self.do(executor.expire(self.local_ns))
            if self.session.state != "up":
                self.do(executor.unheard(self.session.heard_ns, self.local_ns))
        self._ship()
        self._rearm()

    def _rearm(self) -> None:
        times = [self.session.deadline_ns]
        for executor in self.executors.values():
            if executor.deadline_ns is not None:
                times.append(executor.deadline_ns)
            if self.session.state != "up":
                times.append(max(self.local_ns, self.session.heard_ns) + round(executor.assign.lease_s * S))
        self.alarm.set(max(min(times) - self.skew_ns, self.world.now_ns + 1))

    # --- session ----------------------------------------------------------------------------------------

    def _session(self, effects: list[ss.SessionEffect]) -> None:  # noqa: C901 - one case for each effect
        for effect in effects:
            match effect:
                case ss.Connect():
                    self.sockets += 1
                    self.connection = f"node:{self.name}#{self.life}.{self.sockets}"
                case ss.Disconnect():
                    self.connection = ""
                case ss.Say(message):
                    self._say(message)
                case ss.SayHello():
                    self._say(self._hello())
                case ss.SayBeat():
                    self._say(Beat())
                case ss.AskTime():
                    self._say(Probe(t1_ns=self.local_ns))
                case ss.OpenStreams():
                    self._clock_changed(burst_done=False)
                    for journal in self.journals.values():
                        journal.sent = journal.acknowledged
                case ss.ClockChanged(done):
                    self._clock_changed(burst_done=done)
                case ss.ClockContradicted(found):
                    raise AssertionError(found)
                case ss.GiveUp(sentence):
                    raise AssertionError(sentence)

    @property
    def _epoch(self) -> int:
        return self.session.epoch if self.session.knows_time else 0

    def _clock_changed(self, *, burst_done: bool) -> None:
        for executor in list(self.executors.values()):
            executor.clock_changed(self._epoch, self.session.time.clock)
            if burst_done:
                self.do(executor.clock_refreshed(self.local_ns))

    def _hello(self) -> AgentHello:
        heads = tuple(JournalHead(run=one.run, incarnation=one.incarnation) for one in self.journals.values())
        return AgentHello(
            protocol=PROTOCOL_VERSION, software="sim", name=self.name, instance=self.name,
            incarnation=self.incarnation, labels=(), addresses={"": self.name}, facts={},
            journals=heads, runs=tuple(self.executors),
        )  # fmt: skip

    def _say(self, message: Message) -> None:
        connection, frame = self.connection, encode(message)
        if connection:
            self.network.send(
                connection, "broker", "control",
                lambda: self.broker.hear(connection, self, f"node:{self.name}", frame),
            )  # fmt: skip

    # --- executor ---------------------------------------------------------------------------------------

    def do(self, effects: list[Effect]) -> None:
        """Do what an executor asks for; what follows from the answers comes after all of it."""
        self._effects.extend(effects)
        if self._is_busy:
            return
        self._is_busy = True
        while self._effects:
            self._carry(self._effects.popleft())
        self._is_busy = False

    def _carry(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self._say(message)
            case Report(run, record):
                self.append(run, record, b"")
            case RefreshClock():
                self._session(self.session.refresh_clock(self.local_ns))
            case Ship(run, dirty):
                self.shipping[run] = dirty
            case Check(run, phase):
                self.do(self.executors[run].checked(phase, None, self.local_ns))
            case _:
                self.launcher.do(effect)

    def tell(self, run: str, call: Callable[[Executor], list[Effect]]) -> None:
        """Let the launcher tell an executor something."""
        executor = self.executors.get(run)
        if executor is not None:
            self.do(call(executor))
            self._ship()
            self._rearm()

    # --- journal ----------------------------------------------------------------------------------------

    def append(self, run: str, record: Record, data: bytes) -> None:
        self.journals[run, self.incarnation].records.append((record, data))

    def _acknowledged(self, message: Acknowledged) -> None:
        journal = self.journals.get((message.run, message.incarnation))
        if journal is None:
            return
        assert message.number <= len(journal.records), "more was acknowledged than was reported"
        if message.number > journal.acknowledged:
            journal.progress_ns = self.world.now_ns
        journal.acknowledged = max(journal.acknowledged, message.number)
        journal.sent = max(journal.sent, journal.acknowledged)

    def _rewind(self, message: Resend) -> None:
        journal = self.journals.get((message.run, message.incarnation))
        if journal is not None:
            journal.sent = max(journal.acknowledged, min(journal.sent, message.number - 1))

    def _ship(self) -> None:
        if self.session.state != "up":
            return
        for key, journal in list(self.journals.items()):
            if journal.sent == journal.acknowledged:
                journal.progress_ns = self.world.now_ns
            elif self.world.now_ns - journal.progress_ns >= RESEND_NS:
                journal.progress_ns, journal.sent = self.world.now_ns, journal.acknowledged
            while journal.sent < len(journal.records):
                self._push(journal)
            self._free(key, journal)

    def _push(self, journal: Journal) -> None:
        count = min(self.world.random.randint(1, 4), len(journal.records) - journal.sent, WINDOW_RECORDS)
        part = journal.records[journal.sent : journal.sent + count]
        batch = Batch(
            run=journal.run, incarnation=journal.incarnation, first=journal.sent + 1,
            records=tuple(record for record, _ in part),
        )  # fmt: skip
        journal.sent += count
        frame, payload = encode(batch), b"".join(data for _, data in part)
        self.network.send(
            self.connection, "broker", "sink", lambda: self.broker.hear_batch(self.name, frame, payload)
        )

    def _free(self, key: tuple[str, int], journal: Journal) -> None:
        if journal.acknowledged < len(journal.records):
            return
        if journal.incarnation != self.incarnation:
            del self.journals[key]
        elif journal.run in self.shipping:
            dirty = self.shipping.pop(journal.run)
            self.executors.pop(journal.run, None)
            count = len(journal.records)
            freed = Freed(
                run=journal.run, node=self.name, incarnation=self.incarnation, records=count,
                reset_failed=bool(dirty), reset_why=dirty,
            )  # fmt: skip
            self.freed[journal.run] = freed
            del self.journals[key]
            self._say(freed)
