"""Every record is stored once, whatever happens to the broker."""

import resource
import signal
from dataclasses import replace

import zmq

from fabric.protocol import messages as m
from fabric.protocol.codec import decode
from fabric.protocol.records import Notice
from fabric.transport import receive_frames
from tests.integration.broker.peers import RUN, Lab, entry, operator_hello, replay, text_of, until


def test_records_come_by_the_feed_as_they_were_sent_and_again_by_replay(lab: Lab) -> None:
    """Readers have one interface: live, and what they missed."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    assert controller.feed is not None
    controller.feed.subscribe(f"{RUN}/")
    seen: list[list[bytes]] = []

    def beacon_came() -> bool:
        seen.extend(receive_frames(controller.feed, 10))
        return bool(seen)

    until(beacon_came, controller.feed, zmq.POLLIN)  # so the subscription has arrived
    assert decode(seen[0][1]) == m.Beacon(run=RUN, number=0, open=True)
    notice = Notice(t_ns=1, bound_ns=0, level="info", message="begin")
    controller.say(m.Append(run=RUN, incarnation=1 << 40, first=1, records=(notice,)))
    assert controller.expect(m.Acknowledged).number == 1
    node.ship(1, b"hello ", b"\xff\x00world")
    assert node.expect(m.Acknowledged).number == 2
    stored = replay(controller)
    skimmed = replay(controller, without_bytes=True)
    assert [(head, batch, b"") for head, batch, _ in stored] == skimmed, "who has no use for output is faster"
    assert [head.number for head, _, _ in stored] == [1, 2]
    assert text_of(stored, "lab1") == b"hello \xff\x00world"

    def all_came() -> bool:
        seen.extend(receive_frames(controller.feed, 10))
        return sum(len(frames) == 4 for frames in seen) == 2

    until(all_came, controller.feed, zmq.POLLIN)
    assert [entry(frames[1:]) for frames in seen if len(frames) == 4] == stored


def test_who_knows_more_than_the_store_is_told(lab: Lab) -> None:
    """After a backup was put back, a reader and a controller that wait for what was would wait for ever."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    ahead = m.Replay(request=8, run=RUN, number=2, limit_bytes=1 << 20)
    denied = controller.ask(ahead, m.Denied)
    assert (denied.request, denied.code) == (8, "closed")
    assert "its store was put back to an earlier state" in denied.sentence
    stands = m.Append(run=RUN, incarnation=1 << 40, first=1, records=())
    assert controller.ask(stands, m.Acknowledged).number == 0
    assert controller.ask(replace(stands, incarnation=2 << 40, first=5), m.Resend).number == 1
    controller.ask(m.CloseRun(request=2, run=RUN, verdict="pass", result="{}"), m.RunClosed)
    assert controller.ask(stands, m.Denied).code == "closed"


def test_a_gap_is_asked_for_and_a_repetition_is_dropped(lab: Lab) -> None:
    """What a cut did to the window is made up for."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    node.ship(1, b"a")
    assert node.expect(m.Acknowledged).number == 1
    node.ship(3, b"c")
    assert node.expect(m.Resend).number == 2
    node.ship(1, b"a", b"b", b"c")
    assert node.expect(m.Acknowledged).number == 3
    assert text_of(replay(controller), "lab1") == b"abc"


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(lab: Lab) -> None:
    """A kill -9 in the middle of a stream; the agent resends what was not acknowledged, and a little more."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    lines = [b"%06d\n" % number for number in range(400)]
    for number, line in enumerate(lines[:200], 1):
        node.ship(number, line)
    durable = node.expect(m.Acknowledged).number
    lab.broker.end(signal.SIGKILL)
    lab.broker.start()
    for peer in (node, controller):
        peer.close()
        peer.waiting.clear()
    welcome = node.meet(RUN)
    assert welcome.epoch == 2
    reached = node.expect(m.Acknowledged).number
    assert reached >= durable, "what was acknowledged is there"
    for number in range(max(1, durable - 5), 401):
        node.ship(number, lines[number - 1])
    while reached < 400:
        reached = node.expect(m.Acknowledged).number
    controller.control = controller.connect(zmq.DEALER)
    controller.ask(operator_hello(), m.Welcome)
    assert text_of(replay(controller), "lab1") == b"".join(lines)
    numbers = [(head.number, head.count) for head, _, _ in replay(controller)]
    assert [number for number, _ in numbers] == list(range(1, 401))


def test_a_restarted_broker_asks_whom_it_has_not_met_and_keeps_the_reservation(lab: Lab) -> None:
    """Peers find out at their next beat, and the run goes on under the same controller."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    lab.broker.end(signal.SIGKILL)
    lab.broker.start()
    for peer in (node, controller):
        peer.waiting.clear()
        peer.say(m.Beat())
        peer.expect(m.HelloWanted)
    node.ask(node.hello(RUN), m.Welcome)
    controller.ask(operator_hello(), m.Welcome)
    (info,) = controller.ask(m.NodesRequest(request=1), m.Nodes).nodes
    assert (info.state, info.run) == ("busy", RUN)
    ready = m.Ready(run=RUN, node="lab1", phase="1/run", clock_bound_ns=1, rtt_ns=1)
    node.say(ready)
    assert controller.expect(m.Ready) == ready


def test_records_after_the_end_of_their_run_are_stored(lab: Lab) -> None:
    """A node that was cut off ships what it has when it is back."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    controller.ask(m.CloseRun(request=2, run=RUN, verdict="error", result="{}"), m.RunClosed)
    node.ship(1, b"late")
    assert node.expect(m.Acknowledged).number == 1
    assert text_of(replay(controller), "lab1") == b"late"


def test_a_disk_that_refuses_stops_the_stream_and_loses_nothing(lab: Lab) -> None:
    """The controller is told, steps wait, and when there is space again everything is stored, once."""
    node = lab.agent("lab1")
    controller = lab.running(node)
    node.ship(1, b"before")
    assert node.expect(m.Acknowledged).number == 1
    assert lab.broker.process is not None
    pid = lab.broker.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))  # like a full disk: it refuses to write more
    for number in range(2, 100):
        node.ship(number, b"%02d" % number)
    denied = controller.expect(m.Denied)
    assert denied.request == 0
    assert "the broker cannot store records" in denied.sentence
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    reached = 1
    while reached < 99:
        answer = node.expect(m.Acknowledged)
        reached = answer.number
    stored = replay(controller)
    assert text_of(stored, "lab1") == b"before" + b"".join(b"%02d" % number for number in range(2, 100))
    notices = [record for head, batch, _ in stored if head.node == "" for record in batch.records]
    assert any(
        "could not store records" in record.message for record in notices if isinstance(record, Notice)
    )
