"""Reservation, relays and the go, by real sockets."""

import re
import time

import zmq

from fabric.protocol import messages as m
from fabric.protocol.codec import decode
from fabric.transport import receive_frames
from tests.integration.broker.peers import OTHER, RUN, Lab, open_run, start, until


def test_a_phase_is_prepared_started_and_committed(lab: Lab) -> None:
    """Orders and answers are relayed, the go is broadcast and confirmed."""
    one, two = lab.agent("lab1"), lab.agent("lab2")
    controller = lab.running(one, two)
    for node in (one, two):
        prepare = m.Prepare(
            run=RUN, node=node.name, phase="1/run", end=(), failed=False, stopped=False, steps=()
        )
        controller.say(prepare)
        assert node.expect(m.Prepare) == prepare
        node.say(m.Ready(run=RUN, node=node.name, phase="1/run", clock_bound_ns=1, rtt_ns=1))
        assert controller.expect(m.Ready).node == node.name
    begun = time.time_ns()
    controller.say(start(1, one, two))
    for node in (one, two):
        go = node.expect(m.Go)  # by control, since not everybody is known to listen
        node.say(m.Confirm(run=RUN, phase="1/run", go=1, t0_ns=go.t0_ns))
    committed = controller.expect(m.GoCommitted)
    assert (committed.t0_ns, committed.lead_ns) == (go.t0_ns, 2_000_000_000)
    assert begun < committed.t0_ns < time.time_ns() + 2_000_000_000


def test_a_go_reaches_those_who_listen_by_broadcast(lab: Lab) -> None:
    """One message for all: that is what keeps the lead short for many nodes."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    heard: list[list[bytes]] = []
    number = 0

    def go_came() -> bool:
        """Say whether it came by either way: by control while the subscription is under way."""
        heard.extend(receive_frames(node.go, 10))
        node.waiting += [decode(frames[0]) for frames in receive_frames(node.control, 10)]
        return m.Go in map(type, node.waiting) or bool(heard)

    while not heard:
        number += 1
        node.waiting.clear()
        controller.say(start(number, node))
        until(go_came, node.go, zmq.POLLIN)
        (go,) = [one for one in [*node.waiting, *map(_go, heard)] if isinstance(one, m.Go)][-1:]
        node.say(m.Confirm(run=RUN, phase="1/run", go=number, t0_ns=go.t0_ns))
        controller.expect(m.GoCommitted)
    assert heard[-1][0] == b"go"
    go = _go(heard[-1])
    assert isinstance(go, m.Go)
    assert (go.run, go.phase, go.go, go.epoch) == (RUN, "1/run", number, 1)


def _go(frames: list[bytes]) -> m.Message:
    return decode(frames[1])


def test_a_go_that_nobody_confirms_is_taken_back(lab: Lab) -> None:
    """The broker's own clock drives it."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    controller.say(m.StartPhase(run=RUN, phase="1/run", go=1, nodes=("lab1",), lead_s=0.05, max_rtt_ns=0))
    node.expect(m.Abort)
    node.say(m.Aborted(run=RUN, phase="1/run", go=1, started=False))
    aborted = controller.expect(m.GoAborted)
    assert aborted.reasons == {"lab1": "lab1 did not confirm the go in time"}


def test_two_runs_that_want_one_node(lab: Lab) -> None:
    """The second is told by whom and since when."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    denied = controller.ask(open_run(OTHER, node), m.Denied)
    assert denied.code == "busy"
    assert re.fullmatch(rf"lab1 is in use by run {RUN} of \S+ since 20\S+ \S+ UTC", denied.sentence)
    assert controller.ask(
        m.CloseRun(request=2, run=RUN, verdict="pass", result="{}"), m.RunClosed
    ) == m.RunClosed(request=2, run=RUN)
    leaving = controller.ask(open_run(OTHER, node), m.Denied)
    assert leaving.sentence == f"lab1 still ends its part of run {RUN} by itself"
    node.say(m.Freed(run=RUN, node="lab1", incarnation=1, records=0, reset_failed=False))
    node.ask(m.Probe(t1_ns=1), m.ProbeReply)
    assert controller.ask(open_run(OTHER, node), m.RunOpened).run == OTHER
    runs = controller.ask(m.RunsRequest(request=3, run="", limit=10), m.Runs).runs
    assert [(run.run, run.state, run.verdict) for run in runs] == [
        (OTHER, "open", ""),
        (RUN, "closed", "pass"),
    ]
