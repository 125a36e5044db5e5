"""PURE.  The agent's connection to its broker: joining, beats, the clock, and coming back.

    away -> joining -> up
      ^________|________|     silence, a refusal or a broker that does not know us

`joining` sends a hello (or, with a key that the broker does not know, an enrolment) until it is answered.
Instants are nanoseconds of the local monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from agents.step_run import NANOSECONDS
from fabric.protocol.limits import BEAT_S, PROTOCOL_VERSION, SILENCE_S
from fabric.protocol.messages import (
    Enrol,
    Enrolled,
    HelloWanted,
    Message,
    ProbeReply,
    Rejected,
    Welcome,
)
from fabric.timing.offset import Contradiction, Exchange
from fabric.timing.timekeeper import Timekeeper

BACKOFF_S: Final = (0.1, 5.0)
"""First and longest wait before connecting again to a broker that refuses, or does not answer; doubled each
time, with jitter: one that has too much to do is not helped by a thousand agents that shake hands again."""

ABSENT_S: Final = 0.5
"""Longest where no hello could even be sent: nobody is there who could be busy with it."""

VERSION_S: Final = (1.0, 30.0)
"""The same for a broker of another version: it may be upgraded next, or this machine's testfabric."""

HELLO_S: Final = 1.0
"""A hello that is not answered is sent again after this."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Make a new control socket."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close all sockets."""


@dataclass(frozen=True, slots=True)
class Say:
    """Send on the control socket."""

    message: Message


@dataclass(frozen=True, slots=True)
class SayHello:
    """Send an `AgentHello` with what is true now."""


@dataclass(frozen=True, slots=True)
class SayBeat:
    """Send a `Beat` with what is known of the clock now."""


@dataclass(frozen=True, slots=True)
class AskTime:
    """Send a `Probe` with the very instant at which it goes out: what is lost before counts as its way."""


@dataclass(frozen=True, slots=True)
class OpenStreams:
    """Connect the go and sink sockets: the broker has let us in."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """More is known; ``burst_done`` if it is the answer to `Session.refresh_clock`."""

    burst_done: bool


@dataclass(frozen=True, slots=True)
class ClockContradicted:
    """What was known of the clock cannot be true any more, and was dropped."""

    found: Contradiction


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The broker said no for good; ``sentence`` is for the user."""

    sentence: str
    is_revoked: bool = False  # the key was: nobody wants anything of this node any more


@dataclass(frozen=True, slots=True)
class KeyEnrolled:
    """The broker knows this node's key from now on."""


SessionEffect = (
    Connect
    | Disconnect
    | Say
    | SayHello
    | SayBeat
    | AskTime
    | OpenStreams
    | ClockChanged
    | ClockContradicted
    | GiveUp
    | KeyEnrolled
)
State = Literal["away", "joining", "up"]


class Session:
    """Keeps the agent connected.

    Args:
        name: Of the node.
        secret: From the join token; None if the key was enrolled before.
        random: Returns numbers from 0 to 1; for jitter.
        now_ns: The present.
    """

    def __init__(self, name: str, secret: bytes | None, random: Callable[[], float], now_ns: int) -> None:
        self.state: State = "away"
        self.epoch = 0
        self.was_up = False
        self._name = name
        self._secret = secret
        self._random = random
        self.time = Timekeeper(now_ns)
        self._backoff_s = BACKOFF_S[0]
        self._version_s = VERSION_S[0]
        self._next_ns = now_ns  # next connect or hello
        self._beat_ns = now_ns
        self.heard_ns = now_ns
        self._hellos = 0
        self._was_sent = False  # one of them

    # --- inputs -----------------------------------------------------------------------------------------

    @property
    def deadline_ns(self) -> int:
        """When `expire` has something to do."""
        if self.state != "up":
            return self._next_ns
        return min(self._beat_ns, self.time.deadline_ns, self.heard_ns + round(SILENCE_S * NANOSECONDS))

    def expire(self, now_ns: int) -> list[SessionEffect]:
        """Connect, say hello, beat, probe, or notice that the broker is silent."""
        if self.state == "up":
            return self._expire_up(now_ns)
        if now_ns < self._next_ns:
            return []
        if self.state == "away":
            self.state = "joining"
            self._hellos = 0
            self._was_sent = False
            return [Connect(), *self._hello(now_ns)]
        if self._hellos * HELLO_S >= SILENCE_S:
            return self.broken(now_ns)
        return self._hello(now_ns)

    def postpone(self, ns: int, now_ns: int) -> None:
        """Do not take the broker for silent because this process has stood still for so long."""
        self.heard_ns = min(self.heard_ns + ns, now_ns)

    def receive(self, message: Message, now_ns: int) -> list[SessionEffect]:
        """Take any message from the broker; those that are not the session's only count as news."""
        if isinstance(message, Rejected):
            return self._on_rejected(message, now_ns)  # no news: a lease does not live on refusals
        self.heard_ns = now_ns
        if isinstance(message, ProbeReply):
            return self._on_probe_reply(message, now_ns)
        if isinstance(message, Welcome):
            return self._on_welcome(message, now_ns)
        if isinstance(message, Enrolled):
            self._secret = None
            return [
                KeyEnrolled(),
                *self._again(now_ns, wait_s=0.0),
            ]  # the new handshake brings the new rights
        if isinstance(message, HelloWanted) and self.state == "up":
            return self._again(now_ns, wait_s=0.0)
        return []

    def use(self, secret: bytes | None, now_ns: int) -> list[SessionEffect]:
        """Connect again at once, with another key; ``secret`` is of the token with which it is to enrol."""
        self._secret = secret
        return self._again(now_ns, wait_s=0.0)

    def broken(self, now_ns: int) -> list[SessionEffect]:
        """Give the connection up and try again after the backoff."""
        is_absent = self.state == "joining" and not self._was_sent
        longest_s = ABSENT_S if is_absent else BACKOFF_S[1]
        wait_s = min(self._backoff_s, longest_s) * (0.5 + self._random())
        self._backoff_s = min(self._backoff_s * 2, longest_s)
        return self._again(now_ns, wait_s)

    def hello_sent(self) -> None:
        """Note that a connection stands, for a hello went out on it."""
        self._was_sent = True

    def unsent(self, now_ns: int) -> list[SessionEffect]:
        """Join again: a control socket that takes no beat has lost its connection."""
        return self.broken(now_ns) if self.state == "up" else []

    def refresh_clock(self, now_ns: int) -> list[SessionEffect]:
        """Begin a burst of probes; `ClockChanged` with ``burst_done`` ends it."""
        self.time.begin_burst(now_ns)
        return self._expire_up(now_ns) if self.state == "up" else []

    @property
    def knows_time(self) -> bool:
        """Whether something is known of the clock of the broker that it is connected to."""
        return self.state == "up" and self.time.clock.epoch == self.epoch

    # --- parts ------------------------------------------------------------------------------------------

    def _hello(self, now_ns: int) -> list[SessionEffect]:
        self._hellos += 1
        self._next_ns = now_ns + round(HELLO_S * NANOSECONDS)
        if self._secret is None:
            return [SayHello()]
        return [Say(Enrol(protocol=PROTOCOL_VERSION, name=self._name, secret=self._secret))]

    def _expire_up(self, now_ns: int) -> list[SessionEffect]:
        if now_ns - self.heard_ns >= SILENCE_S * NANOSECONDS:
            return self.broken(now_ns)
        effects: list[SessionEffect] = []
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + round(BEAT_S * NANOSECONDS)
            effects.append(SayBeat())
        return effects + self._probe(now_ns)

    def _probe(self, now_ns: int) -> list[SessionEffect]:
        match self.time.expire(now_ns):
            case "ask":
                return [AskTime()]
            case "over":
                return [ClockChanged(burst_done=True)]
            case _:
                return []

    def _on_welcome(self, message: Welcome, now_ns: int) -> list[SessionEffect]:
        if self.state != "joining":
            return []
        self.state, self.was_up = "up", True
        self.epoch = message.epoch
        self._backoff_s, self._version_s = BACKOFF_S[0], VERSION_S[0]
        self._beat_ns = now_ns
        return [OpenStreams(message), *self.refresh_clock(now_ns)]

    def _on_rejected(self, message: Rejected, now_ns: int) -> list[SessionEffect]:
        """A node that was let in before keeps trying: the reason may pass.  So does one that is too new.

        But a key that was revoked never comes back, and only the broker can say so: the word is encrypted.
        """
        if message.code == "version":
            wait_s = self._version_s * (0.5 + self._random())
            self._version_s = min(self._version_s * 2, VERSION_S[1])
            return self._again(now_ns, wait_s)
        if message.code == "revoked" or (self.was_up and self._secret is not None):
            # The second: of a key that was to follow, whose token lets it in nowhere.
            return [GiveUp(message.sentence, is_revoked=True), *self.broken(now_ns)]
        if not self.was_up:
            return [GiveUp(message.sentence)]
        return self.broken(now_ns)

    def _on_probe_reply(self, message: ProbeReply, now_ns: int) -> list[SessionEffect]:
        if self.state != "up" or message.epoch != self.epoch:
            return []
        exchange = Exchange(message.t1_ns, message.t2_ns, message.t3_ns, now_ns)
        learnt = self.time.answered(message.epoch, exchange)
        effects: list[SessionEffect] = []
        if learnt.contradiction is not None:
            effects.append(ClockContradicted(learnt.contradiction))
        if self.knows_time:
            effects.append(ClockChanged(learnt.is_burst_over))
        return effects + self._probe(now_ns)

    def _again(self, now_ns: int, wait_s: float) -> list[SessionEffect]:
        self.state = "away"
        self._next_ns = now_ns + round(wait_s * NANOSECONDS)
        self.time.stop()
        return [Disconnect()]
