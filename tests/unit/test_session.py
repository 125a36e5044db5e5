"""The agent's Session: joining, beats, the clock, silence, coming back."""

from typing import Any

from agents import session as ss
from agents.session import BURST, HELLO_S, NANOSECONDS, PROBE_S, Session
from fabric.protocol.limits import BEAT_S, SILENCE_S
from fabric.protocol.messages import (
    Beat,
    Enrol,
    Enrolled,
    HelloWanted,
    Probe,
    ProbeReply,
    Rejected,
    Welcome,
)

WELCOME = Welcome(protocol=1, software="x", epoch=3, name="lab1", go_port=1, sink_port=2, feed_port=3)


class Agent:
    """A session under a manual clock."""

    def __init__(self, secret: bytes | None = None) -> None:
        self.now_ns = 1_000 * NANOSECONDS
        self.session = Session("lab1", secret, lambda: 0.5, self.now_ns)

    def after(self, seconds: float) -> list[Any]:
        self.now_ns += round(seconds * NANOSECONDS)
        return self.session.expire(self.now_ns)

    def hear(self, message: Any) -> list[Any]:
        return self.session.receive(message, self.now_ns)

    def join(self) -> list[Any]:
        self.after(0)
        return self.hear(WELCOME)

    def answer_probes(self, effects: list[Any], epoch: int = 3) -> list[Any]:
        """Answer the probes of these effects, and those that follow; return what changed."""
        found: list[Any] = []
        while True:
            found += [effect for effect in effects if isinstance(effect, ss.ClockChanged)]
            if any(change.burst_done for change in found):
                return found
            probes = [e.message for e in effects if isinstance(e, ss.Say) and isinstance(e.message, Probe)]
            assert len(probes) == 1, "each probe follows the answer to the one before"
            t2 = probes[0].t1_ns + 10**18
            self.now_ns += 1_000_000
            effects = self.hear(ProbeReply(epoch=epoch, t1_ns=probes[0].t1_ns, t2_ns=t2, t3_ns=t2))


def said(effects: list[Any]) -> list[type]:
    return [type(effect.message) if isinstance(effect, ss.Say) else type(effect) for effect in effects]


def test_it_says_hello_until_it_is_welcome() -> None:
    """The first hello may be lost."""
    agent = Agent()
    assert said(agent.after(0)) == [ss.Connect, ss.SayHello]
    assert agent.after(HELLO_S - 0.001) == []
    assert said(agent.after(0.001)) == [ss.SayHello]
    assert isinstance(agent.hear(WELCOME)[0], ss.OpenStreams)
    assert agent.session.state == "up"


def test_a_broker_that_never_answers_is_connected_to_anew() -> None:
    """For ever, with growing pauses."""
    agent = Agent()
    agent.after(0)
    effects: list[Any] = []
    while not any(isinstance(effect, ss.Disconnect) for effect in effects):
        effects = agent.after(HELLO_S)
    assert agent.session.state == "away"
    first_ns = agent.session.deadline_ns - agent.now_ns
    while not any(isinstance(effect, ss.Connect) for effect in agent.after(0.1)):
        pass
    while agent.session.state != "away":
        agent.after(HELLO_S)
    assert agent.session.deadline_ns - agent.now_ns == 2 * first_ns


def test_an_unknown_key_enrols_and_then_connects_again() -> None:
    """The rights of a connection are those of its handshake."""
    agent = Agent(secret=b"s" * 16)
    assert said(agent.after(0)) == [ss.Connect, Enrol]
    assert said(agent.hear(Enrolled(name="lab1"))) == [ss.KeyEnrolled, ss.Disconnect]
    assert said(agent.after(0)) == [ss.Connect, ss.SayHello]


def test_a_refusal_at_the_first_start_is_final_and_told() -> None:
    """A second agent with a name in use is refused with a sentence."""
    agent = Agent()
    agent.after(0)
    refusal = Rejected(code="name_in_use", sentence="lab1 is in use")
    assert agent.hear(refusal) == [ss.GiveUp("lab1 is in use")]


def test_a_node_that_was_in_before_keeps_trying() -> None:
    """The reason may pass; a lab must not lose its agents for a moment's confusion."""
    agent = Agent()
    agent.join()
    agent.hear(HelloWanted())
    agent.after(0)
    effects = agent.hear(Rejected(code="name_in_use", sentence="lab1 is in use"))
    assert effects == [ss.Disconnect()]


def test_it_beats_and_notices_silence() -> None:
    """The moment before, the moment itself."""
    agent = Agent()
    agent.answer_probes(agent.join())
    assert Beat in said(agent.after(BEAT_S))
    agent.hear(Beat())
    heard_ns = agent.now_ns
    while agent.now_ns - heard_ns < (SILENCE_S - 0.5) * NANOSECONDS:
        assert ss.Disconnect not in said(agent.after(0.25))
    assert ss.Disconnect in said(agent.after(0.6))


def test_a_broker_that_does_not_know_us_gets_a_hello_at_once() -> None:
    """It has restarted; waiting for its silence would waste five seconds."""
    agent = Agent()
    agent.join()
    assert agent.hear(HelloWanted()) == [ss.Disconnect()]
    assert said(agent.after(0)) == [ss.Connect, ss.SayHello]


def test_a_burst_ends_with_the_last_answer_and_gives_the_clock() -> None:
    """A prepare waits for it."""
    agent = Agent()
    changes = agent.answer_probes(agent.join())
    assert len(changes) == BURST
    assert [change.burst_done for change in changes] == [False] * (BURST - 1) + [True]
    assert abs(changes[-1].estimate.offset_ns - 10**18) <= changes[-1].estimate.bound_ns


def test_a_burst_with_lost_answers_ends_all_the_same() -> None:
    """One answer is a bound; none is asked for again."""
    agent = Agent()
    (probe,) = [e.message for e in agent.join() if isinstance(e, ss.Say) and isinstance(e.message, Probe)]
    agent.hear(ProbeReply(epoch=3, t1_ns=probe.t1_ns, t2_ns=5, t3_ns=5))
    changes: list[Any] = []
    for _ in range(200):
        agent.hear(Beat())
        changes += [e for e in agent.after(0.01) if isinstance(e, ss.ClockChanged)]
        if changes:
            break
    assert changes[-1].burst_done


def test_answers_of_another_epoch_are_ignored() -> None:
    """The clock of an earlier life of the broker says nothing."""
    agent = Agent()
    agent.join()
    assert agent.hear(ProbeReply(epoch=2, t1_ns=agent.now_ns, t2_ns=5, t3_ns=5)) == []


def test_between_bursts_it_probes_slowly() -> None:
    """Drift widens the bound; a probe every ten seconds keeps it within a millisecond."""
    agent = Agent()
    agent.answer_probes(agent.join())
    probes = 0
    for _ in range(int(3 * PROBE_S)):
        agent.hear(Beat())
        probes += said(agent.after(1.0)).count(Probe)
    assert probes == 3
