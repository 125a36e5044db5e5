"""The agent's three sockets, and what is said on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import zmq

from agents.journal import Shipment
from fabric.clock import Clock
from fabric.config import Address
from fabric.errors import DecodeError, TooFewDescriptors, VersionMismatch
from fabric.keys import AgentIdentity
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.protocol.codec import decode, encode
from fabric.protocol.messages import Message, Rejected, Welcome
from fabric.refusals import Refusals
from fabric.transport import connect, make_context, receive_frames, send_now

log = get_logger()

TURN_MESSAGES: Final = 200
"""Most messages that are taken from a socket in one turn."""

GO_TOPIC: Final = b"go"


class Sockets:
    """Control from `connect` on, go and sink from `open_streams` on, none after `disconnect`.

    Args:
        loop: That polls them.
        broker: Address of control.
        clock: The one that messages come at an instant of.
        heard: Called with each message of the broker and the instant at which it was taken.
        writable: Called when control or sink takes messages again after it had not.
    """

    def __init__(
        self,
        loop: Loop,
        broker: Address,
        clock: Clock,
        heard: Callable[[Message, int], None],
        writable: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._broker = broker
        self._clock = clock
        self._heard = heard
        self._writable = writable
        self._context = make_context()
        self._control: zmq.Socket[bytes] | None = None
        self._go: zmq.Socket[bytes] | None = None
        self._sink: zmq.Socket[bytes] | None = None
        self._identity: AgentIdentity | None = None
        self._refusals = Refusals()

    def connect(self, identity: AgentIdentity) -> None:
        """Make a new control socket, unless this process may open no more files, which is logged."""
        self.disconnect()
        self._identity = identity
        with self._told():
            self._control = self._connect(zmq.DEALER, self._broker)
            self._loop.add(self._control, lambda _: self._receive(self._control))

    def open_streams(self, welcome: Welcome) -> bool:
        """Connect go and sink at the ports that the broker named; return whether that could be done."""
        with self._told():
            self._go = self._connect(zmq.SUB, self._broker.at(welcome.go_port))
            self._go.setsockopt(zmq.SUBSCRIBE, GO_TOPIC)
            self._loop.add(self._go, lambda _: self._receive(self._go))
            self._sink = self._connect(zmq.PUSH, self._broker.at(welcome.sink_port))
        return self._sink is not None

    def disconnect(self) -> None:
        """Close all of them; what they have not sent is lost."""
        for socket in (self._control, self._go, self._sink):
            if socket is not None:
                self._loop.remove(socket)
                self._loop.remove(socket, write=True)
                socket.close(linger=0)
        self._control = self._go = self._sink = None

    def close(self) -> None:
        """Close them after a last word, and leave ZeroMQ."""
        if self._control is not None:
            self._loop.remove(self._control)
            self._loop.remove(self._control, write=True)
            self._control.close()
            self._control = None
        self.disconnect()
        self._context.term()

    def say(self, message: Message | None) -> bool:
        """Send on control; False if that is not possible now, then ``writable`` will be called."""
        if self._control is None or message is None:
            return False
        if send_now(self._control, [encode(message)]):
            return True
        self._await(self._control)
        return False

    def ship(self, shipment: Shipment) -> bool:
        """Send a batch on the sink; False if that is not possible now, then ``writable`` will be called."""
        if self._sink is None:
            return False
        if send_now(self._sink, [shipment.batch, shipment.payload]):
            return True
        self._await(self._sink)
        return False

    def _connect(self, kind: int, address: Address) -> "zmq.Socket[bytes]":
        assert self._identity is not None
        return connect(self._context, kind, str(address), self._identity.keys, self._identity.broker_public)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Log why a socket cannot be made."""
        try:
            yield
        except TooFewDescriptors as error:
            log.warning("socket_not_made", why=str(error), hint=error.hint)

    def _await(self, socket: "zmq.Socket[bytes]") -> None:
        def called(_: int) -> None:
            self._loop.remove(socket, write=True)
            self._writable()

        self._loop.add(socket, called, write=True)

    def _receive(self, socket: "zmq.Socket[bytes] | None") -> None:
        if socket is None:
            return
        for frames in receive_frames(socket, TURN_MESSAGES):
            now_ns = self._clock.now_ns()  # before anything is done with it: it may be what the time is
            try:
                message = decode(frames[-1])
            except VersionMismatch as error:
                message = Rejected(code="version", sentence=f"{error}; {error.hint}")
            except DecodeError as error:
                if count := self._refusals.count("message", now_ns):
                    log.warning("message_refused", error=str(error), count=count)
                continue
            self._heard(message, now_ns)
            if socket.closed:
                return  # the message ended this connection
