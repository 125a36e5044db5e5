"""The way of the records, and nothing else: journals, the sink with its log on a disk, readers, from a seed.

Smaller than the whole runs of `run_lab`, so that ten thousands of orders of events can be gone through.  What
must hold after each: what is acknowledged is on the disk; nothing is stored twice or out of order; a number
means one record for ever, to every reader.  In the end everybody has everything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agents.journal.window import Window
from broker.effects import Effect, LogState, Store
from broker.sink import Sink
from fabric.controller import reader as rd
from fabric.controller.entry import Entry
from fabric.controller.notes import Notes
from fabric.controller.reader import RunReader
from fabric.protocol.messages import (
    Acknowledged,
    Append,
    Batch,
    Beacon,
    EntryHead,
    Message,
    Replay,
    ReplayEnd,
    Resend,
)
from fabric.protocol.names import CONTROLLER
from fabric.protocol.records import Notice
from tests.simulation.troubles import NODES, Story, Trouble
from tests.simulation.world import MS, Alarm, Cut, Network, S, World

RUN = "20260301-102207-ping-k3f9"
LOSSY_NS = 20 * S
LIMIT_NS = 300 * S
RESEND_NS = 2 * S
WRITING_NS = 6 * S
SMALL_WRITING_NS = 2 * S
NOTHING: Final = Notice(t_ns=0, bound_ns=0, level="info", message="")

Id = tuple[str, int, int]
"""Of a record: its source, the incarnation, its number there."""


class Hub:
    """A broker's sink with its disk, its feed and its replays."""

    def __init__(self, lab: "RecordLab") -> None:
        self.lab, self.world = lab, lab.world
        self.entries: list[EntryHead] = []
        self.durable = 0  # entries
        self.stored: set[Id] = set()
        self.on_disk: dict[tuple[str, int], int] = {}
        """The last durable record of each journal."""
        self.life = 0
        self.alive = False
        self.is_open = True
        self.start()

    def start(self) -> None:
        """Begin a life with what is on the disk: all of it is made durable."""
        self.alive = True
        self.life += 1
        self.sink = Sink()
        journals = {(one.node, one.incarnation): one.first + one.count - 1 for one in self.entries}
        self.sink.open(RUN, LogState(self._end(self.entries), journals))
        self._commits = False
        self._alarm = Alarm(self.world, partial(self._in_life, self.life, self._expire))
        self._beacon(self.life)

    def die(self, *, power: bool) -> None:
        """End; without power any part of what is not durable is lost."""
        self.alive = False
        self.life += 1
        keep = self.world.random.randint(self.durable, len(self.entries)) if power else len(self.entries)
        for head in self.entries[keep:]:
            self.stored.difference_update(_ids(head))
        del self.entries[keep:]
        self._reach_disk(keep)

    def _reach_disk(self, count: int) -> list[EntryHead]:
        """Take note that so many entries are on the disk; return the new ones."""
        added, self.durable = self.entries[self.durable : count], count
        for head in added:
            self.on_disk[head.node, head.incarnation] = head.first + head.count - 1
        return added

    def hear(self, source: str, batch: Batch | Append) -> None:
        """Take records."""
        if self.alive:
            self._do(self.sink.receive(source, batch, b"", b"", self.world.now_ns))

    def hello(self, source: "Source", incarnation: int) -> None:
        """Tell how far a journal is stored."""
        if self.alive:
            number = self.sink.durable(RUN, source.name, incarnation)
            self.lab.answer(source.name, Acknowledged(run=RUN, incarnation=incarnation, number=number))

    def replay(self, reader: "Reader", request: Replay) -> None:
        """Give out what is durable."""
        if not self.alive:
            return
        number = request.number
        durable = self.entries[: self.durable]
        for head in [one for one in durable if one.number + one.count > number][:3]:
            reader.send("control", head)
            number = head.number + head.count
        end = number > self._end(durable)
        reader.send("control", ReplayEnd(request=request.request, run=RUN, next=number, end=end))

    @staticmethod
    def _end(entries: list[EntryHead]) -> int:
        return entries[-1].number + entries[-1].count - 1 if entries else 0

    def _in_life(self, life: int, call: Callable[[], None]) -> None:
        if self.life == life:
            call()

    def _expire(self) -> None:
        self._do(self.sink.expire(self.world.now_ns))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Store):
                self._store(effect.head)
            else:
                self.lab.answer(getattr(effect, "node", CONTROLLER), effect.message)  # type: ignore[union-attr]
        self._alarm.set(self.sink.deadline_ns)

    def _store(self, head: EntryHead) -> None:
        assert head.number == self._end(self.entries) + 1, "the numbers of the run have a gap"
        for one in _ids(head):
            assert one not in self.stored, f"{one} is stored twice"
            assert one[2] == 1 or (*one[:2], one[2] - 1) in self.stored, (
                f"{one} is stored before its forerunner"
            )
            self.stored.add(one)
        self.entries.append(head)
        if not self._commits:
            self._commit()

    def _commit(self) -> None:
        self._commits = True
        count = len(self.entries)
        call = partial(self._in_life, self.life, lambda: self._committed(count))
        self.world.after(self.world.random.choice((2, 10, 10, 500)) * MS, call)

    def _committed(self, count: int) -> None:
        self._commits = False
        for head in self._reach_disk(count):
            for reader in self.lab.readers:
                reader.send("feed", head)
        self._do(self.sink.committed(RUN, self._end(self.entries[:count])))
        if len(self.entries) > count:
            self._commit()

    def _beacon(self, life: int) -> None:
        if self.life != life:
            return
        is_open = self.is_open or not self.sink.is_idle(RUN)
        for reader in self.lab.readers:
            reader.send("feed", Beacon(run=RUN, number=self.sink.last_durable(RUN), open=is_open))
        self.world.after(S, lambda: self._beacon(life))


@dataclass
class Journal:
    """Files: they outlive their writer."""

    appended: int = 0
    acknowledged: int = 0
    is_whole: bool = True  # no power cut has taken its end


class Source:
    """A node that reports things, with the arithmetic of its journals."""

    def __init__(self, lab: "RecordLab", name: str) -> None:
        self.lab, self.world, self.name = lab, lab.world, name
        self.journals: dict[int, Journal] = {}
        self.given: set[tuple[int, int]] = set()  # incarnation and number of all records that there ever were
        self.incarnation = self.life = 0
        self.alive = False
        self.start()

    def start(self) -> None:
        """Begin a life: complete and ship what earlier ones left, and report more."""
        self.alive = True
        for incarnation, left in self.journals.items():
            if left.is_whole:  # as agents/recovery does
                self._give(incarnation)
        self.incarnation += 1
        self.life += 1
        self.journals[self.incarnation] = Journal()
        self._windows = {
            one: Window(10**9, 6, acknowledged=left.acknowledged, appended=left.appended)
            for one, left in self.journals.items()
        }
        self._progress_ns = dict.fromkeys(self._windows, self.world.now_ns)
        self.connect()
        self._write(self.life)
        self._tick(self.life)

    def die(self) -> None:
        """Be killed."""
        self.alive = False
        self.life += 1

    def lose_power(self) -> None:
        """Be killed, and lose any part of what was written."""
        self.die()
        chance = self.world.random
        for left in self.journals.values():
            left.is_whole = False
            left.acknowledged = chance.randint(0, left.acknowledged)
            left.appended = max(left.acknowledged, chance.randint(0, left.appended))

    def _give(self, incarnation: int) -> None:
        """Append a record; its number was never that of another one."""
        self.journals[incarnation].appended += 1
        number = (incarnation, self.journals[incarnation].appended)
        assert number not in self.given, f"{self.name} gave number {number} again"
        self.given.add(number)

    def connect(self) -> None:
        """Say hello, and send again what may have been lost with the old connection."""
        if self.alive:
            for incarnation, window in self._windows.items():
                self._say(partial(self.lab.hub.hello, self, incarnation))
                window.rewind(window.acknowledged + 1)
            self._ship()

    def answer(self, message: Acknowledged | Resend) -> None:
        """Take a word of the sink."""
        window = self._windows.get(message.incarnation)
        if not self.alive or window is None:
            return
        if isinstance(message, Resend):
            if window.acknowledged < message.number <= window.sent:
                window.rewind(message.number)
        elif message.number > window.acknowledged:
            left = self.journals[message.incarnation]
            given = (message.incarnation, message.number) in self.given
            assert given, "more was acknowledged than was reported"
            assert self.lab.is_durable((self.name, message.incarnation, message.number)), "not on the disk"
            number = min(message.number, left.appended)
            while window.reached < number:  # sent by an earlier life
                window.send(0)
            window.acknowledge(number)
            left.acknowledged = number
            self._progress_ns[message.incarnation] = self.world.now_ns
        self._ship()

    def _write(self, life: int) -> None:
        if self.life != life or self.world.now_ns > self.lab.writing_ns:
            return
        for _ in range(self.world.random.choice((1, 1, 2, 9))):
            self._give(self.incarnation)
            self._windows[self.incarnation].append(0)
        self._ship()
        self.world.after(self.world.random.randint(1, 800) * MS, lambda: self._write(life))

    def _tick(self, life: int) -> None:
        if self.life != life:
            return
        for incarnation, window in self._windows.items():
            if self.world.now_ns - self._progress_ns[incarnation] >= RESEND_NS:
                self._progress_ns[incarnation] = self.world.now_ns
                window.rewind(window.acknowledged + 1)
        self._ship()
        self.world.after(S, lambda: self._tick(life))

    def _ship(self) -> None:
        for incarnation, window in self._windows.items():
            while window.sent < window.appended and window.fits(1, 0):
                first, wanted = window.sent + 1, self.world.random.randint(1, 4)
                while window.sent < min(window.appended, first + wanted - 1) and window.fits(1, 0):
                    window.send(0)
                records = (NOTHING,) * (window.sent - first + 1)
                batch = Batch(run=RUN, incarnation=incarnation, first=first, records=records)
                self._say(partial(self.lab.hub.hear, self.name, batch), kind="sink")

    def _say(self, deliver: Callable[[], None], kind: str = "control") -> None:
        self.lab.network.send(self.name, "broker", kind, deliver)


class Controller:
    """A source whose journal is in memory."""

    def __init__(self, lab: "RecordLab") -> None:
        self.lab, self.world = lab, lab.world
        self.notes = Notes(RUN, 7)
        self.appended = 0
        self._alarm = Alarm(self.world, self.send)
        self._write()

    @property
    def is_shipped(self) -> bool:
        return self.notes.deadline_ns is None

    def connect(self) -> None:
        """Send again what may have been lost."""
        self.notes.restart()
        self.send()

    def answer(self, message: Acknowledged | Resend) -> None:
        """Take a word of the sink."""
        if isinstance(message, Acknowledged):
            assert message.number <= self.appended, "more was acknowledged than was reported"
            assert self.lab.is_durable((CONTROLLER, 7, message.number)), "not on the disk"
            self.notes.acknowledged(message)
        else:
            self.notes.resend(message)
        self.send()

    def _write(self) -> None:
        if self.world.now_ns <= self.lab.writing_ns:
            self.appended += 1
            self.notes.add(NOTHING)
            self.send()
            self.world.after(self.world.random.randint(100, 1500) * MS, self._write)

    def send(self) -> None:
        """Send what there is."""
        for append in self.notes.take(self.world.now_ns):
            self.lab.network.send(
                "operator", "broker", "control", partial(self.lab.hub.hear, CONTROLLER, append)
            )
        self._alarm.set(self.notes.deadline_ns)


class Reader:
    """A controller that reads, or a tail, which may be killed and begins again from the first record."""

    def __init__(self, lab: "RecordLab", name: str) -> None:
        self.lab, self.world, self.name = lab, lab.world, name
        self.life = 0
        self.start()

    def start(self) -> None:
        """Read from the beginning."""
        self.life += 1
        self.reads: list[Id] = []
        self._counts: dict[tuple[str, int], int] = {}
        self.reader = RunReader(RUN)
        self._alarm = Alarm(self.world, self._expire)
        self.connect()

    def connect(self) -> None:
        """Go on over a new connection."""
        self.reader.disconnected()
        self._do(self.reader.connected(self.world.now_ns))

    def send(self, kind: str, message: EntryHead | Beacon | ReplayEnd) -> None:
        """Carry something of the broker's to it."""
        life = self.life
        self.lab.network.send(
            "broker", self.name, kind, lambda: self._hear(message) if self.life == life else None
        )

    def _hear(self, message: EntryHead | Beacon | ReplayEnd) -> None:
        now_ns = self.world.now_ns
        match message:
            case EntryHead():
                entry = Entry(
                    RUN, message.number, message.node, (NOTHING,) * message.count, b"", message.incarnation
                )
                self._do(self.reader.entry(entry, now_ns), message)
            case Beacon():
                self._do(self.reader.beacon(message, now_ns))
            case ReplayEnd():
                self._do(self.reader.replay_end(message, now_ns))

    def _expire(self) -> None:
        self._do(self.reader.expire(self.world.now_ns))

    def _do(self, effects: list[rd.Effect], _head: EntryHead | None = None) -> None:
        for effect in effects:
            if isinstance(effect, rd.Ask):
                ask = partial(self.lab.hub.replay, self, effect.replay)
                self.lab.network.send(self.name, "broker", "control", ask)
            else:
                for read in effect.reads:
                    self._read(read.number, read.node, read.incarnation)
        self._alarm.set(self.reader.deadline_ns)

    def _read(self, number: int, node: str, incarnation: int) -> None:
        assert number == len(self.reads) + 1, f"{self.name} read {number} after {len(self.reads)}"
        count = self._counts[node, incarnation] = self._counts.get((node, incarnation), 0) + 1
        self.reads.append((node, incarnation, count))
        known = self.lab.known.setdefault(number, self.reads[-1])
        assert known == self.reads[-1], f"record {number} was {known} and is {self.reads[-1]}"


@dataclass
class RecordLab:
    """One schedule."""

    story: Story
    known: dict[int, Id] = field(default_factory=dict)
    """What the numbers mean, by what anybody has read."""

    def __post_init__(self) -> None:
        self.world = World(self.story.seed)
        self.network = Network(self.world, self.story.loss, self.story.delay_ns, LOSSY_NS)
        self.readers: list[Reader] = []
        self.writing_ns = SMALL_WRITING_NS if self.story.small else WRITING_NS
        self.hub = Hub(self)
        self.sources = {name: Source(self, name) for name in NODES[: 2 if self.story.small else None]}
        self.controller = Controller(self)
        self.readers += [Reader(self, "operator"), Reader(self, "tail")]
        for trouble in self.story.troubles:
            self._plan(trouble)

    def answer(self, source: str, message: Message) -> None:
        """Carry a word of the sink to a source."""
        assert isinstance(message, (Acknowledged, Resend))
        peer = self.sources.get(source, self.controller)
        name = source or "operator"
        self.network.send("broker", name, "control", lambda: peer.answer(message))

    def is_durable(self, record: Id) -> bool:
        """Whether the disk has a record; 0 is none."""
        return record[2] <= self.hub.on_disk.get(record[:2], 0)

    def _plan(self, trouble: Trouble) -> None:
        world, begin_ns, end_ns = self.world, trouble.at_ns, trouble.at_ns + trouble.lasts_ns
        match trouble.kind:
            case "kill" | "power":
                power = trouble.kind == "power"
                world.at(begin_ns, lambda: self.hub.die(power=power) if self.hub.alive else None)
                world.at(end_ns, self._revive)
            case "agent_kill" | "node_power":
                self._end(trouble)
            case "tail_kill":
                world.at(begin_ns, self.readers[1].start)
            case _:
                self._cut(trouble, begin_ns, end_ns)

    def _end(self, trouble: Trouble) -> None:
        source = self.sources.get(trouble.target)
        if source is not None:  # a small lab has not all of them
            die = source.die if trouble.kind == "agent_kill" else source.lose_power
            self.world.at(trouble.at_ns, die)
            self.world.at(trouble.at_ns + trouble.lasts_ns, lambda: None if source.alive else source.start())

    def _revive(self) -> None:
        if not self.hub.alive:
            self.hub.start()
            for peer in (*self.sources.values(), self.controller, *self.readers):
                self.world.after(self.world.random.randint(1, 900) * MS, peer.connect)

    def _cut(self, trouble: Trouble, begin_ns: int, end_ns: int) -> None:
        name = trouble.target.rstrip("<>")
        pairs = [(name, "broker")] * (">" in trouble.target) + [("broker", name)] * ("<" in trouble.target)
        self.network.cuts += [Cut(*pair, begin_ns, end_ns, trouble.keeps) for pair in pairs]
        peers = (self.sources.get(name), *(one for one in self.readers if one.name == name))
        if not trouble.keeps:
            for peer in filter(None, (*peers, self.controller if name == "operator" else None)):
                self.world.at(end_ns, peer.connect)

    def run(self) -> None:
        """Run to the end, and check that everybody has everything."""
        self.world.run(lambda: self.world.now_ns > self.writing_ns, LIMIT_NS)
        assert self.world.run(self._is_shipped, LIMIT_NS), "something is never stored"
        self.hub.is_open = False
        assert self.world.run(self._is_read, self.world.now_ns + LIMIT_NS), "something is never read"
        wanted = {
            (name, incarnation, number)
            for name, source in self.sources.items()
            for incarnation, journal in source.journals.items()
            for number in range(1, max(journal.appended, self.hub.on_disk.get((name, incarnation), 0)) + 1)
        } | {(CONTROLLER, 7, number) for number in range(1, self.controller.appended + 1)}
        assert self.hub.stored == wanted, f"not stored: {sorted(wanted - self.hub.stored)}"
        log = [one for head in self.hub.entries for one in _ids(head)]
        for reader in self.readers:
            assert reader.reads == log, f"{reader.name} has not read what is stored"

    def _is_shipped(self) -> bool:
        sources = self.sources.values()
        if not self.controller.is_shipped or not all(source.alive for source in sources):
            return False
        journals = [one for source in sources for one in source.journals.values()]
        return all(one.acknowledged == one.appended for one in journals)

    def _is_read(self) -> bool:
        return self.hub.alive and all(reader.reader.complete for reader in self.readers)


def _ids(head: EntryHead) -> list[Id]:
    return [(head.node, head.incarnation, head.first + at) for at in range(head.count)]


def play(story: Story) -> None:
    """Play a story, and check all of it."""
    RecordLab(story).run()
