"""The broker as a whole: who may say what, runs, relays, records, restarts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from broker.broker import Broker
from broker.effects import (
    EMPTY_LOG,
    AnswerReplay,
    Effect,
    FindRun,
    LogState,
    Note,
    Peer,
    PublishBeacon,
    PublishGo,
    RunFacts,
    SaveAccess,
    SaveNode,
    SaveRun,
    SaveVerdict,
    Send,
    Store,
)
from broker.parts import Settings
from fabric.protocol import messages as m
from fabric.protocol.codec import decode_as, encode
from fabric.protocol.limits import PROTOCOL_VERSION, REPLAY_BYTES, SKIM_BYTES
from fabric.protocol.records import Notice, RunEnded, RunStarted

S = 1_000_000_000
START = 1_772_360_527 * S
RUN = "20260301-102207-ping-k3f9"
OTHER = "20260301-110000-other-aaaa"
LAB1, LAB2 = Peer(b"1", "node", "lab1"), Peer(b"2", "node", "lab2")
ANN, BOB = Peer(b"8", "operator", "ann"), Peer(b"9", "operator", "bob")
ANN_TOO = Peer(b"7", "operator", "ann")
STRANGER = Peer(b"5", "unknown", "K" * 40)
SETTINGS = Settings(epoch=3, software="0.1.0", go_port=2, sink_port=3, feed_port=4)
E = TypeVar("E")


class Lab:
    """A broker with a shell that keeps everything in memory and commits when told to."""

    def __init__(self, broker: Broker | None = None, runs: Sequence[RunFacts] = ()) -> None:
        self.now_ns = START
        self.broker = broker or Broker(SETTINGS, START, runs=runs)
        self.catalogue: dict[str, RunFacts] = {}
        self.all: list[Effect] = []
        self.has_disk = True

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.all.append(effect)
            if isinstance(effect, SaveRun) and self.has_disk:
                self.catalogue[effect.facts.run] = effect.facts
                self.carry_out(self.broker.run_saved(effect.facts.run, self.now_ns))
            elif isinstance(effect, SaveRun):
                self.carry_out(self.broker.run_not_saved(effect.facts.run, "disk full"))
            elif isinstance(effect, FindRun):
                found = self.catalogue.get(effect.run)
                self.carry_out(self.broker.run_found(effect.run, found, self.now_ns))
            elif isinstance(effect, SaveVerdict):
                self.catalogue[effect.run] = replace(self.catalogue[effect.run], verdict=effect.verdict)
                self.carry_out(self.broker.verdict_saved(effect.run, self.now_ns))
            elif isinstance(effect, SaveAccess):
                self.carry_out(self.broker.access_saved(effect, self.now_ns))

    def say(self, peer: Peer, message: m.Message) -> list[Effect]:
        """Let a peer say something; return everything that came of it."""
        self.all = []
        self.carry_out(self.broker.receive(peer, message, self.now_ns))
        return self.all

    def push(self, node: str, batch: m.Batch, payload: bytes = b"") -> list[Effect]:
        self.all = []
        self.carry_out(self.broker.receive_batch(node, batch, encode(batch), payload, self.now_ns))
        return self.all

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass in steps of the broker's own deadlines."""
        self.all = []
        until = self.now_ns + int(seconds * S)
        while self.broker.deadline_ns is not None and self.broker.deadline_ns <= until:
            self.now_ns = max(self.now_ns, self.broker.deadline_ns)
            self.carry_out(self.broker.expire(self.now_ns))
            deadline = self.broker.deadline_ns
            assert deadline is None or deadline > self.now_ns, "a machine that is due for ever burns a core"
        self.now_ns = until
        return self.all


def some(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Sequence[Effect], peer: Peer, kind: type[E]) -> list[E]:
    """Return the messages of a kind that go to a peer."""
    mine = [effect.message for effect in some(effects, Send) if effect.peer == peer]
    return [message for message in mine if isinstance(message, kind)]


def hello(peer: Peer, *, incarnation: int = 1, runs: tuple[str, ...] = (), heads: int = 0) -> m.AgentHello:
    journals = (m.JournalHead(run=RUN, incarnation=incarnation),) * heads
    return m.AgentHello(
        protocol=PROTOCOL_VERSION,
        software="0.1.0",
        name=peer.name,
        instance=peer.name,
        incarnation=incarnation,
        labels=(),
        addresses={},
        facts={},
        journals=journals,
        runs=runs,
    )


def operator_hello(peer: Peer, session: str = "s") -> m.OperatorHello:
    return m.OperatorHello(
        protocol=PROTOCOL_VERSION,
        software="0.1.0",
        program="p",
        session=session + peer.name,
        user=peer.name,
        host="h",
    )


def open_run(run: str = RUN, nodes: tuple[str, ...] = ("lab1", "lab2"), lease_s: float = 20.0) -> m.OpenRun:
    return m.OpenRun(request=1, run=run, name="ping", nodes=nodes, trial="", plan="{}", lease_s=lease_s)


def notice(first: int = 1) -> m.Batch:
    record = Notice(t_ns=1, bound_ns=1, level="info", message="hello")
    return m.Batch(run=RUN, incarnation=1, first=first, records=(record,))


def lab() -> Lab:
    """Return a lab with two nodes and two operators."""
    made = Lab()
    for node in (LAB1, LAB2):
        made.say(node, hello(node))
    for operator in (ANN, BOB):
        made.say(operator, operator_hello(operator))
    return made


def running() -> Lab:
    """Return a lab with ann's run on both nodes, which have their part."""
    made = lab()
    made.say(ANN, open_run())
    for node in (LAB1, LAB2):
        made.say(ANN, assign(node.name))
        made.say(node, m.Assigned(run=RUN, node=node.name))
    return made


def assign(node: str) -> m.Assign:
    return m.Assign(run=RUN, node=node, on_lost="stop", lease_s=20.0, reset=())


def freed(node: Peer) -> m.Freed:
    return m.Freed(run=RUN, node=node.name, incarnation=1, records=0, reset_failed=False)


# --- joining ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [{"": "/etc -exec id ;"}, {"": "../x"}, {"a b": "10.0.0.1"}])
def test_an_agent_whose_address_is_none_is_not_let_in(addresses: dict[str, str]) -> None:
    """It would become a word of the commands of other nodes, as trials have `$server`."""
    broker = Lab()
    effects = broker.say(LAB1, replace(hello(LAB1), addresses=addresses))
    (rejected,) = sent(effects, LAB1, m.Rejected)
    assert rejected.code == "malformed"
    assert sent(effects, LAB1, m.Welcome) == []


def test_an_unknown_key_can_do_nothing_but_enrol() -> None:
    """Every other word of it is refused and counted."""
    effects = Lab().say(STRANGER, m.NodesRequest(request=1))
    assert sent(effects, STRANGER, m.Rejected)[0].code == "not_allowed"
    assert some(effects, Note)[0].refused
    assert sent(effects, STRANGER, m.Nodes) == []


def test_a_peer_that_was_not_met_is_asked_for_its_hello() -> None:
    """A restarted broker knows nobody; peers must find out without a timeout."""
    broker = Lab()
    assert broker.say(LAB1, m.Beat()) == [Send(LAB1, m.HelloWanted())]
    assert broker.say(ANN, m.NodesRequest(request=1)) == [Send(ANN, m.HelloWanted())]
    assert sent(broker.say(LAB1, hello(LAB1)), LAB1, m.Welcome)[0].sink_port == 3


def test_a_node_is_saved_and_listed() -> None:
    """`fabric nodes` shows what a node said of itself."""
    broker = Lab()
    assert some(broker.say(LAB1, hello(LAB1)), SaveNode)
    broker.say(ANN, operator_hello(ANN))
    (nodes,) = sent(broker.say(ANN, m.NodesRequest(request=5)), ANN, m.Nodes)
    assert [(node.name, node.state) for node in nodes.nodes] == [("lab1", "free")]
    assert nodes.request == 5


def test_a_probe_is_answered_with_the_instant_and_the_epoch() -> None:
    """Nodes find fabric time by it."""
    broker = lab()
    (reply,) = sent(broker.say(LAB1, m.Probe(t1_ns=5)), LAB1, m.ProbeReply)
    assert reply == m.ProbeReply(epoch=3, t1_ns=5, t2_ns=broker.now_ns, t3_ns=broker.now_ns)


# --- runs -------------------------------------------------------------------------------------------


def test_a_run_opens_when_it_is_saved_and_a_repetition_gets_the_same_answer() -> None:
    """The controller repeats itself until it is answered; nothing is reserved twice."""
    broker = lab()
    effects = broker.say(ANN, open_run())
    (opened,) = sent(effects, ANN, m.RunOpened)
    assert [node.state for node in opened.nodes] == ["busy", "busy"]
    assert effects.index(some(effects, SaveRun)[0]) < effects.index(Send(ANN, opened))
    again = broker.say(ANN, open_run())
    assert sent(again, ANN, m.RunOpened)
    assert some(again, SaveRun) == []


def test_a_run_that_wants_a_busy_node_is_told_by_whom_and_since_when() -> None:
    """The second of two people must know whom to ask."""
    broker = running()
    (denied,) = sent(broker.say(BOB, open_run(OTHER, ("lab2",))), BOB, m.Denied)
    assert denied.code == "busy"
    assert denied.sentence == f"lab2 is in use by run {RUN} of ann since 2026-03-01 10:22:07 UTC"


def test_missing_nodes_are_named_with_the_last_thing_heard() -> None:
    """A typing error and a node that is down are different troubles."""
    broker = lab()
    (unknown,) = sent(broker.say(ANN, open_run(nodes=("lab1", "lab9"))), ANN, m.Denied)
    assert (unknown.code, unknown.sentence) == (
        "unknown_node",
        "no node lab9 has ever been here; nodes: lab1, lab2",
    )
    broker.wait(4)
    broker.say(LAB1, m.Beat())
    broker.wait(4)
    (away,) = sent(broker.say(ANN, open_run()), ANN, m.Denied)
    assert (away.code, away.sentence) == ("away", "lab2 is away, last heard 8 s ago")
    assert sent(broker.say(ANN, open_run(nodes=("lab1",))), ANN, m.RunOpened), "nothing stayed reserved"


def test_a_run_that_cannot_be_saved_is_not_open_and_holds_no_node() -> None:
    """A full disk is an answer, not a run."""
    broker = lab()
    broker.has_disk = False
    (denied,) = sent(broker.say(ANN, open_run()), ANN, m.Denied)
    assert denied.sentence == "disk full"
    broker.has_disk = True
    assert sent(broker.say(BOB, open_run(OTHER)), BOB, m.RunOpened)


def test_a_closed_run_frees_its_nodes_and_is_not_opened_again() -> None:
    """One id is one execution."""
    broker = running()
    for node in (LAB1, LAB2):
        assert sent(broker.say(node, freed(node)), ANN, m.Freed)
    close = m.CloseRun(request=9, run=RUN, verdict="pass", result="{}")
    effects = broker.say(ANN, close)
    assert sent(effects, ANN, m.RunClosed) == [m.RunClosed(request=9, run=RUN)]
    assert some(effects, PublishBeacon) == [PublishBeacon(m.Beacon(run=RUN, number=0, open=False))]
    assert sent(broker.say(ANN, close), ANN, m.RunClosed), "a repetition is answered again"
    assert sent(broker.say(ANN, open_run()), ANN, m.Denied)[0].code == "closed"
    assert sent(broker.say(BOB, open_run(OTHER)), BOB, m.RunOpened)


def test_the_feed_says_where_open_and_lately_closed_runs_stand() -> None:
    """A reader sees a gap in a quiet stream by the beacon only."""
    broker = running()
    broker.push("lab1", notice())
    assert PublishBeacon(m.Beacon(run=RUN, number=0, open=True)) in broker.wait(1), "it is not durable"
    broker.carry_out(broker.broker.committed(RUN, 1, broker.now_ns))
    assert PublishBeacon(m.Beacon(run=RUN, number=1, open=True)) in broker.wait(1)
    broker.say(ANN, m.CloseRun(request=9, run=RUN, verdict="pass", result="{}"))
    assert PublishBeacon(m.Beacon(run=RUN, number=1, open=False)) in broker.wait(2)
    broker.wait(40)
    assert some(broker.wait(5), PublishBeacon) == []


def test_a_run_is_led_by_one_process_of_its_operator() -> None:
    """Somebody with the same key could end it under a controller that would then wait for ever."""
    broker = running()
    broker.say(ANN_TOO, operator_hello(ANN_TOO, session="another"))
    close = m.CloseRun(request=9, run=RUN, verdict="pass", result="{}")
    (denied,) = sent(broker.say(ANN_TOO, close), ANN_TOO, m.Denied)
    assert "is led by another process of ann" in denied.sentence
    assert sent(broker.say(ANN_TOO, assign("lab1")), ANN_TOO, m.Denied)[0].code == "not_yours"
    assert sent(broker.say(ANN, assign("lab1")), LAB1, m.Assign) == [assign("lab1")]


def test_orders_reach_only_nodes_of_the_senders_own_run() -> None:
    """Operators do not touch each other's runs, and no node that they have not reserved."""
    broker = running()
    effects = broker.say(ANN, assign("lab1"))
    assert sent(effects, LAB1, m.Assign) == [assign("lab1")]
    assert sent(broker.say(BOB, assign("lab1")), BOB, m.Denied)[0].code == "not_yours"
    assert sent(broker.say(ANN, assign("lab9")), ANN, m.Denied)[0].code == "not_yours"
    strange = broker.say(ANN, replace(assign("lab1"), run=OTHER))
    assert sent(strange, ANN, m.Denied)[0].code == "closed"


def test_a_node_speaks_only_for_itself() -> None:
    """The name that counts is the key's."""
    broker = running()
    ready = m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1)
    assert sent(broker.say(LAB1, ready), ANN, m.Ready) == [ready]
    forged = broker.say(LAB2, ready)
    assert sent(forged, ANN, m.Ready) == []
    assert some(forged, Note)[0].refused


def test_a_phase_starts_when_every_node_has_confirmed() -> None:
    """The whole way of a go through the broker."""
    broker = running()
    broker.broker.subscribed("lab1", True)
    start = m.StartPhase(
        run=RUN, phase="1/run", go=1, nodes=("lab1", "lab2"), lead_s=None, max_rtt_ns=1_000_000
    )
    effects = broker.say(ANN, start)
    (published,) = some(effects, PublishGo)
    assert sent(effects, LAB1, m.Go) == [], "it listens"
    assert sent(effects, LAB2, m.Go) == [published.message]
    assert isinstance(published.message, m.Go)
    confirm = m.Confirm(run=RUN, phase="1/run", go=1, t0_ns=published.message.t0_ns)
    broker.say(LAB1, confirm)
    (committed,) = sent(broker.say(LAB2, confirm), ANN, m.GoCommitted)
    assert committed.t0_ns == START + committed.lead_ns
    assert sent(broker.say(ANN, start), ANN, m.GoCommitted) == [committed]


def test_a_go_that_a_node_does_not_confirm_is_taken_back_in_time() -> None:
    """The broker's own deadline drives it: nobody says anything."""
    broker = running()
    broker.say(ANN, m.StartPhase(run=RUN, phase="1/run", go=1, nodes=("lab1",), lead_s=0.1, max_rtt_ns=0))
    effects = broker.wait(0.08)
    assert sent(effects, LAB1, m.Abort)
    assert [type(effect.message) for effect in some(effects, PublishGo)] == [m.Abort]


# --- leases -----------------------------------------------------------------------------------------


def alive(broker: Lab, seconds: int, *peers: Peer) -> list[Effect]:
    """Let time pass while some peers beat."""
    effects: list[Effect] = []
    for _ in range(seconds):
        effects += broker.wait(1)
        for peer in peers:
            effects += broker.say(peer, m.Beat())
    return effects


def test_a_run_whose_controller_was_lost_is_ended_by_the_broker() -> None:
    """Nodes stop, the verdict is error with the reason as a record, and the nodes are free again."""
    broker = running()
    effects = alive(broker, 21, LAB1, LAB2)
    assert sent(effects, LAB1, m.Abandon)
    assert sent(effects, LAB2, m.Abandon)
    broker.say(LAB1, freed(LAB1))
    effects = broker.say(LAB2, freed(LAB2)) + broker.wait(0)
    (store,) = some(effects, Store)
    (record,) = decode_as(store.batch, m.Batch).records
    assert isinstance(record, RunEnded)
    assert record.verdict == "error"
    assert "the controller was lost" in record.why[0]
    assert (store.head.node, store.head.incarnation) == ("", SETTINGS.epoch)
    effects += alive(broker, 3, LAB1, LAB2)
    assert some(effects, SaveVerdict) == [], "its last record is not durable yet"
    broker.all = []
    broker.carry_out(broker.broker.committed(RUN, 1, broker.now_ns))
    assert some(broker.all, SaveVerdict)[0].verdict == "error"
    assert sent(broker.say(BOB, operator_hello(BOB)) + broker.say(BOB, open_run(OTHER)), BOB, m.RunOpened)


def test_a_controller_that_beats_keeps_its_run() -> None:
    """A long step says nothing for a long time."""
    broker = running()
    assert sent(alive(broker, 60, LAB1, LAB2, ANN), LAB1, m.Abandon) == []


def test_a_controller_that_comes_too_late_is_told() -> None:
    """A process that was stopped and goes on must not believe that it still steers."""
    broker = running()
    alive(broker, 21, LAB1, LAB2)
    (denied,) = sent(broker.say(ANN, assign("lab1")), ANN, m.Denied)
    assert denied.code == "closed"
    assert "was given up" in denied.sentence


def test_a_node_that_still_works_for_a_closed_run_is_told_until_it_stops() -> None:
    """A node that was cut off when its run ended must come to rest."""
    broker = running()
    broker.say(ANN, m.CloseRun(request=9, run=RUN, verdict="error", result="{}"))
    assert sent(alive(broker, 2, LAB1), LAB1, m.Abandon)
    broker.say(LAB1, freed(LAB1))
    assert sent(alive(broker, 3, LAB1), LAB1, m.Abandon) == []
    back = broker.say(LAB2, hello(LAB2, runs=(RUN,)))
    assert sent(back, LAB2, m.Abandon) or sent(alive(broker, 2, LAB2), LAB2, m.Abandon)


def test_the_controller_hears_of_a_lost_node_and_of_its_return() -> None:
    """It decides; the broker only tells."""
    broker = running()
    effects = alive(broker, 6, LAB1, ANN)
    assert [lost.node for lost in sent(effects, ANN, m.NodeLost)] == ["lab2"]
    effects = broker.say(LAB2, hello(LAB2, incarnation=2))
    assert sent(effects, ANN, m.NodeBack) == [m.NodeBack(run=RUN, node="lab2", incarnation=2, works_on=False)]


# --- records ----------------------------------------------------------------------------------------


def test_records_of_an_open_run_are_stored_and_acknowledged_when_durable() -> None:
    """The whole way of a record through the broker."""
    broker = running()
    (store,) = some(broker.push("lab1", notice()), Store)
    assert store.head == m.EntryHead(number=1, count=1, node="lab1", incarnation=1, first=1)
    effects = broker.broker.committed(RUN, 1, START)
    assert effects == [Send(LAB1, m.Acknowledged(run=RUN, incarnation=1, number=1))]


def test_records_of_the_controller_are_stored_too() -> None:
    """A run's own records stand in the same order as those of its nodes."""
    broker = running()
    started = RunStarted(t_ns=1, bound_ns=0, name="ping", nodes=("lab1",))
    append = m.Append(run=RUN, incarnation=1 << 40, first=1, records=(started,))
    (store,) = some(broker.say(ANN, append), Store)
    assert store.head.node == ""
    assert sent(broker.broker.committed(RUN, 1, START), ANN, m.Acknowledged)
    assert some(broker.say(BOB, replace(append, first=2)), Store) == []


def test_records_of_a_node_that_is_not_in_the_run_are_refused() -> None:
    """No node writes into another's run."""
    broker = lab()
    broker.say(ANN, open_run(nodes=("lab1",)))
    effects = broker.push("lab2", notice())
    assert some(effects, Store) == []
    assert some(effects, Note)[0].refused


def test_late_records_of_a_closed_run_are_stored_and_those_of_no_run_are_forgotten() -> None:
    """An agent that was cut off ships what its run left, also after a restart of the broker."""
    broker = Lab()
    broker.catalogue[RUN] = facts(LogState(5, {("lab1", 1): 3}), verdict="error")
    effects = broker.say(LAB1, hello(LAB1, heads=1))
    assert sent(effects, LAB1, m.Acknowledged) == [m.Acknowledged(run=RUN, incarnation=1, number=3)]
    (store,) = some(broker.push("lab1", notice(first=4)), Store)
    assert store.head.number == 6
    broker.say(LAB2, hello(LAB2))
    unknown = broker.push("lab2", replace(notice(), run=OTHER))
    assert sent(unknown, LAB2, m.Forget) == [m.Forget(run=OTHER, incarnation=1)]


def test_a_full_disk_is_told_and_recorded_when_it_is_over() -> None:
    """The run waits; people must know why."""
    broker = running()
    told = broker.broker.stall("no space left on device", START)
    (denied,) = sent(told, ANN, m.Denied)
    assert denied.code == "no_room"
    assert "no space left on device" in denied.sentence
    assert sent(broker.broker.stall("again", START + S), ANN, m.Denied), "each time that it was tried in vain"
    assert some(broker.push("lab1", notice()), Store) == []
    effects = broker.broker.resume(START + 3 * S)
    assert sent(effects, LAB1, m.Resend) == [m.Resend(run=RUN, incarnation=1, number=1)]
    (store,) = some(effects, Store)
    (record,) = decode_as(store.batch, m.Batch).records
    assert isinstance(record, Notice)
    assert "for 3 s" in record.message


def test_a_replay_is_bounded_whatever_is_asked_for() -> None:
    """A reader sets its pace by asking again."""
    broker = lab()
    (answer,) = some(
        broker.say(BOB, m.Replay(request=1, run=RUN, number=-5, limit_bytes=1 << 40)), AnswerReplay
    )
    assert (answer.request.number, answer.request.limit_bytes) == (1, REPLAY_BYTES)
    whole = m.Replay(request=1, run=RUN, number=1, limit_bytes=1 << 40, without_bytes=True)
    (answer,) = some(broker.say(BOB, whole), AnswerReplay)
    assert (answer.request.without_bytes, answer.request.limit_bytes) == (True, SKIM_BYTES)
    bad = broker.say(BOB, m.Replay(request=1, run="../../etc", number=1, limit_bytes=1))
    assert sent(bad, BOB, m.Denied)[0].code == "unknown_run"


# --- restarts ---------------------------------------------------------------------------------------


def facts(log: LogState = EMPTY_LOG, verdict: str = "") -> RunFacts:
    return RunFacts(
        run=RUN,
        name="ping",
        operator="ann",
        nodes=("lab1", "lab2"),
        opened_ns=START - 60 * S,
        lease_s=20.0,
        session="",
        verdict=verdict,
        log=log,
    )


def test_a_restarted_broker_goes_on_with_its_runs() -> None:
    """Reservations, journals and the controller are found again; nobody is told that a node was lost."""
    broker = Lab(runs=[facts(LogState(9, {("lab1", 1): 4}))])
    broker.catalogue[RUN] = facts()
    effects = broker.say(LAB1, hello(LAB1, runs=(RUN,), heads=1))
    assert sent(effects, LAB1, m.Acknowledged) == [m.Acknowledged(run=RUN, incarnation=1, number=4)]
    broker.say(LAB2, hello(LAB2, runs=(RUN,)))
    broker.say(ANN, operator_hello(ANN))
    (back,) = [x for x in sent(broker.say(ANN, assign("lab1")), ANN, m.NodeBack) if x.node == "lab1"]
    assert back.works_on
    effects = alive(broker, 6, LAB1, LAB2, ANN)
    assert sent(effects, ANN, m.NodeLost) == []
    (store,) = some(broker.push("lab1", notice(first=5)), Store)
    assert store.head.number == 10
    broker.say(BOB, operator_hello(BOB))
    assert sent(broker.say(BOB, open_run(OTHER)), BOB, m.Denied)[0].code == "busy"


def test_the_same_session_is_the_runs_controller_again_by_its_hello_alone() -> None:
    """A connection that was lost for a moment must not cost the lease."""
    broker = running()
    other = Peer(b"77", "operator", "ann")
    broker.say(other, operator_hello(ANN))
    ready = m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1)
    assert sent(broker.say(LAB1, ready), other, m.Ready) == [ready]


def test_a_restarted_broker_knows_the_controller_by_its_session() -> None:
    """The controller need not say anything about its run to keep it."""
    broker = Lab(runs=[replace(facts(), session="sann")])
    broker.say(LAB1, hello(LAB1, runs=(RUN,)))
    broker.say(ANN, operator_hello(ANN))
    ready = m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1)
    assert sent(broker.say(LAB1, ready), ANN, m.Ready) == [ready]


LAB2_KEY = m.KeyInfo(public_key="L" * 40, role="node", name="lab2", created_ns=1)


def test_a_restarted_broker_knows_which_nodes_of_its_runs_were_shut_out() -> None:
    """The last life may have died before it told the controller; nothing will be heard of the node."""
    ended = replace(LAB2_KEY, revoked_ns=2)
    broker = Lab(Broker(SETTINGS, START, keys=[ended], runs=[replace(facts(), session="sann")]))
    told = broker.say(ANN, operator_hello(ANN))
    (lost,) = sent(told, ANN, m.NodeLost)
    assert (lost.node, lost.gone, lost.sentence) == ("lab2", True, "the key of lab2 was revoked")
    other = replace(LAB2_KEY, public_key="M" * 40)
    broker = Lab(Broker(SETTINGS, START, keys=[ended, other], runs=[replace(facts(), session="sann")]))
    assert sent(broker.say(ANN, operator_hello(ANN)), ANN, m.NodeLost) == [], "it has another key"


def test_a_node_that_is_shut_out_while_it_is_cut_off_is_lost_for_good() -> None:
    """Its run may wait as long as it is cut off, but it cannot come back."""
    broker = Lab(Broker(SETTINGS, START, keys=[LAB2_KEY], runs=[replace(facts(), session="sann")]))
    broker.say(ANN, operator_hello(ANN))
    (lost,) = sent(broker.say(ANN, m.Revoke(request=7, what="L" * 40)), ANN, m.NodeLost)
    assert (lost.node, lost.gone) == ("lab2", True)


def test_a_silent_restarted_broker_ends_the_run_by_the_lease() -> None:
    """The lease counts from the restart: a controller gets its time to come back."""
    broker = Lab(runs=[facts()])
    for node in (LAB1, LAB2):
        broker.say(node, hello(node, runs=(RUN,)))
    assert sent(alive(broker, 19, LAB1, LAB2), LAB1, m.Abandon) == []
    assert sent(alive(broker, 2, LAB1, LAB2), LAB1, m.Abandon)
