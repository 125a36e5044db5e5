"""The broker's machine with catalogue and record logs in memory; a crash takes the connections."""

from dataclasses import dataclass, field, replace

from broker import effects as fx
from broker.broker import Broker, Settings
from fabric.errors import DecodeError
from fabric.protocol.codec import decode, encode
from fabric.protocol.messages import Append, Batch, Denied, EntryHead, NodeInfo, Replay, ReplayEnd, Runs
from tests.simulation.world import MS, Alarm, Network, World

EPOCH_NS = 1_700_000_000 * 1000 * MS
COMMIT_NS = (2 * MS, 20 * MS)


@dataclass
class StoredEntry:
    head: EntryHead
    batch: bytes
    payload: bytes

    @property
    def end(self) -> int:
        """Number of the record that follows."""
        return self.head.number + self.head.count


@dataclass
class Log:
    entries: list[StoredEntry] = field(default_factory=list)
    durable: int = 0  # entries

    def state(self) -> fx.LogState:
        journals: dict[tuple[str, int], int] = {}
        last = 0
        for entry in self.entries:
            head = entry.head
            journals[head.node, head.incarnation] = head.first + head.count - 1
            last = head.number + head.count - 1
        return fx.LogState(last, journals)


class SimBroker:
    """Lives, dies and lives again.  Peers are ``node:NAME`` and ``operator:NAME`` with a connection id."""

    def __init__(self, world: World, network: Network) -> None:
        self.world, self.network = world, network
        self.peers: dict[str, object] = {}  # connection id -> object with .hear(message)
        self.feed: list[object] = []
        self.facts: dict[str, fx.RunFacts] = {}
        self.verdicts: dict[str, str] = {}
        self.logs: dict[str, Log] = {}
        self.nodes: list[NodeInfo] = []  # of the catalogue
        self.epoch = 0
        self.alive = False
        self.life = 0
        self.start()

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life with what was written."""
        self.epoch += 1
        self.life += 1
        self.alive = True
        self.offset_ns = EPOCH_NS + self.epoch * 37 * MS
        settings = Settings(epoch=self.epoch, software="sim", go_port=1, sink_port=2, feed_port=3)
        runs = [self._facts(run) for run in self.facts if run not in self.verdicts]
        self.machine = Broker(settings, self.fabric_ns, nodes=self.nodes, runs=runs)
        self.alarm = Alarm(self.world, self._expire)
        self._rearm()

    def crash(self) -> None:
        """Lose every connection, as by `kill -9`: what was written outlives it, durable or not."""
        self._die()
        for log in self.logs.values():
            log.durable = len(log.entries)

    def lose_power(self) -> None:
        """Lose every connection, and of each log any part of its end that is not durable."""
        self._die()
        for log in self.logs.values():
            log.durable = self.world.random.randint(log.durable, len(log.entries))
            del log.entries[log.durable :]

    def _die(self) -> None:
        registry = self.machine._registry
        self.nodes = [registry.info(name, None, self.fabric_ns) for name in registry.names()]
        self.alive = False
        self.life += 1
        self.peers.clear()
        self.feed.clear()

    @property
    def fabric_ns(self) -> int:
        return self.offset_ns + self.world.now_ns

    def _facts(self, run: str) -> fx.RunFacts:
        facts = self.facts[run]
        return replace(facts, verdict=self.verdicts.get(run, ""), log=self.logs[run].state())

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, peer: object, user: str, frame: bytes) -> None:
        """Take a frame of the control socket."""
        if not self.alive:
            return
        self.peers[connection] = peer
        role, name = user.split(":")
        who = fx.Peer(connection.encode(), role, name)  # type: ignore[arg-type]
        self._do(self.machine.receive(who, decode(frame), self.fabric_ns))

    def hear_batch(self, node: str, frame: bytes, payload: bytes) -> None:
        """Take two frames of the sink socket."""
        if not self.alive:
            return
        batch = decode(frame)
        assert isinstance(batch, Batch)
        try:
            effects = self.machine.receive_batch(node, batch, frame, payload, self.fabric_ns)
        except DecodeError as error:
            raise AssertionError(error) from None
        self._do(effects)

    def _expire(self) -> None:
        if self.alive:
            self._do(self.machine.expire(self.fabric_ns))

    def _rearm(self) -> None:
        deadline_ns = self.machine.deadline_ns
        self.alarm.set(
            None if deadline_ns is None else max(deadline_ns - self.offset_ns, self.world.now_ns + 1)
        )

    # --- effects ----------------------------------------------------------------------------------------

    def _do(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            self._do_one(effect)
        self._rearm()

    def _do_one(self, effect: fx.Effect) -> None:  # noqa: C901, PLR0912 - one case for each effect
        match effect:
            case fx.Send(peer, message):
                self._send(peer.routing.decode(), message)
            case fx.PublishGo(message):
                for connection, peer in list(self.peers.items()):
                    if connection.startswith("node"):
                        self._deliver(connection, peer, "go", message)
            case fx.PublishBeacon(message):
                for reader in self.feed:
                    self._deliver(reader.connection, reader, "feed", message)  # type: ignore[attr-defined]
            case fx.Store(run, head, batch, payload):
                self._store(run, StoredEntry(head, bytes(batch), bytes(payload)))
            case fx.SaveRun(facts=facts):
                self.facts[facts.run] = facts
                self.logs[facts.run] = Log()
                self._later(lambda: self.machine.run_saved(facts.run, self.fabric_ns))
            case fx.SaveVerdict(run=run, verdict=verdict):
                self.verdicts[run] = verdict
                self._later(lambda: self.machine.verdict_saved(run, self.fabric_ns))
            case fx.FindRun(run):
                found = self._facts(run) if run in self.facts else None
                self._later(lambda: self.machine.run_found(run, found, self.fabric_ns))
            case fx.AnswerReplay(peer, request):
                self._replay(peer, request)
            case fx.AnswerRuns(peer, request):
                self._send(peer.routing.decode(), Runs(request=request.request))
            case _:
                pass

    def _later(self, answer: object) -> None:
        life = self.life
        self.world.after(0, lambda: self._do(answer()) if self.life == life else None)  # type: ignore[operator]

    def _store(self, run: str, entry: StoredEntry) -> None:
        log = self.logs[run]
        log.entries.append(entry)
        count, life = len(log.entries), self.life

        def commit() -> None:
            if self.life == life and log.durable < count:
                published, log.durable = log.entries[log.durable : count], count
                for one in published:
                    for reader in self.feed:
                        self._deliver(reader.connection, reader, "feed", one)  # type: ignore[attr-defined]
                self._do(self.machine.committed(run, published[-1].end - 1, self.fabric_ns))

        self.world.after(self.world.random.randint(*COMMIT_NS), commit)

    def _replay(self, peer: fx.Peer, request: Replay) -> None:
        connection = peer.routing.decode()
        log = self.logs.get(request.run)
        if log is None:
            denied = Denied(request=request.request, code="unknown_run", sentence="no such run")
            self._send(connection, denied)
            return
        number = request.number
        stored = log.entries[: log.durable]
        for entry in [one for one in stored if one.end > number][:5]:
            self._deliver(connection, self.peers[connection], "control", entry)
            number = entry.end
        end = not stored or number >= stored[-1].end
        self._send(connection, ReplayEnd(request=request.request, run=request.run, next=number, end=end))

    def _send(self, connection: str, message: object) -> None:
        peer = self.peers.get(connection)
        if peer is not None:
            self._deliver(connection, peer, "control", message)

    def _deliver(self, connection: str, peer: object, kind: str, message: object) -> None:
        if not isinstance(message, StoredEntry):
            assert decode(encode(message)) == message  # what machines say must survive the wire
        self.network.send(
            "broker",
            connection,
            kind,
            lambda: peer.hear(connection, message),  # type: ignore[attr-defined]
        )


__all__ = ["Append", "SimBroker", "StoredEntry"]
