"""The agent's machines with a launcher and a journal in memory, which survives the agent as files do."""

from collections import deque
from collections.abc import Callable

from agents import session as ss
from agents.effects import Check, Effect, RefreshClock, Report, Send, Ship
from agents.executor import Executor
from agents.session import Session
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
    Ready,
    Refused,
    Resend,
)
from fabric.protocol.records import Record
from tests.simulation.sim_broker import SimBroker
from tests.simulation.sim_journal import Disk, Journal
from tests.simulation.sim_launcher import SimLauncher
from tests.simulation.world import Alarm, Network, S, World

RESEND_NS = 2 * S
LAUNCHER_GRACE_NS = 5 * S


class SimAgent:
    """A node: session, executors, launcher, journals."""

    def __init__(self, world: World, network: Network, broker: SimBroker, name: str, skew_ns: int) -> None:
        self.world, self.network, self.broker, self.name = world, network, broker, name
        self.skew_ns = skew_ns  # local monotonic minus world time
        self.disk = Disk(name, world.random)
        self.journals = self.disk.journals
        self.incarnation = 0
        self.alive = False
        self.life = 0
        self.starts: list[tuple[int, str]] = []  # when which key was released
        self.written: dict[tuple[str, int, int, str], bytes] = {}
        """What programs wrote, by step, attempt, incarnation and stream."""
        self.launcher = SimLauncher(self)
        self.away_until_ns = 0  # it stands still, with all its timers
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
        self.launcher.die()
        self.launcher = SimLauncher(self)
        self.transfers: dict[str, bool] = {}  # that are under way, and whether for metrics
        self._effects: deque[Effect] = deque()
        self._is_busy = False
        self.shipping: dict[str, str] = {}
        self.freed: dict[str, Freed] = {}
        self.session = Session(self.name, None, self.world.random.random, self.local_ns)
        self.alarm = Alarm(self.world, self._expire)
        for left in self.disk.recover():
            executor = self._begin(left.assign, needs_reset=left.needs_reset)
            self.drive(executor, executor.lease_ended(left.why, self.local_ns))
        self._rearm()

    def crash(self) -> None:
        """Lose everything but the files; the launcher goes on for its grace, or until another agent comes."""
        self.alive = False
        self.life += 1
        self.away_until_ns = 0
        self.world.after(LAUNCHER_GRACE_NS, self.launcher.die_alone)

    def lose_power(self) -> None:
        """Lose everything but what is on the disk.  The clock of the next boot begins anew."""
        self.crash()
        self.launcher.die()
        self.disk.lose_power()
        self.skew_ns = self.world.random.randint(0, S) - self.world.now_ns

    def stop(self) -> None:
        """End as after a signal: say goodbye, keep the journals."""
        if self.alive and not self._is_away(self.stop):
            if self.session.state == "up":
                self._say(Goodbye(sentence="SIGTERM"))
            self.launcher.die()
            self.crash()

    def pause(self, until_ns: int) -> None:
        """Stand still, as by SIGSTOP: what comes meanwhile is taken afterwards, by old timers too."""
        self.away_until_ns = until_ns

    def _is_away(self, then: Callable[[], None]) -> bool:
        """Whether it stands still; then it does this when it goes on."""
        if self.world.now_ns >= self.away_until_ns:
            return False
        life = self.life
        self.world.at(self.away_until_ns, lambda: then() if self.life == life else None)
        return True

    def lose_launcher(self) -> None:
        """The launcher dies, and with it all programs; there is a new one at once."""
        if self.alive and not self._is_away(self.lose_launcher):
            gone, self.launcher = self.launcher, SimLauncher(self)
            gone.is_dead = True
            for executor in list(self.executors.values()):
                self.drive(executor, executor.launcher_died("the launcher died", self.local_ns))
            gone.end_streams()

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, message: Message) -> None:
        """Take a message of the broker."""
        if not self.alive or connection != self.connection:
            return
        if self._is_away(lambda: self.hear(connection, message)):
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
            if run in self.freed:
                self._say(Refused(run=run, node=self.name, phase="", step="", sentence="it has left the run"))
                return
            executor = self._begin(message)
        if executor is not None:
            self.drive(executor, executor.receive(message, self.local_ns))
        elif isinstance(message, (Free, Abandon)):
            nothing = Freed(
                run=run, node=self.name, incarnation=self.incarnation, records=0, reset_failed=False
            )
            self._say(self.freed.get(run, nothing))

    def _begin(self, assign: Assign, *, needs_reset: bool = False) -> Executor:
        """Take part in a run."""
        executor = self.executors[assign.run] = Executor(assign, needs_reset=needs_reset)
        self.disk.begin(assign.run, self.incarnation).save(executor)
        executor.clock_changed(self._epoch, self.session.time.clock)
        return executor

    def _expire(self) -> None:
        if not self.alive or self._is_away(self._expire):
            return
        self._session(self.session.expire(self.local_ns))
        for executor in list(self.executors.values()):
            self.drive(executor, executor.expire(self.local_ns))
            if self.session.state != "up":
                self.drive(executor, executor.unheard(self.session.heard_ns, self.local_ns))
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

    def _session(self, effects: list[ss.SessionEffect]) -> None:  # noqa: C901, PLR0912 - one case for each effect
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
                    assert self.broker.keys[self.name].revoked_ns is not None, sentence
                    for executor in list(self.executors.values()):
                        self.drive(executor, executor.lease_ended(sentence, self.local_ns))

    @property
    def _epoch(self) -> int:
        return self.session.epoch if self.session.knows_time else 0

    def _clock_changed(self, *, burst_done: bool) -> None:
        for executor in list(self.executors.values()):
            executor.clock_changed(self._epoch, self.session.time.clock)
            if burst_done:
                self.drive(executor, executor.clock_refreshed(self.local_ns))

    def _hello(self) -> AgentHello:
        heads = tuple(JournalHead(run=one.run, incarnation=one.incarnation) for one in self.journals.values())
        return AgentHello(
            protocol=PROTOCOL_VERSION, software="sim", name=self.name, instance=self.name,
            incarnation=self.incarnation, labels=(), addresses={"": self.name}, facts={},
            journals=heads, runs=tuple(run for run, one in self.executors.items() if one.is_led),
        )  # fmt: skip

    def _say(self, message: Message) -> None:
        connection = self.connection
        if connection:
            arrived = self.world.wire(message)
            self.network.send(
                connection, "broker", "control",
                lambda: self.broker.hear(connection, self, f"node:{self.name}", arrived),
            )  # fmt: skip

    # --- executor ---------------------------------------------------------------------------------------

    def drive(self, executor: Executor, effects: list[Effect]) -> None:
        """Do what an executor asks for; what follows from the answers comes after all of it."""
        self._effects.extend(effects)
        if self._is_busy:
            return
        self._is_busy = True
        while self._effects:
            self._carry(self._effects.popleft())
        self._is_busy = False
        self._save(executor)

    def _save(self, executor: Executor) -> None:
        journal = self.journals.get((executor.run, self.incarnation))
        if journal is not None:
            journal.save(executor)

    def _carry(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                if isinstance(message, Ready):
                    self._save(self.executors[message.run])
                self._say(message)
            case Report(run, record):
                self.append(run, record, b"")
            case RefreshClock():
                self._session(self.session.refresh_clock(self.local_ns))
            case Ship(run, dirty):
                self.shipping[run] = dirty
            case Check(run, phase):
                executor = self.executors[run]
                self.drive(executor, executor.checked(phase, None, self.local_ns))
            case _:
                self.launcher.do(effect)

    def tell(self, run: str, call: Callable[[Executor], list[Effect]]) -> None:
        """Let the launcher tell an executor something."""
        if self._is_away(lambda: self.tell(run, call)):
            return
        executor = self.executors.get(run)
        if executor is not None:
            self.drive(executor, call(executor))
            self._ship()
            self._rearm()

    # --- journal ----------------------------------------------------------------------------------------

    def append(self, run: str, record: Record, data: bytes) -> None:
        self.disk.append(self.journals[run, self.incarnation], record, data)

    def _acknowledged(self, message: Acknowledged) -> None:
        journal = self.journals.get((message.run, message.incarnation))
        if journal is None:
            return
        last = len(journal.records)
        assert message.number <= last or not journal.is_whole, "more was acknowledged than was reported"
        if message.number > journal.acknowledged:
            journal.progress_ns = self.world.now_ns
        journal.acknowledged = max(journal.acknowledged, min(message.number, last))
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
        arrived, payload = self.world.wire(batch), b"".join(data for _, data in part)
        self.network.send(
            self.connection, "broker", "sink", lambda: self.broker.hear_batch(self.name, arrived, payload)
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
