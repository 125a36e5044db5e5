"""The agent's machines with a launcher and a journal in memory, which survives the agent as files do."""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from agents import session as ss
from agents.effects import (
    Arm,
    Check,
    Drop,
    Effect,
    End,
    Hold,
    RefreshClock,
    Release,
    Report,
    Send,
    Ship,
)
from agents.executor import Executor
from agents.journal.ledger import StreamKey, StreamState
from agents.memo import Context
from agents.parting import ANSWERED
from agents.session import Session
from fabric.protocol.limits import PROTOCOL_VERSION, WINDOW_RECORDS
from fabric.protocol.messages import (
    Acknowledged,
    AgentHello,
    Assign,
    Batch,
    Beat,
    Forget,
    Freed,
    Goodbye,
    JournalHead,
    Message,
    Probe,
    Refused,
    Resend,
)
from fabric.protocol.records import Output, Record, Stream
from fabric.timing.offset import Exchange
from tests.simulation.sim_broker import SimBroker
from tests.simulation.sim_files import SimFiles
from tests.simulation.sim_heirs import complete, find_heirs, go_on
from tests.simulation.sim_journal import Disk, Journal
from tests.simulation.sim_launcher import STREAMS, Process, SimLauncher
from tests.simulation.world import MS, Alarm, Network, S, World

RESEND_NS = 2 * S
LAUNCHER_GRACE_NS = 5 * S
KILL_NS = 20 * MS
"""An agent that is to be killed a few acts later, and does nothing, is killed after this."""


class Killed(Exception):  # noqa: N818 - nothing is wrong
    """The agent is killed at this very point."""


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
        self.starts: list[tuple[str, str]] = []  # by which launcher which key was released
        self.written: dict[tuple[str, int, str], bytes] = {}
        """What programs wrote, by key, incarnation of the journal and stream."""
        self.keeps_memo = True  # or nothing can be taken over: a lab may know that nothing will be
        self.launchers = 0
        self.launcher = SimLauncher(self)
        self.away_until_ns = 0  # it stands still, with all its timers
        self.acts_left: int | None = None  # until it is killed
        self.start()

    @property
    def local_ns(self) -> int:
        return self.world.now_ns + self.skew_ns

    def start(self) -> None:
        """Begin a life: take over what the last one had, or end it."""
        self.incarnation += 1
        self.life += 1
        self.alive = True
        self.acts_left = None
        self.connection = ""
        self.sockets = 0
        self.executors: dict[str, Executor] = {}
        self.own: dict[str, Journal] = {}  # that this life writes, by run
        self.pipes: dict[str, set[Stream]] = {}  # that are read, by key
        self.files = SimFiles(self)
        self._effects: deque[Effect] = deque()
        self._is_busy = False
        self.shipping: dict[str, str] = {}
        self.freed: dict[str, Freed] = {}
        self.session = Session(self.name, None, self.world.random.random, self.local_ns)
        self.alarm = Alarm(self.world, self._expire)
        self._turn(self._recover)

    def _recover(self) -> None:
        heirs = find_heirs(self)
        if heirs:
            self.launcher.adopt()
        else:
            self.launcher.end()
            self.launcher = SimLauncher(self)
        left_parts = self.disk.recover({heir.executor.run for heir in heirs})
        for heir in heirs:
            if heir.memo.clock:
                epoch, *instants = heir.memo.clock
                self.session.time.clock.add(epoch, Exchange(*instants))
            complete(self, heir)
            run, parting = heir.executor.run, heir.executor.parting
            self.executors[run], self.own[run] = heir.executor, heir.journal
            if parting.has_shipped:
                self.shipping[run] = parting.dirty
            heir.executor.clock_changed(self._epoch, self.session.time.clock)
        for heir in heirs:
            go_on(self, heir)
        for left in left_parts:
            executor = self._begin(left.assign, needs_reset=left.needs_reset)
            self.drive(executor, executor.lease_ended(left.why, self.local_ns))

    def _turn(self, call: Callable[[], None]) -> None:
        """Do something that it may not live to see the end of, and what is due then."""
        try:
            call()
            self._ship()
            self._rearm()
        except Killed:
            self.crash()

    def act(self) -> None:
        """Come to a point at which it may be killed."""
        if self.acts_left is not None:
            self.acts_left -= 1
            if self.acts_left < 0:
                raise Killed

    def kill(self, acts: int) -> None:
        """Be killed after so many acts."""
        if not self.alive or not acts:
            self.crash()
            return
        self.acts_left, life = acts, self.life
        self.world.after(KILL_NS, lambda: self.crash() if self.life == life else None)

    def crash(self) -> None:
        """Lose everything but the files; the launcher goes on for its grace, or until another agent comes."""
        self.alive = False
        self.life += 1
        self.acts_left = None
        self.away_until_ns = 0
        launcher, life = self.launcher, self.launcher.life
        self.world.after(LAUNCHER_GRACE_NS, lambda: launcher.end_alone(life))

    def lose_power(self) -> None:
        """Lose everything but what is on the disk.  The clock of the next boot begins anew."""
        self.crash()
        self.launcher.die()
        self.disk.lose_power()
        self.skew_ns = self.world.random.randint(0, S) - self.world.now_ns

    def stop(self) -> None:
        """End as after a signal: say goodbye, keep the journals."""
        if self.alive and not self._is_away(self.stop):
            self.acts_left = None
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
        """The launcher dies, and with it all programs; an agent that is there has a new one at once."""
        gone = self.launcher
        processes = [] if gone.is_dead else list(gone.processes.values())
        gone.die()
        if self.alive:
            self._find_launcher_dead(processes)

    def _find_launcher_dead(self, processes: Iterable[Process]) -> None:
        if not self.launcher.is_dead or self._is_away(partial(self._find_launcher_dead, processes)):
            return
        self.launcher = SimLauncher(self)
        self._turn(partial(self._lose_programs, processes))

    def _lose_programs(self, processes: Iterable[Process]) -> None:
        for executor in list(self.executors.values()):
            self.drive(executor, executor.launcher_died("the launcher died", self.local_ns))
        for process in processes:
            process.is_closed = True
            self._read_pipes(process)

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, message: Message) -> None:
        """Take a message of the broker."""
        if not self.alive or connection != self.connection:
            return
        if self._is_away(lambda: self.hear(connection, message)):
            return
        self._turn(partial(self._take, message))

    def _take(self, message: Message) -> None:
        self._session(self.session.receive(message, self.local_ns))
        if isinstance(message, Acknowledged):
            self._acknowledged(message)
        elif isinstance(message, Resend):
            self._rewind(message)
        elif isinstance(message, Forget):
            self.journals.pop((message.run, message.incarnation), None)
        else:
            self._for_run(message)

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
        elif isinstance(message, ANSWERED):
            nothing = Freed(
                run=run, node=self.name, incarnation=self.incarnation, records=0, reset_failed=False
            )
            self._say(self.freed.get(run, nothing))

    def _begin(self, assign: Assign, *, needs_reset: bool = False) -> Executor:
        """Take part in a run."""
        executor = self.executors[assign.run] = Executor(assign, needs_reset=needs_reset)
        self.own[assign.run] = self.disk.begin(assign.run, self.incarnation)
        self.own[assign.run].save(executor)
        executor.clock_changed(self._epoch, self.session.time.clock)
        return executor

    def _expire(self) -> None:
        if self.alive and not self._is_away(self._expire):
            self._turn(self._do_what_is_due)

    def _do_what_is_due(self) -> None:
        self._session(self.session.expire(self.local_ns))
        for executor in list(self.executors.values()):
            self.drive(executor, executor.expire(self.local_ns))
            if self.session.state != "up":
                self.drive(executor, executor.unheard(self.session.heard_ns, self.local_ns))

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
            alone=tuple(run for run, one in self.executors.items() if not one.is_led),
        )  # fmt: skip

    def _say(self, message: Message) -> None:
        connection = self.connection
        if connection:
            self.act()
            arrived = self.world.wire(message)
            self.network.send(
                connection, "broker", "control",
                lambda: self.broker.hear(connection, self, f"node:{self.name}", arrived),
            )  # fmt: skip

    # --- executor ---------------------------------------------------------------------------------------

    def drive(self, executor: Executor, effects: list[Effect]) -> None:
        """Keep what the next life has to know, then do what an executor asks for, as `agents.hands` does."""
        records = tuple(effect.record for effect in effects if isinstance(effect, Report))
        self._keep(executor, records)
        for record in records:
            self.append(executor.run, record, b"")
        self._effects.extend(effect for effect in effects if not isinstance(effect, Report))
        if self._is_busy:
            return
        self._is_busy = True
        while self._effects:
            self.act()
            self._carry(self._effects.popleft())
        self._is_busy = False

    def _keep(self, executor: Executor, records: tuple[Record, ...]) -> None:
        journal = self.own.get(executor.run)
        if journal is None:
            return
        self.act()
        journal.save(executor)
        if self.keeps_memo:
            self.act()
            context = Context(self.launcher.name, self._exchange, len(journal.records), records)
            journal.write_down(executor, self.life, context)

    @property
    def _exchange(self) -> tuple[int, ...]:
        clock = self.session.time.clock
        if clock.epoch is None or clock.last is None:
            return ()
        return clock.epoch, clock.last.t1_ns, clock.last.t2_ns, clock.last.t3_ns, clock.last.t4_ns

    def _carry(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self._say(message)
            case RefreshClock():
                self._session(self.session.refresh_clock(self.local_ns))
            case Ship(run, dirty):
                self.shipping[run] = dirty
            case Check(run, phase):
                executor = self.executors[run]
                self.drive(executor, executor.checked(phase, None, self.local_ns))
            case Drop(key):
                self.pipes.pop(key, None)
                self.launcher.do(effect)
            case Arm() | Release() | Hold() | End():
                self.launcher.do(effect)
            case _:
                self.files.do(effect)

    # --- launcher ---------------------------------------------------------------------------------------

    def tell(self, run: str, call: Callable[[Executor, int], list[Effect]]) -> None:
        """Let an executor hear something."""
        executor = self.executors.get(run)
        if executor is not None and not self._is_away(partial(self.tell, run, call)):
            self._turn(lambda: self.drive(executor, call(executor, self.local_ns)))

    def armed(self, process: Process) -> None:
        """Hear that a program waits for its release, and have its pipes."""
        if self._is_away(partial(self.armed, process)):
            return
        executor = self.executors.get(process.run)
        if executor is not None and executor.steps.get(process.key) is not None:
            self.pipes[process.key] = set(STREAMS)
            self.tell(process.run, lambda executor, now_ns: executor.armed(process.key, now_ns))

    def tree_ended(self, process: Process) -> None:
        """Hear that nothing of a program is left."""
        if self._is_away(partial(self.tree_ended, process)):
            return
        self.tell(process.run, lambda executor, now_ns: executor.ended(process.key, (), False, now_ns))
        if self.alive:
            self._turn(partial(self.note_drained, process.key))

    def note_drained(self, key: str) -> None:
        """Let the launcher forget a program of which everything was read."""
        if key not in self.pipes:
            self.act()
            self.launcher.drained(key)

    def open_pipes(self, key: str, streams: set[Stream]) -> None:
        """Read what a program of the last life writes, and has written."""
        self.pipes[key] = streams
        process = self.launcher.processes[key]
        self.world.after(0, lambda: self.readable(process))

    def readable(self, process: Process) -> None:
        """There is something in the pipes of a program, or their end."""
        if self.alive and process.key in self.pipes and not self._is_away(partial(self.readable, process)):
            self._turn(partial(self._read_pipes, process))

    def _read_pipes(self, process: Process) -> None:
        open_ones = self.pipes.get(process.key, set())
        for stream in STREAMS if open_ones else ():
            self.act()
            data = process.unread.pop(stream, b"")
            if data and not process.is_probe:
                self._append_output(process, stream, data)
            if process.is_closed and stream in open_ones:
                self._close_pipe(process, stream)

    def _close_pipe(self, process: Process, stream: Stream) -> None:
        self.act()
        self.pipes[process.key].discard(stream)
        if not self.pipes[process.key]:
            del self.pipes[process.key]
        size = 0 if process.is_probe else self._append_output(process, stream, b"")
        executor = self.executors.get(process.run)
        if executor is not None:
            self.drive(executor, executor.stream_ended(process.key, stream, size, self.local_ns))
        self.note_drained(process.key)

    def _append_output(self, process: Process, stream: Stream, data: bytes) -> int:
        step, attempt, journal = process.step.step, process.attempt, self.own[process.run]
        had = journal.ledger.streams.get(StreamKey(step, attempt, stream), StreamState(0))
        output = Output(
            t_ns=0, bound_ns=-1, step=step, attempt=attempt, stream=stream, offset=had.end, size=len(data)
        )
        self.disk.append(journal, output, data)
        return had.end + len(data)

    # --- journal ----------------------------------------------------------------------------------------

    def append(self, run: str, record: Record, data: bytes) -> None:
        """Append a record of this life."""
        self.act()
        self.disk.append(self.own[run], record, data)

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
        if self.own.get(journal.run) is not journal:
            del self.journals[key]
        elif journal.run in self.shipping:
            dirty = self.shipping.pop(journal.run)
            self.executors.pop(journal.run, None)
            del self.own[journal.run]
            count = len(journal.records)
            freed = Freed(
                run=journal.run, node=self.name, incarnation=journal.incarnation, records=count,
                reset_failed=bool(dirty), reset_why=dirty,
            )  # fmt: skip
            self.freed[journal.run] = freed
            del self.journals[key]
            self._say(freed)
