"""The controller's machines: Run, RunReader and the journal of the run's own records, in memory."""

import itertools
import json
from collections.abc import Callable

from fabric.controller import reader as rd
from fabric.controller.effects import Effect, Note, Over, Tell
from fabric.controller.entry import Entry, Read
from fabric.controller.plan import RunPlan
from fabric.controller.reader import RunReader
from fabric.controller.run import Run
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import (
    Acknowledged,
    Append,
    Beacon,
    Beat,
    HelloWanted,
    Message,
    OperatorHello,
    ReplayEnd,
    Resend,
    RunOpened,
    Welcome,
)
from fabric.protocol.records import Record
from tests.simulation.sim_broker import SimBroker, StoredEntry
from tests.simulation.world import MS, Alarm, Network, S

SKEW_NS = -3 * S


class SimController:
    """One fabric-run; ``number`` says which."""

    def __init__(self, network: Network, broker: SimBroker, plan: RunPlan, run: str, number: int) -> None:
        self.world = world = network.world
        self.network, self.broker = network, broker
        self.run_machine = Run(
            run=run, plan=plan, lease_s=20.0, document="{}", result=lambda _: json.dumps({})
        )
        self.reader = RunReader(run, requests=itertools.count(100))
        self.number = number
        self.over = False
        self.alive = True
        self.reads: list[Read] = []
        self._notes: list[Record] = []
        self._acknowledged = 0
        self._sent = 0
        self._heard_ns = 0
        self._up = False
        self._sockets = 0
        self.connection = ""
        self._alarm = Alarm(world, self._expire)
        self._beat_ns = 0
        self._away_until_ns = 0
        self._connect()
        self._do(self.run_machine.start(self.local_ns))
        self._rearm()

    @property
    def local_ns(self) -> int:
        return self.world.now_ns + 10 * S + SKEW_NS

    def kill(self) -> None:
        """Be gone without a word."""
        self.alive = False

    def pause(self, until_ns: int) -> None:
        """Stand still: what comes meanwhile is taken afterwards, by old timers too."""
        self._away_until_ns = until_ns

    def _is_away(self, then: Callable[[], None]) -> bool:
        if self.world.now_ns >= self._away_until_ns:
            return False
        self.world.at(self._away_until_ns, then)
        return True

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, message: Message | StoredEntry) -> None:  # noqa: C901 - a case for each
        """Take what comes by control and feed."""
        if not self.alive or connection != self.connection:
            return
        if self._is_away(lambda: self.hear(connection, message)):
            return
        self._heard_ns = self.world.now_ns
        match message:
            case StoredEntry():
                head, batch = message.head, message.batch
                entry = Entry(
                    batch.run, head.number, head.node, batch.records, message.payload, head.incarnation
                )
                self._read(self.reader.entry(entry, self.local_ns))
            case Beacon():
                self._read(self.reader.beacon(message, self.local_ns))
            case ReplayEnd():
                self._read(self.reader.replay_end(message, self.local_ns))
            case Welcome():
                self._welcomed()
            case HelloWanted():
                self._connect()
            case Acknowledged():
                self._acknowledged = max(self._acknowledged, message.number)
                self._sent = max(self._sent, self._acknowledged)
            case Resend():
                self._sent = max(self._acknowledged, message.number - 1)
                self._append()
            case _:
                if isinstance(message, RunOpened) and not self.reader.deadline_ns:
                    self._read(self.reader.connected(self.local_ns))
                self._do(self.run_machine.receive(message, self.local_ns))
        self._rearm()

    def interrupt(self) -> None:
        """Ctrl-C."""
        if self.alive and not self.over and not self._is_away(self.interrupt):
            self._do(self.run_machine.interrupt(self.local_ns))
            self._rearm()

    def _expire(self) -> None:
        if not self.alive or self.over or self._is_away(self._expire):
            return
        now_ns = self.world.now_ns
        if now_ns - self._heard_ns > 5 * S:
            self._connect()
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + S
            if self._up:
                self._say(Beat())
                self._sent = self._acknowledged
                self._append()
            else:
                self._hello()
        self._do(self.run_machine.expire(self.local_ns))
        self._read(self.reader.expire(self.local_ns))
        self._rearm()

    def _rearm(self) -> None:
        offset_ns = self.local_ns - self.world.now_ns
        times = [self._beat_ns]
        deadlines = (self.run_machine.deadline_ns, self.reader.deadline_ns)
        times += [deadline_ns - offset_ns for deadline_ns in deadlines if deadline_ns is not None]
        self._alarm.set(max(min(times), self.world.now_ns + 1 * MS))

    # --- output -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._up = False
        self._sockets += 1
        self._heard_ns = self.world.now_ns
        self.connection = f"operator#{self.number}.{self._sockets}"
        self.reader.disconnected()
        self._hello()

    def _hello(self) -> None:
        self._say(
            OperatorHello(
                protocol=PROTOCOL_VERSION,
                software="sim",
                program="fabric-run",
                session=f"s{self.number}",
                user="u",
                host="h",
            )
        )

    def _welcomed(self) -> None:
        if self._up:
            return
        self._up = True
        self.broker.feed.append(self)
        self._do(self.run_machine.connected(self.local_ns))
        if self.run_machine.state not in ("new", "opening"):
            self._read(self.reader.connected(self.local_ns))
        self._sent = self._acknowledged
        self._append()

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(message):
                    self._say(message)
                case Note(record):
                    self._notes.append(record)
                    self._append()
                case Over():
                    self.over = True

    def _read(self, effects: list[rd.Effect]) -> None:
        for effect in effects:
            match effect:
                case rd.Ask(replay):
                    self._say(replay)
                case rd.Deliver(reads):
                    for read in reads:
                        self.reads.append(read)
                        if not self.over:
                            self._do(self.run_machine.read(read, self.local_ns))

    def _append(self) -> None:
        records = tuple(self._notes[self._sent :])
        if not self._up or not records:
            return
        first, self._sent = self._sent + 1, len(self._notes)
        self._say(Append(run=self.run_machine.run, incarnation=7, first=first, records=records))

    def _say(self, message: Message) -> None:
        connection, arrived = self.connection, self.world.wire(message)
        self.network.send(
            connection, "broker", "control",
            lambda: self.broker.hear(connection, self, "operator:op", arrived),
        )  # fmt: skip
