"""A broken or hostile peer harms itself only."""

import os
import signal
from dataclasses import replace

from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from tests.integration.broker.peers import RUN, Lab, output, replay


def test_a_node_cannot_speak_for_another_nor_write_into_a_run_that_is_not_its_own(lab: Lab) -> None:
    """A broken or stolen node harms itself only."""
    one, two = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(one)
    two.say(m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1))
    two.ship(1, b"forged")
    assert two.ask(replace(two.hello(), name="lab1"), m.Rejected).code == "not_allowed"
    assert two.ask(m.NodesRequest(request=1), m.Rejected).code == "not_allowed"
    one.ship(1, b"true")
    assert one.expect(m.Acknowledged).number == 1
    assert [head.node for head, _, _ in replay(controller)] == ["lab1"]
    assert not any(isinstance(message, m.Ready) for message in controller.waiting)


def test_garbage_of_every_kind_harms_nobody(lab: Lab) -> None:
    """It is counted and logged; everybody else is served as before."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    nested = b"\x91" * 100_000
    garbage = (
        [b""],
        [b"\xc1garbage"],
        [nested],
        [os.urandom(500)],
        [encode(m.Beat())] * 3,
        [b"x"] * 600,
        [b"\xdf\xff\xff\xff\xff"],
        [b"\x00" * (1 << 20)],
        [encode(m.Beat())[:-1]],
        [nested * 9],
    )
    for number, frames in enumerate(garbage):  # by a node each, for one is not listened to again soon
        bad = lab.agent(f"bad{number}")
        bad.push(bad.control, frames)
        bad.push(bad.sink, frames)
    bad = lab.agent("lab2")
    broken = m.Batch(run=RUN, incarnation=1, first=1, records=(output(b"12345"),))
    bad.push(bad.sink, [encode(broken), b"123"])
    bad.push(bad.control, [b"\x00" * (2 << 20)])  # over MAXMSGSIZE: the connection is closed
    node.ship(1, b"fine")
    assert node.expect(m.Acknowledged).number == 1
    assert controller.ask(m.NodesRequest(request=9), m.Nodes).request == 9
    assert lab.broker.end(signal.SIGTERM) == 0
    assert "message_refused" in lab.broker.errors
    assert "Traceback" not in lab.broker.errors


def test_an_unknown_key_gets_nowhere_but_to_enrolment(lab: Lab) -> None:
    """Nodes' and operators' words are refused; go and feed do not even let it connect."""
    stranger = lab.agent("lab9", join=False)
    assert stranger.ask(stranger.hello(), m.Rejected).code == "not_allowed"
    assert stranger.ask(m.NodesRequest(request=1), m.Rejected).code == "not_allowed"
