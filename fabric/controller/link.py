"""PURE.  An operator's connection to the broker: says hello, beats, notices silence, begins again."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from fabric.errors import ConnectionRefused, KeyRevoked
from fabric.protocol.limits import BEAT_S, SILENCE_S
from fabric.protocol.messages import Beat, HelloWanted, Message, OperatorHello, Rejected, Welcome

BEAT_NS: Final = int(BEAT_S * 1e9)
SILENCE_NS: Final = int(SILENCE_S * 1e9)

HELLO_NS: Final = 500_000_000
"""A hello without an answer is said again: the first may be lost while a broker starts."""


@dataclass(frozen=True, slots=True)
class Open:
    """Close the sockets, if there are any, and make new ones: what was queued in them is void."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this to the broker."""

    message: Message


@dataclass(frozen=True, slots=True)
class Up:
    """The broker knows this side: subscribe, ask, go on."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Down:
    """The broker is away, or it has forgotten this side; `Up` comes when it is back."""

    sentence: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There will be no connection."""

    error: ConnectionRefused


Effect = Open | Transmit | Up | Down | GiveUp


class _State(Enum):
    GREETING = auto()
    UP = auto()
    OVER = auto()


class Link:
    """Keeps one connection up.

    All instants are nanoseconds of one monotonic clock, the caller's.
    """

    def __init__(
        self, hello: OperatorHello, url: str, *, patience_ns: int, break_patience_ns: int | None = None
    ) -> None:
        """Prepare; `start` begins.

        Args:
            hello: What this side says of itself.
            url: Where the broker is, for the sentences.
            patience_ns: How long to wait for the first welcome.
            break_patience_ns: How long to wait for one after a break; None: for ever.
        """
        self._hello = hello
        self._url = url
        self._patience_ns = patience_ns
        self._break_patience_ns = break_patience_ns
        self._state = _State.GREETING
        self._begun_ns = 0  # of the attempt with these sockets
        self._heard_ns = 0
        self._due_ns = 0  # next hello or beat
        self._limit_ns: int | None = None  # then it gives up
        self.waiting_since_ns = 0
        """When it was heard of last before the present wait, or the last one; at first: when that began."""

    @property
    def up(self) -> bool:
        """Whether messages can be sent."""
        return self._state is _State.UP

    @property
    def deadline_ns(self) -> int | None:
        """When to call `expire`."""
        if self._state is _State.OVER:
            return None
        renew_ns = (self._heard_ns if self.up else self._begun_ns) + SILENCE_NS
        return min(due for due in (self._due_ns, renew_ns, self._limit_ns) if due is not None)

    def start(self, now_ns: int) -> list[Effect]:
        """Begin to connect."""
        self.waiting_since_ns = now_ns
        self._limit_ns = now_ns + self._patience_ns
        return self._open(now_ns)

    def heard(self, now_ns: int) -> None:
        """Note a sign of the broker that is no message, such as an entry of a replay."""
        self._heard_ns = now_ns

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message of the control socket; those that are not for the link change nothing."""
        before_ns, self._heard_ns = self._heard_ns, now_ns
        if self._state is _State.OVER:
            return []
        if isinstance(message, Rejected):
            kind = KeyRevoked if message.code == "revoked" else ConnectionRefused
            return self._give_up(kind(f"the broker at {self._url} refuses: {message.sentence}"))
        if isinstance(message, Welcome) and not self.up:
            self._state = _State.UP
            self._limit_ns = None
            self._due_ns = now_ns + BEAT_NS
            return [Up(message)]
        if isinstance(message, HelloWanted) and self.up:
            return self._break(f"the broker at {self._url} has started again", before_ns, now_ns)
        return []

    def writable(self, now_ns: int) -> list[Effect]:
        """Say at once what could not be sent before: the connection has just been made, or made again."""
        if self._state is _State.OVER:
            return []
        return self._say(now_ns)

    def expire(self, now_ns: int) -> list[Effect]:
        """Say hello or beat where it is due; begin again after silence.  Safe to call at any time."""
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return []
        if self._limit_ns is not None and now_ns >= self._limit_ns:
            return self._give_up(self._no_answer(now_ns))
        if self.up and now_ns - self._heard_ns >= SILENCE_NS:
            why = f"nothing heard from the broker at {self._url} for {SILENCE_S:.0f} s"
            return self._break(why, self._heard_ns, now_ns)
        if not self.up and now_ns - self._begun_ns >= SILENCE_NS:
            return self._open(now_ns)
        return self._say(now_ns)

    def _say(self, now_ns: int) -> list[Effect]:
        self._due_ns = now_ns + (BEAT_NS if self.up else HELLO_NS)
        return [Transmit(Beat() if self.up else self._hello)]

    def _open(self, now_ns: int) -> list[Effect]:
        self._state = _State.GREETING
        self._begun_ns = now_ns
        self._due_ns = now_ns + HELLO_NS
        return [Open(), Transmit(self._hello)]

    def _break(self, sentence: str, heard_ns: int, now_ns: int) -> list[Effect]:
        self.waiting_since_ns = heard_ns
        if self._break_patience_ns is not None:
            self._limit_ns = now_ns + self._break_patience_ns
        return [Down(sentence), *self._open(now_ns)]

    def _give_up(self, error: ConnectionRefused) -> list[Effect]:
        self._state = _State.OVER
        return [GiveUp(error)]

    def _no_answer(self, now_ns: int) -> ConnectionRefused:
        waited_s = (now_ns - self.waiting_since_ns) / 1e9
        return ConnectionRefused(
            f"no answer from the broker at {self._url} for {waited_s:.0f} s",
            hint="is fabric-broker running there, and is it the one whose key is stored here? "
            "--broker or FABRIC_BROKER names another",
        )
