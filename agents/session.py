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
    Beat,
    Enrol,
    Enrolled,
    HelloWanted,
    Message,
    Probe,
    ProbeReply,
    Rejected,
    Welcome,
)
from fabric.timing.offset import Estimate, Exchange, OffsetFilter

BURST: Final = 6
"""Probes of one burst: enough that one of them meets no queue."""

BURST_GAP_S: Final = 0.02
"""A probe of a burst that is not answered after this is followed by the next; else the answer is.  So none
waits behind another one in a queue, and a burst takes no longer than its round trips."""

BURST_LIMIT_S: Final = 1.0
"""A burst of which some probes are lost counts as answered after this, if any was answered at all."""

PROBE_S: Final = 10.0
"""Between two probes when nothing else happens; drift adds 1 ms to the bound meanwhile."""

BACKOFF_S: Final = (0.1, 5.0)
"""First and longest wait before connecting again; doubled each time, with jitter."""

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
class OpenStreams:
    """Connect the go and sink sockets: the broker has let us in."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """There is a better estimate; ``burst_done`` if it is the answer to `Session.refresh_clock`."""

    epoch: int
    estimate: Estimate
    burst_done: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The broker said no for good; ``sentence`` is for the user."""

    sentence: str


@dataclass(frozen=True, slots=True)
class KeyEnrolled:
    """The broker knows this node's key from now on."""


SessionEffect = Connect | Disconnect | Say | SayHello | OpenStreams | ClockChanged | GiveUp | KeyEnrolled
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
        self._clock = OffsetFilter()
        self._backoff_s = BACKOFF_S[0]
        self._next_ns = now_ns  # next connect or hello
        self._beat_ns = now_ns
        self.heard_ns = now_ns
        self._burst_left = 0
        self._burst_since_ns: int | None = None
        self._burst_answers = 0
        self._probe_ns = now_ns
        self._hellos = 0

    # --- inputs -----------------------------------------------------------------------------------------

    @property
    def deadline_ns(self) -> int:
        """When `expire` has something to do."""
        if self.state != "up":
            return self._next_ns
        return min(self._beat_ns, self._probe_ns, self.heard_ns + round(SILENCE_S * NANOSECONDS))

    def expire(self, now_ns: int) -> list[SessionEffect]:
        """Connect, say hello, beat, probe, or notice that the broker is silent."""
        if self.state == "up":
            return self._expire_up(now_ns)
        if now_ns < self._next_ns:
            return []
        if self.state == "away":
            self.state = "joining"
            self._hellos = 0
            return [Connect(), *self._hello(now_ns)]
        if self._hellos * HELLO_S >= SILENCE_S:
            return self.broken(now_ns)
        return self._hello(now_ns)

    def receive(self, message: Message, now_ns: int) -> list[SessionEffect]:
        """Take any message from the broker; those that are not the session's only count as news."""
        self.heard_ns = now_ns
        if isinstance(message, ProbeReply):
            return self._on_probe_reply(message, now_ns)
        if isinstance(message, Welcome):
            return self._on_welcome(message, now_ns)
        if isinstance(message, Rejected):
            return self._on_rejected(message, now_ns)
        if isinstance(message, Enrolled):
            self._secret = None
            return [
                KeyEnrolled(),
                *self._again(now_ns, wait_s=0.0),
            ]  # the new handshake brings the new rights
        if isinstance(message, HelloWanted) and self.state == "up":
            return self._again(now_ns, wait_s=0.0)
        return []

    def broken(self, now_ns: int) -> list[SessionEffect]:
        """Give the connection up and try again after the backoff."""
        wait_s = self._backoff_s * (0.5 + self._random())
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_S[1])
        return self._again(now_ns, wait_s)

    def refresh_clock(self, now_ns: int) -> list[SessionEffect]:
        """Begin a burst of probes; `ClockChanged` with ``burst_done`` ends it."""
        self._burst_left = BURST
        self._burst_answers = 0
        self._burst_since_ns = now_ns
        self._probe_ns = now_ns
        return self._expire_up(now_ns) if self.state == "up" else []

    def estimate(self, now_ns: int) -> Estimate | None:
        """Return what is known of the clock of this epoch."""
        return self._clock.estimate(now_ns)

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
            effects.append(Say(Beat()))
        if now_ns >= self._probe_ns:
            effects += self._probe(now_ns)
        return effects

    def _probe(self, now_ns: int) -> list[SessionEffect]:
        if self._burst_left > 0:
            self._burst_left -= 1
            self._probe_ns = now_ns + round(BURST_GAP_S * NANOSECONDS)
        elif self._burst_since_ns is not None:
            return self._end_burst_late(now_ns)
        else:
            self._probe_ns = now_ns + round(PROBE_S * NANOSECONDS)
        return [Say(Probe(t1_ns=now_ns))]

    def _end_burst_late(self, now_ns: int) -> list[SessionEffect]:
        """All probes of the burst are sent: wait for the answers, then make do with what came."""
        assert self._burst_since_ns is not None
        limit_ns = self._burst_since_ns + round(BURST_LIMIT_S * NANOSECONDS)
        if now_ns < limit_ns:
            self._probe_ns = limit_ns
            return []
        if self._burst_answers == 0:
            return self.refresh_clock(now_ns)
        return self._clock_changed(now_ns, burst_done=True)

    def _on_welcome(self, message: Welcome, now_ns: int) -> list[SessionEffect]:
        if self.state != "joining":
            return []
        self.state, self.was_up = "up", True
        self.epoch = message.epoch
        self._backoff_s = BACKOFF_S[0]
        self._beat_ns = now_ns
        return [OpenStreams(message), *self.refresh_clock(now_ns)]

    def _on_rejected(self, message: Rejected, now_ns: int) -> list[SessionEffect]:
        """A node that was let in before keeps trying: the reason may pass."""
        if not self.was_up:
            return [GiveUp(message.sentence)]
        return self.broken(now_ns)

    def _on_probe_reply(self, message: ProbeReply, now_ns: int) -> list[SessionEffect]:
        if self.state != "up" or message.epoch != self.epoch:
            return []
        self._clock.add(message.epoch, Exchange(message.t1_ns, message.t2_ns, message.t3_ns, now_ns))
        if self._burst_since_ns is not None and message.t1_ns >= self._burst_since_ns:
            self._burst_answers += 1
        changed = self._clock_changed(now_ns, burst_done=self._burst_answers >= BURST)
        return changed + self._probe(now_ns) if self._burst_left > 0 else changed

    def _clock_changed(self, now_ns: int, *, burst_done: bool) -> list[SessionEffect]:
        estimate = self._clock.estimate(now_ns)
        if estimate is None:
            return []
        done = burst_done and self._burst_since_ns is not None
        if done:
            self._burst_since_ns = None
            self._burst_answers = self._burst_left = 0
            self._probe_ns = now_ns + round(PROBE_S * NANOSECONDS)
        return [ClockChanged(self.epoch, estimate, done)]

    def _again(self, now_ns: int, wait_s: float) -> list[SessionEffect]:
        self.state = "away"
        self._next_ns = now_ns + round(wait_s * NANOSECONDS)
        self._burst_since_ns = None
        self._burst_left = self._burst_answers = 0
        return [Disconnect()]
