"""The agent's Session: joining, beats, the clock, silence, coming back."""

from dataclasses import replace
from typing import Any

from agents import session as ss
from agents.session import HELLO_S, NANOSECONDS, Session
from fabric.protocol.limits import BEAT_S, PROTOCOL_VERSION, SILENCE_S
from fabric.protocol.messages import (
    Beat,
    Enrol,
    Enrolled,
    HelloWanted,
    ProbeReply,
    Rejected,
    Welcome,
)
from fabric.timing.probing import AGAIN_MAX, BURST_MIN, SELDOM_NS
from fabric.timing.timekeeper import TELL_NS

WELCOME = Welcome(
    protocol=PROTOCOL_VERSION, software="x", epoch=3, name="lab1", go_port=1, sink_port=2, feed_port=3
)


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

    def reply(self, there_ns: int = 500_000, back_ns: int = 500_000, offset_ns: int = 10**18) -> list[Any]:
        """Have the question of now answered."""
        t1_ns = self.now_ns
        t2 = t1_ns + there_ns + offset_ns
        self.now_ns += there_ns + back_ns
        return self.hear(ProbeReply(epoch=3, t1_ns=t1_ns, t2_ns=t2, t3_ns=t2))

    def answer_burst(self, effects: list[Any], *ways: tuple[int, int]) -> list[Any]:
        """Answer the questions of a burst, by ways there and back that repeat; return what changed."""
        found: list[Any] = []
        ways = ways or ((500_000, 400_000), (400_000, 500_000))
        while not any(change.burst_done for change in found):
            assert effects.count(ss.AskTime()) == 1, "each question follows the answer to the one before"
            effects = self.reply(*ways[len(found) % len(ways)])
            found += [effect for effect in effects if isinstance(effect, ss.ClockChanged)]
        return found


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


def pauses(agent: Agent, count: int, *, answers: bool) -> list[float]:
    """Return how long it is away between attempts; ``answers``: a connection stands, though nobody speaks."""
    found = []
    for _ in range(count):
        agent.now_ns = agent.session.deadline_ns
        assert agent.after(0)[0] == ss.Connect()
        if answers:
            agent.session.hello_sent()
        while agent.session.state != "away":
            agent.after(HELLO_S)
        found.append((agent.session.deadline_ns - agent.now_ns) / NANOSECONDS)
    return found


def test_a_broker_that_never_answers_is_connected_to_anew() -> None:
    """For ever, with growing pauses: it may have too much to do."""
    assert pauses(Agent(), 8, answers=True) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_broker_that_is_not_there_is_looked_for_all_the_time() -> None:
    """A restart may take a minute; the agents must be back when it is, also after they got no answer."""
    agent = Agent()
    assert pauses(agent, 6, answers=False) == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
    pauses(agent, 6, answers=True)
    assert pauses(agent, 2, answers=False) == [0.5, 0.5]


def test_a_connection_that_takes_no_beat_is_made_again() -> None:
    """A broker that was killed is not waited for in silence: agents must be there when the next one is."""
    agent = Agent()
    assert agent.session.unsent(agent.now_ns) == [], "a hello waits for the connection by itself"
    agent.join()
    assert said(agent.session.unsent(agent.now_ns)) == [ss.Disconnect]
    assert said(agent.after(0.1)) == [ss.Connect, ss.SayHello]


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


def test_a_key_that_was_revoked_is_given_up_by_who_was_in_before_too() -> None:
    """It never comes back, and what runs on the node is to end.  A restored broker may know the key again."""
    agent = Agent()
    agent.join()
    revoked = Rejected(code="revoked", sentence="the key was revoked")
    assert agent.hear(revoked) == [ss.GiveUp("the key was revoked", is_revoked=True), ss.Disconnect()]
    while agent.session.state == "away":
        agent.after(0.1)
    assert isinstance(agent.hear(WELCOME)[0], ss.OpenStreams)


def test_a_token_that_lets_no_other_key_in_is_given_up_too() -> None:
    """The key was revoked, and the token that the agent was started with is the one that it came by."""
    agent = Agent()
    agent.join()
    agent.session.use(b"s" * 16, agent.now_ns)
    assert said(agent.after(0)) == [ss.Connect, Enrol]
    used = Rejected(code="bad_token", sentence="used")
    assert agent.hear(used)[0] == ss.GiveUp("used", is_revoked=True)


def test_an_agent_of_another_version_waits_for_the_upgrade() -> None:
    """In an upgrade of a lab somebody is first; patience costs nothing."""
    agent = Agent()
    agent.after(0)
    waits = []
    for _ in range(8):
        begun_ns = agent.now_ns
        assert agent.hear(Rejected(code="version", sentence="upgrade")) == [ss.Disconnect()]
        agent.now_ns = agent.session.deadline_ns
        assert said(agent.after(0)) == [ss.Connect, ss.SayHello]
        waits.append((agent.now_ns - begun_ns) / NANOSECONDS)
    assert waits[0] >= 0.5
    assert 15 <= waits[-1] <= 45
    agent.hear(WELCOME)
    assert agent.session.state == "up"


def test_it_beats_and_notices_silence() -> None:
    """The moment before, the moment itself."""
    agent = Agent()
    agent.answer_burst(agent.join())
    assert ss.SayBeat in said(agent.after(BEAT_S))
    agent.hear(Beat())
    heard_ns = agent.now_ns
    while agent.now_ns - heard_ns < (SILENCE_S - 0.5) * NANOSECONDS:
        assert ss.Disconnect not in said(agent.after(0.25))
    assert ss.Disconnect in said(agent.after(0.6))


def test_an_agent_that_has_stood_still_does_not_blame_the_broker() -> None:
    """What the broker has said meanwhile may be on its way: the connection stays, and so do leases."""
    agent = Agent()
    agent.join()
    agent.after(2)
    agent.now_ns += 40 * NANOSECONDS
    agent.session.postpone(40 * NANOSECONDS, agent.now_ns)
    agent.after(0)
    assert agent.session.state == "up"
    assert agent.session.heard_ns == agent.now_ns - 2 * NANOSECONDS
    agent.session.postpone(40 * NANOSECONDS, agent.now_ns)
    assert agent.session.heard_ns == agent.now_ns, "not in the future"
    agent.after(SILENCE_S)
    assert agent.session.state == "away"


def test_a_broker_that_does_not_know_us_gets_a_hello_at_once() -> None:
    """It has restarted; waiting for its silence would waste five seconds."""
    agent = Agent()
    agent.join()
    assert agent.hear(HelloWanted()) == [ss.Disconnect()]
    assert said(agent.after(0)) == [ss.Connect, ss.SayHello]


def test_a_burst_ends_when_enough_is_known_and_gives_the_clock() -> None:
    """A prepare waits for it."""
    agent = Agent()
    changes = agent.answer_burst(agent.join())
    assert [change.burst_done for change in changes] == [False] * (BURST_MIN - 1) + [True]
    known = agent.session.time.clock.at(agent.now_ns)
    assert known is not None
    assert abs(known.offset_ns - 10**18) <= known.bound_ns <= known.rtt_ns // 2


def test_a_burst_over_a_bad_path_ends_too() -> None:
    """Each round trip is worse than the one that was once seen: a phase cannot wait for another such."""
    agent = Agent()
    agent.answer_burst(agent.join())
    for _ in range(3):
        agent.after(0.5)
        agent.hear(Beat())
    changes = agent.answer_burst(agent.session.refresh_clock(agent.now_ns), (9_000_000, 9_000_000))
    assert len(changes) == AGAIN_MAX


def test_a_burst_with_lost_answers_ends_all_the_same() -> None:
    """One answer is a bound; none is asked for again."""
    agent = Agent()
    assert ss.AskTime() in agent.join()
    agent.reply()
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
    assert not agent.session.knows_time


def test_the_time_of_an_earlier_life_of_the_broker_is_not_the_present_one() -> None:
    """Records go on with it, for nothing better is known; but no phase starts by it."""
    agent = Agent()
    agent.answer_burst(agent.join())
    assert agent.session.knows_time
    agent.hear(HelloWanted())
    assert not agent.session.knows_time
    agent.after(0)
    agent.hear(replace(WELCOME, epoch=4))
    assert not agent.session.knows_time
    assert agent.session.time.clock.at(agent.now_ns) is not None
    t2 = agent.now_ns + 7
    agent.hear(ProbeReply(epoch=4, t1_ns=agent.now_ns, t2_ns=t2, t3_ns=t2))
    assert agent.session.knows_time


def test_a_clock_that_was_set_is_told_once_a_minute() -> None:
    """One that runs wrong is found out every few seconds, and nobody reads a thousand lines."""
    agent = Agent()
    agent.answer_burst(agent.join())
    told = []
    for offset_s in range(1, TELL_NS // NANOSECONDS + 2):
        agent.after(1.0)
        effects = agent.reply(offset_ns=10**18 + offset_s * NANOSECONDS)
        told += [effect for effect in effects if isinstance(effect, ss.ClockContradicted)]
    assert len(told) == 2
    assert agent.session.time.clock.contradictions == TELL_NS // NANOSECONDS + 1
    known = agent.session.time.clock.at(agent.now_ns)
    assert known is not None
    assert abs(known.offset_ns - 10**18 - (TELL_NS // NANOSECONDS + 1) * NANOSECONDS) <= known.bound_ns


def test_between_bursts_it_asks_seldom() -> None:
    """Drift widens the bound; a question every few seconds keeps it within a millisecond."""
    agent = Agent()
    agent.answer_burst(agent.join())
    seconds = 60
    asked = 0
    for _ in range(seconds):
        agent.hear(Beat())
        asked += agent.after(1.0).count(ss.AskTime())
    assert seconds * NANOSECONDS // SELDOM_NS[1] <= asked <= seconds * NANOSECONDS // SELDOM_NS[0] + 3
