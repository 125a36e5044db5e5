"""A broker that is away is told soon, with the reason, and then rarely."""

import threading
from itertools import pairwise

from structlog.testing import capture_logs

from agents.absence import AGAIN_NS, FIRST_NS, LOOK_NS, Absence
from agents.awaiting import Awaiting
from fabric.config import Address
from fabric.controller import absence as operator
from fabric.doctor.greeting import Obstacle
from fabric.protocol.messages import Rejected, Welcome
from fabric.testing import ManualClock

S = 1_000_000_000
LAB = Address("lab", 7400)
WELCOME = Welcome(
    protocol=3, software="0", epoch=7, name="lab1", go_port=7401, sink_port=7402, feed_port=7403
)


def told_at(absence: Absence, until_ns: int) -> list[int]:
    """Return the seconds at which something is told, if each look takes one."""
    told = []
    while (due_ns := absence.deadline_ns) is not None and due_ns <= until_ns:
        if absence.expire(due_ns) == "look" and absence.looked(due_ns + S) == "tell":
            told.append((due_ns + S) // S)
    return told


def test_it_is_told_within_seconds_and_then_ever_more_rarely() -> None:
    """Silence looks like an agent that works; a line every few seconds is 15,000 a day."""
    told = told_at(Absence(0), 24 * 3600 * S)
    assert told[0] * S <= FIRST_NS + LOOK_NS
    gaps = [later - former for former, later in pairwise(told)]
    assert gaps[:4] == [61, 121, 241, 481]
    assert max(gaps) == AGAIN_NS[1] // S + 1
    assert len(told) < 35


def test_a_look_that_takes_too_long_is_not_waited_for() -> None:
    """A name server that is away answers after half a minute, or never."""
    absence = Absence(0)
    assert absence.expire(FIRST_NS) == "look"
    assert absence.expire(FIRST_NS + LOOK_NS - 1) == ""
    assert absence.expire(FIRST_NS + LOOK_NS) == "tell"
    assert absence.looked(FIRST_NS + LOOK_NS + 1) == "", "it was told"


def test_a_loss_is_told_once_and_begins_to_count_anew() -> None:
    """Each attempt that fails ends a connection, too: that is no news."""
    absence = Absence(0)
    assert not absence.began(S), "there was none"
    told_at(absence, 600 * S)
    absence.ended()
    assert absence.deadline_ns is None
    assert absence.looked(601 * S) == ""
    assert [absence.began(at * S) for at in (700, 706, 712)] == [True, False, False]
    assert absence.deadline_ns == 700 * S + FIRST_NS


def test_a_broker_that_refuses_is_not_told_to_be_away() -> None:
    """It is there, and has said why; if it goes away after that, this is told."""
    absence = Absence(0)
    for at in range(0, 600, 45):
        assert absence.expire(at * S) == ""
        absence.refused(at * S)
    assert told_at(absence, 1000 * S)


def awaiting(found: Obstacle | None) -> tuple[Awaiting, ManualClock]:
    clock = ManualClock()
    looked = threading.Event()
    made = Awaiting(LAB, "lab1", clock, looked.set, lambda *_: found)
    clock.advance_s(FIRST_NS / S)
    made.expire(clock.now_ns())
    assert looked.wait(10), "the loop was not woken"
    return made, clock


def test_an_agent_says_where_it_looks_why_and_what_says_more() -> None:
    """A wrong port, a firewall and a broker that does not run are mended in three places."""
    made, clock = awaiting(Obstacle("nothing listens there", "start it"))
    with capture_logs() as logs:
        made.expire(clock.now_ns())
        made.expire(clock.now_ns())
    assert logs == [
        {
            "event": "broker_awaited",
            "log_level": "warning",
            "broker": "tcp://lab:7400",
            "why": "nothing listens there",
            "hint": "`fabric-agent tcp://lab:7400 --name lab1 --doctor` says more",
        }
    ]


def test_a_broker_that_answers_but_lets_nobody_in_is_told_as_that() -> None:
    """Else who reads it would look for a firewall."""
    made, clock = awaiting(None)
    with capture_logs() as logs:
        made.expire(clock.now_ns())
    assert "a broker answers there" in logs[0]["why"]


def test_an_agent_tells_a_loss_its_end_and_nothing_in_between() -> None:
    """A new key begins a connection, too, and is no loss."""
    made = Awaiting(LAB, "lab1", ManualClock(), lambda: None, lambda *_: None)
    with capture_logs() as logs:
        made.left()
        made.joined(WELCOME)
        made.renews(enrols=False)
        made.left()
        made.joined(WELCOME)
        for _ in range(3):
            made.left()
        made.joined(WELCOME)
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("broker_joined", "info"),
        ("key_replaced", "info"),
        ("broker_joined", "info"),
        ("broker_left", "warning"),
        ("broker_joined", "info"),
    ]


def test_a_refusal_is_told_with_what_follows() -> None:
    """And once in ten seconds: a node that was let in before asks again and again."""
    made = Awaiting(LAB, "lab1", ManualClock(), lambda: None, lambda *_: None)
    with capture_logs() as logs:
        for at in (0, 5, 9):
            made.refused(Rejected(code="not_allowed", sentence="no"), at * S)
    assert [(log["sentence"], log["hint"]) for log in logs] == [("no", "it is asked again and again")]


def test_an_operator_is_told_of_an_absence_and_of_its_end() -> None:
    """Who is told that something waits wants to know for how long, and when that is over."""
    absence = operator.Absence("tcp://lab:7400", 60.0, None)
    assert absence.ended(S) == "", "nobody was told that it is away"
    assert absence.awaited() == "broker away: no answer from tcp://lab:7400 yet; waiting up to 60 s"
    assert absence.ended(3 * S) == "the broker answers after 3 s"
    assert absence.lost("cut") == "broker away: cut; waiting until it is back"
    assert absence.ended(200_000_000) == "the broker is back after 1 s"
    assert absence.ended(S) == ""
    assert operator.Absence("", 60.0, 2.5).lost("cut").endswith("; waiting up to 2.5 s")
