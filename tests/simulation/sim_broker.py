"""The broker's machine with catalogue and record logs in memory; a crash takes the connections."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from broker import effects as fx
from broker.broker import Broker, Settings
from fabric.errors import DecodeError
from fabric.protocol.codec import decode
from fabric.protocol.messages import (
    Abort,
    Append,
    Batch,
    Denied,
    EntryHead,
    Go,
    KeyInfo,
    Message,
    NodeInfo,
    Prepare,
    Replay,
    ReplayEnd,
    Runs,
)
from tests.simulation.troubles import NODES
from tests.simulation.world import MS, Alarm, Network, World

EPOCH_NS = 1_700_000_000 * 1000 * MS
COMMIT_NS = (2 * MS, 20 * MS)


@dataclass
class StoredEntry:
    head: EntryHead
    batch: Batch | Append
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
        self._away_until_ns = 0
        self._said: dict[str, list[tuple[str, object]]] = {}
        self.keys = {
            name: KeyInfo(public_key=f"key-{name}", role="node", name=name, created_ns=0) for name in NODES
        }
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
        self.machine = Broker(settings, self.fabric_ns, nodes=self.nodes, keys=self.keys.values(), runs=runs)
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
        self._away_until_ns = 0
        self.peers.clear()
        self.feed.clear()

    def pause(self, until_ns: int) -> None:
        """Stand still: what comes meanwhile is taken afterwards, by old timers too."""
        self._away_until_ns = until_ns

    def _is_away(self, then: Callable[[], None]) -> bool:
        if self.world.now_ns >= self._away_until_ns:
            return False
        life = self.life
        self.world.at(self._away_until_ns, lambda: then() if self.life == life else None)
        return True

    def say_again(self, node: str) -> None:
        """Say all prepares, gos and aborts to a node again that any life has said to it."""
        said = list(self._said.get(node, ()))
        for connection, peer in list(self.peers.items()):
            if connection.startswith(f"node:{node}#"):
                for kind, message in said:
                    self._deliver(connection, peer, kind, message)
        self._said[node] = said

    def revoke(self, node: str) -> None:
        """End a node's key: its connections go."""
        self.keys[node] = key = replace(self.keys[node], revoked_ns=self.fabric_ns)
        if self.alive:
            for connection in [one for one in self.peers if one.startswith(f"node:{node}#")]:
                del self.peers[connection]
            self._do(self.machine.access_saved(fx.SaveAccess(keys=(key,)), self.fabric_ns))

    @property
    def fabric_ns(self) -> int:
        return self.offset_ns + self.world.now_ns

    def _facts(self, run: str) -> fx.RunFacts:
        facts = self.facts[run]
        return replace(facts, verdict=self.verdicts.get(run, ""), log=self.logs[run].state())

    # --- input ------------------------------------------------------------------------------------------

    def hear(self, connection: str, peer: object, user: str, message: Message) -> None:
        """Take a message of the control socket."""
        if not self.alive or self._is_away(lambda: self.hear(connection, peer, user, message)):
            return
        self.peers[connection] = peer
        role, name = user.split(":")
        if role == "node" and self.keys[name].revoked_ns is not None:
            role, name = "unknown", self.keys[name].public_key
        who = fx.Peer(connection.encode(), role, name)  # type: ignore[arg-type]
        self._do(self.machine.receive(who, message, self.fabric_ns))

    def hear_batch(self, node: str, batch: Batch, payload: bytes) -> None:
        """Take what comes by the sink socket.  The batch stands for its frame, which is only passed on."""
        if not self.alive or self._is_away(lambda: self.hear_batch(node, batch, payload)):
            return
        if self.keys[node].revoked_ns is not None:
            return
        frame: Any = batch
        try:
            effects = self.machine.receive_batch(node, batch, frame, payload, self.fabric_ns)
        except DecodeError as error:
            raise AssertionError(error) from None
        self._do(effects)

    def _expire(self) -> None:
        if self.alive and not self._is_away(self._expire):
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
                kept: Any = batch if isinstance(batch, Batch) else decode(batch)
                self._store(run, StoredEntry(head, kept, bytes(payload)))
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
            if self.life == life and log.durable < count and not self._is_away(commit):
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
            message = self.world.wire(message)
        if isinstance(message, Prepare | Go | Abort):
            self._said.setdefault(connection[5:].partition("#")[0], []).append((kind, message))
        self.network.send(
            "broker",
            connection,
            kind,
            lambda: peer.hear(connection, message),  # type: ignore[attr-defined]
        )


__all__ = ["Append", "SimBroker", "StoredEntry"]
