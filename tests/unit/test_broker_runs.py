"""A run lives while its controller is heard of, and knows how its nodes are."""

from dataclasses import replace

from broker.effects import EMPTY_LOG, Effect, Peer, PublishGo, RunFacts, ToController, ToNode
from broker.limits import ABANDONED_NS
from broker.runs import Run
from fabric.protocol.messages import (
    Abandon,
    AgentHello,
    Confirm,
    Freed,
    GoCommitted,
    NodeBack,
    NodeLost,
    StartPhase,
)
from tests.unit.test_broker_broker import LAB1
from tests.unit.test_broker_broker import hello as agent_hello

S = 1_000_000_000
RUN = "20260301-102207-ping-k3f9"
CONTROLLER = Peer(b"9", "operator", "ann")
FACTS = RunFacts(
    run=RUN,
    name="ping",
    operator="ann",
    nodes=("lab1", "lab2"),
    opened_ns=0,
    lease_s=20.0,
    session="",
    verdict="",
    log=EMPTY_LOG,
)


def opened() -> Run:
    run = Run(FACTS, {"lab1": 1, "lab2": 1}, 0)
    run.adopt(CONTROLLER, "session", 0)
    for node in FACTS.nodes:
        run.assigned(node)
    return run


def keep_nodes(run: Run, now_ns: int) -> None:
    for node in FACTS.nodes:
        run.node_heard(node, now_ns)


def hello(incarnation: int, *, works_on: bool, alone: bool = False) -> AgentHello:
    of_lab1 = agent_hello(LAB1, incarnation=incarnation, runs=(RUN,) if works_on else ())
    return replace(of_lab1, alone=(RUN,) if alone else ())


def back(incarnation: int, *, works_on: bool) -> ToController:
    return ToController(RUN, NodeBack(run=RUN, node="lab1", incarnation=incarnation, works_on=works_on))


def freed(node: str) -> Freed:
    return Freed(run=RUN, node=node, incarnation=2, records=0, reset_failed=False)


def test_a_silent_node_is_lost_after_five_seconds_and_told_once() -> None:
    """The controller decides what a lost node means; it needs the name and the last word."""
    run = opened()
    run.node_heard("lab2", 4 * S)
    assert run.expire(5 * S - 1) == []
    assert run.deadline_ns == 5 * S
    lost = run.expire(5 * S)
    assert len(lost) == 1
    assert isinstance(lost[0], ToController)
    assert isinstance(lost[0].message, NodeLost)
    assert lost[0].message.node == "lab1"
    assert lost[0].message.sentence.startswith("lab1 is not reachable")
    assert run.expire(5 * S) == []


def test_a_lost_node_that_speaks_again_is_back_with_its_part() -> None:
    """A cut network is over; nothing has to be done anew."""
    run = opened()
    run.node_heard("lab2", 4 * S)
    run.expire(5 * S)
    assert run.node_heard("lab1", 6 * S) == [back(1, works_on=True)]
    assert run.node_heard("lab1", 7 * S) == []


def test_a_new_start_of_an_agent_is_news_even_without_a_silence() -> None:
    """An agent that was killed and started again within a second has lost its part."""
    run = opened()
    assert run.node_hello(hello(1, works_on=True), S) == []
    assert run.node_hello(hello(2, works_on=False), 2 * S) == [back(2, works_on=False)]


def test_a_node_whose_agent_ends_is_lost_at_once() -> None:
    """Its silence needs no waiting for; the controller that comes back later is told of it too."""
    run = opened()
    (told,) = run.node_left("lab1", "the agent on lab1 has ended: SIGTERM", S)
    assert isinstance(told, ToController)
    assert told.message == NodeLost(
        run=RUN, node="lab1", sentence="the agent on lab1 has ended: SIGTERM", gone=True
    )
    assert run.node_heard("lab1", 2 * S) == []  # its last records come by another way
    run.node_heard("lab2", 20 * S)
    assert run.expire(20 * S - 1) == [told], "not lost once more by its silence"
    assert "lab1" not in run.unfreed()
    assert run.node_hello(hello(2, works_on=False), 21 * S) == [back(2, works_on=False)]


def test_what_is_known_of_nodes_is_said_again_and_again() -> None:
    """A run whose controller never hears that a node has restarted waits for that node's step for ever."""
    run = opened()
    keep_nodes(run, 5 * S)
    assert run.expire(5 * S) == [], "no news"
    run.node_hello(hello(2, works_on=False), 6 * S)
    keep_nodes(run, 9 * S)
    assert run.expire(10 * S) == [back(2, works_on=False)]
    assert run.expire(10 * S) == []
    assert run.deadline_ns <= 15 * S
    run.freed(freed("lab1"))
    keep_nodes(run, 14 * S)
    assert run.expire(15 * S) == [ToController(RUN, freed("lab1"))]


def test_a_node_that_left_while_no_controller_was_there_is_told_to_the_next_one() -> None:
    """Its agent restarts and resets alone, and has nothing more to say; the run would wait for it."""
    run = Run(FACTS, {}, 0)
    run.node_hello(hello(2, works_on=False, alone=True), S)
    run.freed(freed("lab1"))
    assert run.adopt(CONTROLLER, "session", 2 * S) == [ToController(RUN, freed("lab1"))]


def test_a_node_that_was_assigned_again_is_not_said_to_have_lost_its_part() -> None:
    """Else a controller that connects anew in a later cell would give it up."""
    run = opened()
    run.node_hello(hello(2, works_on=False), S)
    run.assigned("lab1")
    other = Peer(b"10", "operator", "ann")
    assert run.adopt(other, "session", 2 * S) == [back(2, works_on=True)]


def test_a_controller_that_comes_by_another_connection_is_told_the_news_again() -> None:
    """What was sent to its old connection may be lost."""
    run = opened()
    run.node_hello(hello(2, works_on=False), S)
    assert run.adopt(CONTROLLER, "session", S) == []
    other = Peer(b"10", "operator", "ann")
    assert run.adopt(other, "session", 2 * S) == [back(2, works_on=False)]


def test_a_controller_that_comes_back_has_its_whole_lease_again() -> None:
    """It was heard of just now."""
    run = opened()
    run.adopt(Peer(b"10", "operator", "ann"), "session", 19 * S)
    keep_nodes(run, 38 * S)
    assert run.expire(39 * S - 1) == []
    assert run.expire(39 * S) != []


def test_a_lease_that_ends_has_the_nodes_stop_and_says_so_each_second_until_they_have() -> None:
    """Steps must not run on for nobody."""
    run = opened()
    run.heard(2 * S)
    keep_nodes(run, 21 * S)
    assert run.expire(22 * S - 1) == []
    effects = run.expire(22 * S)
    sentence = "the controller was lost, last heard 20 s ago"
    assert effects == [ToNode(node, Abandon(run=RUN, sentence=sentence)) for node in FACTS.nodes]
    assert run.expire(22 * S) == []
    run.freed(freed("lab1"))
    assert run.expire(23 * S) == [ToNode("lab2", Abandon(run=RUN, sentence=sentence))]
    assert not run.is_left(23 * S)
    run.freed(freed("lab2"))
    assert run.is_left(23 * S)
    assert run.why_left() == (sentence,)


def test_an_abandoned_run_waits_no_longer_than_a_lease_for_a_lost_node() -> None:
    """A dead node must not hold the others' reservations for ever."""
    run = opened()
    run.node_heard("lab1", 15 * S)
    run.node_heard("lab2", 18 * S)
    run.expire(20 * S)
    run.freed(freed("lab1"))
    assert not run.is_left(38 * S - 1)
    assert run.is_left(38 * S)
    assert run.why_left()[1] == "never heard that it ended on lab2"


def test_an_abandoned_run_does_not_wait_for_ever_for_a_node_that_lives() -> None:
    """One that beats and never says that it has ended its part would keep all the others from new runs."""
    run = opened()
    keep_nodes(run, 19 * S)
    run.expire(20 * S)
    run.freed(freed("lab1"))
    keep_nodes(run, 20 * S + ABANDONED_NS - S)
    assert not run.is_left(20 * S + ABANDONED_NS - 1)
    assert run.is_left(20 * S + ABANDONED_NS)
    assert run.why_left()[1] == "never heard that it ended on lab2"


def test_a_node_that_says_nonsense_is_not_waited_for_and_does_not_come_back() -> None:
    """A hello is no sign that what it says from now on will be better."""
    run = opened()
    (told,) = run.node_broken("lab1", "nonsense")
    assert told == ToController(RUN, NodeLost(run=RUN, node="lab1", sentence="nonsense", gone=True))
    assert run.node_hello(hello(2, works_on=True), 2 * S) == []
    assert run.node_heard("lab1", 2 * S) == []
    keep_nodes(run, 19 * S)
    run.expire(20 * S)
    run.freed(freed("lab2"))
    assert run.is_left(20 * S)
    assert run.unfreed() == ["lab1"], "it is told that the run is closed"


def test_a_run_that_lives_is_never_left() -> None:
    """Only the end of the lease gives the broker the right to end a run."""
    run = opened()
    run.freed(freed("lab1"))
    run.freed(freed("lab2"))
    assert not run.is_left(10 * S)


def start(go: int = 1, nodes: tuple[str, ...] = ("lab1",)) -> StartPhase:
    return StartPhase(run=RUN, phase="1/run", go=go, nodes=nodes, lead_s=0.1, max_rtt_ns=0)


def begin(run: Run, request: StartPhase) -> list[Effect] | str:
    return run.start_phase(request, 7, S, lambda _: True)


def test_a_repeated_start_gets_the_same_answer_and_no_second_go() -> None:
    """The controller repeats itself until it is answered; nobody may start twice."""
    run = opened()
    assert len(begin(run, start())) == 1
    assert begin(run, start()) == []
    confirm = Confirm(run=RUN, phase="1/run", go=1, t0_ns=S + S // 10)
    (answer,) = run.answer_go("lab1", confirm, S)
    assert isinstance(answer, ToController)
    assert isinstance(answer.message, GoCommitted)
    assert begin(run, start()) == [answer]
    assert run.go_deadline_ns is None


def test_one_go_at_a_time_and_only_for_nodes_of_the_run() -> None:
    """Another run's node must not be started."""
    run = opened()
    assert begin(run, start(nodes=("lab9",))) == "the run does not have lab9"
    assert begin(run, start(nodes=())) == "the run does not have a node to start"
    begin(run, start())
    assert begin(run, start(go=2)) == "the go of phase 1/run is under way"


def test_the_end_of_a_lease_takes_back_a_go() -> None:
    """Nodes that were told to stop must not start."""
    run = opened()
    run.start_phase(start(), 7, 20 * S - 1, lambda _: True)
    keep_nodes(run, 20 * S - 1)
    assert any(isinstance(effect, PublishGo) for effect in run.expire(20 * S))


def test_a_run_waits_for_a_node_that_ends_its_part_alone() -> None:
    """Its last records are still to come, though it takes no orders any more."""
    run = opened()
    run.node_hello(hello(1, works_on=False, alone=True), S)
    run.freed(freed("lab2"))
    run.expire(20 * S)
    run.node_heard("lab1", 20 * S)
    assert not run.is_left(21 * S)
    run.freed(freed("lab1"))
    assert run.is_left(21 * S)


def test_a_new_start_is_no_node_that_was_cut_off() -> None:
    """It resets alone, too; people look for another cause then."""
    run = opened()
    (told,) = run.node_hello(hello(2, works_on=False, alone=True), S)
    assert told == back(2, works_on=False)
    run.node_heard("lab2", 4 * S)
    run.expire(6 * S)
    (told,) = run.node_hello(hello(2, works_on=False, alone=True), 7 * S)
    assert isinstance(told, ToController)
    assert isinstance(told.message, NodeBack)
    assert told.message.alone
