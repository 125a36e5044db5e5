"""The shell around `Link`: an operator's sockets to the broker, in turns of the owner's loop."""

import secrets
import socket as system_socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

import zmq

from fabric import __version__
from fabric.clock import MonotonicClock
from fabric.config import login, parse_url
from fabric.controller.absence import Absence
from fabric.controller.entry import Entry, decode_entry
from fabric.controller.link import Down, Effect, GiveUp, Link, Open, Transmit, Up
from fabric.errors import ConnectionRefused, DecodeError, VersionMismatch
from fabric.keys import OperatorAccess
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.protocol.codec import decode, encode_readable
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import (
    DeleteRun,
    DocumentRequest,
    Drain,
    Invite,
    KeysRequest,
    Label,
    Message,
    NodesRequest,
    OperatorHello,
    Rejected,
    Revoke,
    Rotate,
    RotateNode,
    RunRequest,
    RunsRequest,
    Welcome,
)
from fabric.refusals import Refusals
from fabric.transport import connect, make_context, receive_frames, send_now

if TYPE_CHECKING:
    from fabric.transport.sockets import Socket

log = get_logger()

PATIENCE_S: Final = 10.0
"""A command waits so long for the first welcome, and for an answer, if its user does not say it."""

TELL_NS: Final = 2_000_000_000
"""A user who waits longer than this for the first welcome is told what for."""

REPEAT_NS: Final = 1_000_000_000
"""A request without an answer is sent again after so long."""

TURN_MESSAGES: Final = 32
"""Most messages taken from a socket in a turn: entries of 256 KiB make 8 MiB of them."""


Request = (
    NodesRequest
    | RunsRequest
    | RunRequest
    | DocumentRequest
    | Drain
    | Label
    | DeleteRun
    | Invite
    | KeysRequest
    | Revoke
    | Rotate
    | RotateNode
)
"""What has one answer."""


class Handler(Protocol):
    """Whom the connection serves.  ``now_ns`` is the loop's clock, read once a turn."""

    def on_up(self, welcome: Welcome, now_ns: int) -> None:
        """The broker knows this side, for the first time or again: what was asked before is void."""

    def on_down(self, sentence: str, now_ns: int) -> None:
        """The broker is away; what is sent from now on is lost."""

    def on_message(self, message: Message, now_ns: int) -> None:
        """A message came by control, or a `Beacon` by the feed."""

    def on_entry(self, entry: Entry, now_ns: int) -> None:
        """Records came, by a replay or by the feed."""


class Connection:
    """Keeps the connection up across breaks and restarts of the broker.

    Everything happens in `turn`, which the owner calls again and again.  The owner may add sources
    and signals of its own to `loop`.  When a wait was too long `turn` raises ConnectionRefused.
    """

    def __init__(
        self,
        access: OperatorAccess,
        *,
        program: str,
        patience_s: float = PATIENCE_S,
        break_patience_s: float | None = None,
        loop: Loop | None = None,
    ) -> None:
        """Begin to connect.

        Args:
            access: Where the broker is, and the keys.
            program: What this side calls itself.
            patience_s: How long to wait for the first welcome.
            break_patience_s: How long to wait for one after a break; None: for ever.
            loop: Of the owner; without one the connection makes its own, and closes it.
        """
        self.url = access.url
        self.welcome: Welcome | None = None
        """The broker's last one; its `epoch` says which life of the broker it is."""
        self.patience_s = patience_s
        """How long an answer is waited for, too."""
        self.numbers: Iterator[int] = count(1)
        """Numbers all requests of this connection."""
        self._clock = MonotonicClock()
        self.loop = loop if loop is not None else Loop(self._clock)
        self._owns_loop = loop is None
        self._access = access
        self._context = make_context()
        self._control: Socket | None = None
        self._feed: Socket | None = None
        self._runs: set[str] = set()
        self._handler: Handler | None = None
        self._offset_ns = 0  # fabric time minus the clock of this machine, by the last welcome
        self._awaited: int | None = None
        self._answer: Message | None = None
        self._refusals = Refusals()
        self._absence = Absence(self.url, patience_s, break_patience_s)
        self._link = Link(
            _hello(program),
            self.url,
            patience_ns=round(patience_s * 1e9),
            break_patience_ns=None if break_patience_s is None else round(break_patience_s * 1e9),
        )
        self._carry_out(self._link.start(self.now_ns()), self.now_ns())

    # --- for the owner --------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the broker knows this side now."""
        return self._link.up

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` wants to be called; `turn` does both."""
        return self._link.deadline_ns

    def now_ns(self) -> int:
        """Return this instant on the monotonic clock of this machine."""
        return self._clock.now_ns()

    def fabric_ns(self) -> int:
        """Return this instant in fabric time, behind by the welcome's way: right for "3 s ago"."""
        return self.now_ns() + self._offset_ns

    def attach(self, handler: Handler | None) -> None:
        """Serve this handler from now on, or none; tell it at once if the connection is up."""
        self._handler = handler
        if handler is not None and self.up and self.welcome is not None:
            handler.on_up(self.welcome, self.now_ns())

    def send(self, message: Message) -> bool:
        """Send a message by control; False if it cannot go out now.  True is no promise that it arrives."""
        return self.up and self._transmit(message)

    def subscribe(self, run: str) -> None:
        """Take the feed of a run, over every break.  It takes a moment to begin: a replay covers that."""
        self._runs.add(run)
        if self._feed is not None:
            self._feed.subscribe(_topic(run))
        elif self.up:
            self._open_feed()

    def unsubscribe(self, run: str) -> None:
        """Let the feed of a run go."""
        self._runs.discard(run)
        if self._feed is not None:
            self._feed.unsubscribe(_topic(run))

    def turn(self, deadline_ns: int | None = None) -> int:
        """Wait until something comes or the deadline, serve the handler; return the instant.

        Raises:
            ConnectionRefused: If the broker refuses this side, or is away for too long.
        """
        due = [due_ns for due_ns in (deadline_ns, self.deadline_ns) if due_ns is not None]
        now_ns = self.loop.turn(min(due, default=None))
        self.expire(now_ns)
        return now_ns

    def expire(self, now_ns: int) -> None:
        """Do what is due: beat, or begin again.

        Raises:
            ConnectionRefused: If the broker is away for too long.
        """
        self._carry_out(self._link.expire(now_ns), now_ns)

    def wait_up(self) -> Welcome:
        """Wait for the broker's first welcome.

        Raises:
            ConnectionRefused: If it does not come in time, or if the broker refuses this side.
        """
        tell_ns: int | None = self.now_ns() + TELL_NS
        while not self.up or self.welcome is None:
            if self.turn(tell_ns) >= (tell_ns or 0) and tell_ns is not None and not self.up:
                tell_ns = None
                log.warning("broker_awaited", sentence=self._absence.awaited())
        return self.welcome

    def ask(self, request: Request, patience_s: float | None = None) -> Message:
        """Send a request, again and again, until its answer is there; return that, perhaps a `Denied`.

        Args:
            request: Is answered once, however often it comes.
            patience_s: How long to wait; None: as for the first welcome.

        Raises:
            ConnectionRefused: If it does not come in time.
        """
        self._awaited, self._answer = request.request, None
        patience_s = self.patience_s if patience_s is None else patience_s
        limit_ns = self.now_ns() + round(patience_s * 1e9)
        repeat_ns = 0
        while self._answer is None:
            now_ns = self.now_ns()
            if now_ns >= limit_ns:
                raise ConnectionRefused(
                    f"no answer from the broker at {self.url} to {request.kind} for {patience_s:.0f} s"
                )
            if self.up and now_ns >= repeat_ns:
                self.send(request)
                repeat_ns = now_ns + REPEAT_NS
            self.turn(min(limit_ns, repeat_ns) if self.up else limit_ns)
        self._awaited = None
        return self._answer

    def close(self) -> None:
        """Close the sockets.  What was sent last still has a moment to go out."""
        self._close_feed()
        if self._control is not None:
            self._forget(self._control)
            self._control.close()
            self._control = None
        self._context.term()
        if self._owns_loop:
            self.loop.close()

    # --- carrying out what the link wants -------------------------------------------------------------

    def _carry_out(self, effects: Iterable[Effect], now_ns: int) -> None:
        for effect in effects:
            match effect:
                case Open():
                    self._open()
                case Transmit(message=message):
                    self._transmit(message)
                case Up(welcome=welcome):
                    self._come_up(welcome, now_ns)
                case Down(sentence=sentence):
                    log.warning("broker_lost", sentence=self._absence.lost(sentence))
                    if self._handler is not None:
                        self._handler.on_down(sentence, now_ns)
                case GiveUp(error=error):
                    raise error

    def _open(self) -> None:
        """Make new sockets.  What waits in the old ones was meant for a connection that is over."""
        self._close_feed()
        if self._control is not None:
            self._forget(self._control)
            self._control.close(linger=0)
        self._control = self._connect(zmq.DEALER, self.url)
        self.loop.add(self._control, self._control_came)

    def _come_up(self, welcome: Welcome, now_ns: int) -> None:
        log.info("broker_found", url=self.url, name=welcome.name, epoch=welcome.epoch)
        if said := self._absence.ended(now_ns - self._link.waiting_since_ns):
            log.warning("broker_returned", sentence=said)  # as loud as what it ends
        self.welcome = welcome
        self._offset_ns = welcome.now_ns - now_ns
        if self._runs:
            self._open_feed()
        if self._handler is not None:
            self._handler.on_up(welcome, now_ns)

    def _open_feed(self) -> None:
        assert self.welcome is not None, "the feed's port comes with the welcome"
        self._close_feed()
        self._feed = self._connect(zmq.SUB, str(parse_url(self.url).at(self.welcome.feed_port)))
        for run in self._runs:
            self._feed.subscribe(_topic(run))
        self.loop.add(self._feed, self._feed_came)

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._forget(self._feed)
            self._feed.close(linger=0)
            self._feed = None

    def _connect(self, socket_type: int, url: str) -> "Socket":
        return connect(self._context, socket_type, url, self._access.keys, self._access.broker_public)

    def _forget(self, socket: "Socket") -> None:
        self.loop.remove(socket)
        self.loop.remove(socket, write=True)

    def _transmit(self, message: Message) -> bool:
        assert self._control is not None, "the link opens before it transmits"
        sent = send_now(self._control, [encode_readable(message)])
        if not sent:  # the link has something to say at the moment the connection is made, or made again
            self.loop.add(self._control, self._control_opened, write=True)
        return sent

    # --- what comes -----------------------------------------------------------------------------------

    def _control_opened(self, now_ns: int) -> None:
        assert self._control is not None
        self.loop.remove(self._control, write=True)
        self._carry_out(self._link.writable(now_ns), now_ns)

    def _control_came(self, now_ns: int) -> None:
        socket = self._control
        assert socket is not None
        for frames in receive_frames(socket, TURN_MESSAGES):
            self._take(frames, now_ns)
            if self._control is not socket:
                return  # the link began again: the rest belongs to the old connection

    def _feed_came(self, now_ns: int) -> None:
        socket = self._feed
        assert socket is not None
        for frames in receive_frames(socket, TURN_MESSAGES):
            self._take(frames[1:], now_ns, feed=True)
            if self._feed is not socket:
                return

    def _take(self, frames: Sequence[bytes], now_ns: int, *, feed: bool = False) -> None:
        """Decode a message and hand it on; what is malformed is logged and dropped."""
        try:
            found: Entry | Message = _decode(frames)
        except VersionMismatch as error:
            found = Rejected(code="version", sentence=f"{error}; {error.hint}")
        except DecodeError as error:
            if count := self._refusals.count("message", now_ns):
                log.warning("message_refused", error=str(error), count=count)
            return
        if isinstance(found, Entry):
            self._took_entry(found, now_ns, feed=feed)
        else:
            self._took_message(found, now_ns, feed=feed)

    def _took_entry(self, entry: Entry, now_ns: int, *, feed: bool) -> None:
        if not feed:
            self._link.heard(now_ns)
        if self._handler is not None:
            self._handler.on_entry(entry, now_ns)

    def _took_message(self, message: Message, now_ns: int, *, feed: bool) -> None:
        if not feed:
            self._carry_out(self._link.receive(message, now_ns), now_ns)
            if self._awaited is not None and getattr(message, "request", None) == self._awaited:
                self._answer = message
                return
        if self._handler is not None and self.up and not isinstance(message, Welcome):
            self._handler.on_message(message, now_ns)


def _decode(frames: Sequence[bytes]) -> Entry | Message:
    return decode(frames[0]) if len(frames) == 1 else decode_entry(frames)


def _topic(run: str) -> bytes:
    return f"{run}/".encode("ascii")


def _hello(program: str) -> OperatorHello:
    return OperatorHello(
        protocol=PROTOCOL_VERSION,
        software=__version__,
        program=program,
        session=secrets.token_hex(8),
        user=login(),
        host=system_socket.gethostname(),
    )
