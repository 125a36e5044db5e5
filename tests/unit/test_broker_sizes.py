"""Answers about very many nodes: one that is too large is never sent, and whoever asked waits in vain."""

from dataclasses import replace

from broker.broker import Broker
from broker.limits import NODES_BYTES
from broker.sizes import fitting, shortened, size_of
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import MAX_FRAME_BYTES
from fabric.protocol.messages import NodeInfo, Nodes, NodesRequest, RunInfo, RunOpened, Runs
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.unit.run_lab import RUN, TRIAL
from tests.unit.test_broker_broker import ANN, SETTINGS, START, Lab, operator_hello, sent

FACTS = {f"fact{number}": "x" * 90 for number in range(40)}  # 4 kB
NODES = [
    NodeInfo(
        name=f"node-of-a-large-lab-{number:04}", state="busy", incarnation=3, labels=("gpu", "fast"),
        addresses={"": "10.0.0.1", "test": "10.1.0.1"}, facts=FACTS, run=RUN, heard_ns=10**18,
    )
    for number in range(2000)
]  # fmt: skip


def test_a_run_on_two_thousand_nodes_is_opened() -> None:
    """With all that is known of them the answer would be 8 MB."""
    opened = RunOpened(request=1, run=RUN, nodes=shortened(NODES))
    assert decode(encode(opened)) == opened
    assert [info.name for info in opened.nodes] == [info.name for info in NODES]
    assert shortened(NODES[:50]) == tuple(NODES[:50]), "of a few all is told"


def test_a_node_takes_no_more_room_than_is_thought() -> None:
    """The pages of `Nodes` are cut by this."""
    frame = encode(Nodes(request=1, nodes=tuple(NODES[:100])))
    assert len(frame) <= sum(map(size_of, NODES[:100]))
    assert NODES_BYTES + size_of(NODES[0]) < MAX_FRAME_BYTES


def test_two_thousand_nodes_are_listed_page_by_page() -> None:
    """Each answer is one that can be sent."""
    broker = Lab(Broker(SETTINGS, START, nodes=[replace(info, run="") for info in NODES]))
    broker.say(ANN, operator_hello(ANN))
    found: list[NodeInfo] = []
    while len(found) < len(NODES):
        after = found[-1].name if found else ""
        (answer,) = sent(broker.say(ANN, NodesRequest(request=1, after=after)), ANN, Nodes)
        assert encode(answer)
        assert answer.more == (len(found) + len(answer.nodes) < len(NODES))
        found += answer.nodes
    assert [(info.name, info.facts) for info in found] == [(info.name, FACTS) for info in NODES]


def test_a_run_knows_of_its_nodes_what_the_broker_left_out() -> None:
    """What was told of them before; not of a node that has started again since."""
    plan = plain_plan(parse_trial(TRIAL, "t.toml"), {}, ("run",), 1)
    plan.known = {info.name: info for info in NODES}
    (bare, *_) = shortened(NODES)
    assert plan.completed(bare) == NODES[0]
    assert plan.completed(replace(bare, incarnation=4)).facts == {}


def test_runs_of_two_thousand_nodes_are_listed() -> None:
    """Fifty of them would be 2 MB of names."""
    info = RunInfo(
        run=RUN, name="t", state="closed", verdict="pass", operator="ann", opened_ns=1, closed_ns=2,
        nodes=tuple(info.name for info in NODES), last=9,
    )  # fmt: skip
    runs = fitting([info] * 500)
    assert encode(Runs(request=1, runs=runs))
    assert (len(runs), runs[0].nodes, runs[-1].nodes) == (500, info.nodes, ())
