"""The broker's machine among peers that say nonsense: it never fails, and a good run goes on beside them."""

from dataclasses import asdict
from random import Random
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker import effects as fx
from broker.broker import Broker
from broker.effects import Peer
from broker.parts import Settings
from fabric.errors import DecodeError, ProtocolError
from fabric.protocol import messages as m
from fabric.protocol.codec import MESSAGES, decode, decode_as, encode
from fabric.protocol.records import Notice
from tests import hostile
from tests.hostile import GOOD_RUN, RUN
from tests.unit.test_broker_broker import hello, open_run, operator_hello

S: Final = 1_000_000_000
START: Final = 1_772_360_527 * S
GOOD, BOB = Peer(b"1", "node", "good"), Peer(b"2", "operator", "bob")
HOSTILE: Final = (
    Peer(b"3", "node", "lab1"),
    Peer(b"4", "node", "lab2"),
    Peer(b"5", "operator", "ann"),
    Peer(b"6", "operator", "ann"),
    Peer(b"7", "viewer", "vic"),
    Peer(b"8", "unknown", "K" * 40),
)


class Shell:
    """Carries effects out in memory, and looks at each of them as the real one and its peers would."""

    def __init__(self) -> None:
        self.now_ns = START
        self.broker = Broker(Settings(epoch=3, software="0", go_port=2, sink_port=3, feed_port=4), START)
        self.facts: dict[str, fx.RunFacts] = {}
        self.last: dict[str, int] = {}  # number of a run's last record
        self.sent: list[tuple[Peer, m.Message]] = []
        self.shipped = 0

    def hear(self, peer: Peer, message: m.Message) -> None:
        self.do(self.broker.receive(peer, message, self.now_ns))

    def push(self, node: str, frames: list[bytes]) -> None:
        """Take what came by the sink."""
        if len(frames) == 2:
            batch = decode_as(frames[0], m.Batch)
            self.do(self.broker.receive_batch(node, batch, frames[0], frames[1], self.now_ns))

    def do(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            self.do_one(effect)

    def do_one(self, effect: fx.Effect) -> None:
        broker, now_ns = self.broker, self.now_ns
        match effect:
            case fx.Send(peer=peer, message=message):
                assert decode(encode(message)) == message, "who gets it can read it"
                self.sent.append((peer, message))
            case fx.PublishGo(message=message) | fx.PublishBeacon(message=message):
                assert decode(encode(message)) == message
            case fx.SaveRun(facts=facts):
                self.facts[facts.run], self.last[facts.run] = facts, 0
                self.do(broker.run_saved(facts.run, now_ns))
            case fx.SaveVerdict(run=run):
                self.do(broker.verdict_saved(run, now_ns))
            case fx.FindRun(run=run):
                self.do(broker.run_found(run, self.facts.get(run), now_ns))
            case fx.SaveAccess():
                self.do(broker.access_saved(effect, now_ns))
            case fx.SaveMarks():
                assert all(asdict(marks) for marks in effect.marks.values())
                self.do(broker.marks_saved(effect))
            case fx.EraseRun(run=run):
                del self.facts[run]
            case fx.Store(run=run, head=head, batch=batch, payload=payload):
                assert head.number == self.last[run] + 1
                assert decode(encode(head)) == head
                assert isinstance(decode(bytes(batch)), m.Batch)
                assert len(payload) < 1 << 20
                self.last[run] += head.count
                self.do(broker.committed(run, self.last[run], now_ns))
            case _:
                pass

    def wait(self, seconds: float) -> None:
        """Let time go by in the broker's own steps."""
        until_ns = self.now_ns + int(seconds * S)
        while (deadline_ns := self.broker.deadline_ns) is not None and deadline_ns <= until_ns:
            self.now_ns = max(self.now_ns, deadline_ns)
            self.do(self.broker.expire(self.now_ns))
            assert self.broker.deadline_ns is None or self.broker.deadline_ns > self.now_ns
        self.now_ns = until_ns

    # --- the good run ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open two runs: a good one, and one whose controller and nodes are hostile."""
        for peer in (GOOD, *HOSTILE):
            if peer.role == "node":
                self.hear(peer, hello(peer))
            elif peer.role != "unknown":
                self.hear(peer, operator_hello(peer))
        self.hear(BOB, operator_hello(BOB))
        self.hear(BOB, open_run(GOOD_RUN, ("good",)))
        self.hear(HOSTILE[2], open_run(RUN, ("lab1", "lab2")))
        assert {GOOD_RUN, RUN} == set(self.facts)

    def check_good(self) -> None:
        """The good node's next record is stored and acknowledged, and its controller is answered."""
        self.sent.clear()
        self.shipped += 1
        record = Notice(t_ns=1, bound_ns=1, level="info", message="fine")
        batch = m.Batch(run=GOOD_RUN, incarnation=1, first=self.shipped, records=(record,))
        self.push("good", [encode(batch), b""])
        assert (GOOD, m.Acknowledged(run=GOOD_RUN, incarnation=1, number=self.shipped)) in self.sent
        self.hear(GOOD, m.Probe(t1_ns=7))
        assert any(peer == GOOD and isinstance(one, m.ProbeReply) for peer, one in self.sent)
        self.hear(BOB, m.NodesRequest(request=9))
        names = [one.name for peer, one in self.nodes() if peer == BOB]
        assert "good" in names

    def nodes(self) -> list[tuple[Peer, m.NodeInfo]]:
        return [(peer, one) for peer, said in self.sent if isinstance(said, m.Nodes) for one in said.nodes]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 80))
@example(0, 200)
def test_a_good_run_goes_on_among_peers_that_say_nonsense(seed: int, count: int) -> None:
    """Each message may come at any time, from anybody, with any value that the codec lets through."""
    source, shell = Random(seed), Shell()
    shell.begin()
    for _ in range(count):
        peer = source.choice(HOSTILE)
        if peer.role == "node" and source.random() < 0.4:
            frames = hostile.frames(source, (m.Batch,))
            if source.random() < 0.5:
                frames = [frames[0], b"x" * source.choice((0, 5, 10))]
            try:
                shell.push(peer.name, frames)
            except DecodeError:
                continue
        else:
            try:
                message = decode(hostile.frame(source, tuple(MESSAGES.values())))
            except ProtocolError:
                continue
            shell.hear(peer, message)
        shell.wait(source.choice((0, 0, 0.01, 1.0)))
        shell.hear(BOB, m.Beat())
    shell.check_good()
