"""The broker's shell: waits, takes what has come, lets the machine decide, carries out what it says."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from broker.broker import Broker
from broker.doorkeeper import Doorkeeper
from broker.effects import Peer, SaveAccess, SaveHeard
from broker.feed import SUBSCRIBED, UNSUBSCRIBED
from broker.gate import Gate, UserId
from broker.hands import Hands
from broker.home import Home
from broker.identity import let_in, tell_gate
from broker.limits import (
    BATCHES_PER_TURN,
    CONTROL_PER_TURN,
    MAX_TOPIC_BYTES,
    MAX_TOPICS,
    NODE_WORD_BYTES,
    STRANGER_BYTES,
    SUBSCRIPTIONS_PER_TURN,
    TURN_NS,
)
from broker.offenders import Offenders
from broker.parts import Settings
from broker.retention import Keep
from broker.retiring import Retiring
from broker.sockets import Sockets
from fabric import __version__
from fabric.clock import Clock
from fabric.config import Address
from fabric.errors import DecodeError, VersionMismatch
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.notify import Notifier
from fabric.protocol.codec import decode, decode_as
from fabric.protocol.messages import Batch
from fabric.transport import Received, Traffic, receive_now
from fabric.urgency import Urgency

log = get_logger()

_BATCH_FRAMES = 2
_SUBSCRIPTIONS = (SUBSCRIBED, UNSUBSCRIBED)


class Server:
    """Serves until it is stopped.  One thread, one turn after another."""

    def __init__(
        self, home: Home, sockets: Sockets, gate: Gate, clock: Clock, keep: Keep | None = None
    ) -> None:
        now_ns = clock.now_ns()
        settings = Settings(
            epoch=home.epoch,
            software=__version__,
            go_port=sockets.ports["go"],
            sink_port=sockets.ports["sink"],
            feed_port=sockets.ports["feed"],
        )
        known = [stored.info for stored in home.catalogue.nodes()]
        access = home.catalogue.access
        self._broker = Broker(
            settings,
            now_ns,
            nodes=known,
            keys=access.all_keys(),
            invitations=access.invitations(),
            runs=home.open_runs(),
        )
        self._hands = Hands(self._broker, home, sockets, gate, clock)
        self._home, self._sockets, self._gate, self._clock = home, sockets, gate, clock
        self._traffic = Traffic()
        self._offenders = Offenders()
        self._dropped = 0
        self._stopping = False
        self._takes_records = False
        self._notifier: Notifier | None = None
        self._loop = Loop(clock)
        self._loop.on_turn(Urgency(lambda: self._broker.has_go).turned)
        self._loop.add(sockets.zap.socket, sockets.zap.serve)
        self._doorkeeper = Doorkeeper(sockets, self._hands.callers)
        self._doorkeeper.attend(self._loop)
        self._loop.add(sockets.control, self._control_came)
        self._loop.add(sockets.go, self._go_subscribed)
        self._loop.add(sockets.feed, self._feed_subscribed)
        self._loop.add(home.logs.fileno(), self._hands.take_commits)
        self._loop.add(home.logs.opener_fileno(), self._hands.take_opened)
        self._retiring = Retiring(home, keep, self._hands.reads, self._hands.retire) if keep else None
        if self._retiring is not None:
            self._loop.add(self._retiring.fileno(), self._retiring.surveyed)

    @classmethod
    def open(cls, home: Home, address: Address, clock: Clock, keep: Keep | None = None) -> Self:
        """Bind the sockets, try their doors, take up what the catalogue says.

        Raises:
            FabricError: If it cannot be served.
        """
        gate = Gate()
        let_in(home.catalogue, gate, clock.now_ns())
        sockets = Sockets.open(address, home.identity.keys, gate)
        try:
            return cls(home, sockets, gate, clock, keep)
        except BaseException:
            sockets.close()
            raise

    def learn(self, access: SaveAccess) -> None:
        """Let keys and invitations count that are in the catalogue already."""
        for key in access.keys:
            tell_gate(self._gate, key)
        now_ns = self._clock.now_ns()
        self._hands.carry_out(self._broker.access_saved(access, now_ns), now_ns)

    @property
    def address(self) -> Address:
        """Where control listens."""
        return self._sockets.address

    def stop_on_signals(self, *signals: int) -> None:
        """End `serve` when one of these comes."""
        self._loop.on_signals(signals, self._stop)

    def report_to(self, notifier: Notifier) -> None:
        """Tell a service manager that the loop turns, and when it ends."""
        self._notifier = notifier
        self._loop.on_turn(notifier.turned)

    def stop_at_end_of(self, fd: int) -> None:
        """End `serve` when the other end of this descriptor was closed."""
        os.set_blocking(fd, False)
        self._loop.add(fd, lambda _: self._lifeline_came(fd))

    def serve(self) -> None:
        """Serve until it is stopped."""
        while not self._stopping:
            self._turn()

    def close(self) -> None:
        """Make everything durable that was taken, and close the sockets."""
        now_ns = self._clock.now_ns()
        self._hands.carry_out([SaveHeard(self._broker.heard_of())], now_ns)
        self._loop.close()
        self._doorkeeper.close()
        if self._retiring is not None:
            self._retiring.close()
        self._sockets.close()

    # --- a turn -------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait, take what has come, do what is due.

        Records are taken last and few at a time: goes and the answers to them must not wait for them.
        """
        self._listen_to_sink()
        waits = [part.deadline_ns for part in (self._broker, self._hands, self._doorkeeper)]
        waits += [self._retiring.deadline_ns] if self._retiring else []
        self._loop.turn(min((at for at in waits if at is not None), default=None))
        now_ns = self._clock.now_ns()
        self._hands.carry_out(self._broker.expire(now_ns), now_ns)
        self._hands.carry_on(now_ns)
        self._doorkeeper.expire(now_ns)
        if self._retiring is not None:
            self._retiring.carry_on(now_ns)
        if self._traffic.too_many_frames > self._dropped:
            self._dropped = self._traffic.too_many_frames
            self._hands.refuse("message_refused", "", "too many frames", now_ns)

    def _listen_to_sink(self) -> None:
        """Read no records while the disk refuses them: agents' windows fill, and their steps wait."""
        if self._takes_records != self._hands.is_stalled:
            return
        self._takes_records = not self._takes_records
        if self._takes_records:
            self._loop.add(self._sockets.sink, self._records_came)
        else:
            self._loop.remove(self._sockets.sink)

    def _control_came(self, _: int) -> None:
        begun_ns = self._clock.now_ns()
        for received in receive_now(self._sockets.control, CONTROL_PER_TURN, self._traffic):
            # Not the instant of the turn: what a probe is answered must not be before it was sent.
            now_ns = self._clock.now_ns()
            with self._contained(received, now_ns):
                self._hear(received, now_ns)
            if now_ns - begun_ns >= TURN_NS:
                return

    def _hear(self, received: Received, now_ns: int) -> None:
        user = self._who(received, now_ns)
        if user is None:
            return
        peer = Peer(received.route, user.role, user.name)
        if user.role == "unknown" and sum(map(len, received.frames)) > STRANGER_BYTES:
            self._hands.refuse("message_refused", peer.name, "too long for an enrolment", now_ns)
            self._hands.callers.hang_up(received.descriptor)
            return
        try:
            (frame,) = received.frames
            if user.role == "node":
                _check_word(frame)
            message = decode(frame)
        except VersionMismatch as error:
            self._hands.refuse_version(peer, f"{error}; {error.hint}", now_ns)
            return
        except (DecodeError, ValueError) as error:
            self._hands.refuse("message_refused", peer.name, str(error), now_ns)
            if user.role == "unknown":
                self._hands.callers.hang_up(received.descriptor)
            else:
                self._offenders.offended(_offender(user, received), now_ns)
                self._hands.carry_out(self._broker.refused_words(peer, str(error), now_ns), now_ns)
            return
        self._hands.hear(peer, message, frame, now_ns)

    def _records_came(self, now_ns: int) -> None:
        begun_ns = self._clock.now_ns()
        for received in receive_now(self._sockets.sink, BATCHES_PER_TURN, self._traffic):
            user = self._who(received, now_ns)
            if user is not None and user.role == "node":
                with self._contained(received, now_ns):
                    self._take(user, received, now_ns)
            if self._hands.is_stalled or self._clock.now_ns() - begun_ns >= TURN_NS:
                return

    def _take(self, user: UserId, received: Received, now_ns: int) -> None:
        node = user.name
        try:
            head, payload = _two(received.frames)
            effects = self._broker.receive_batch(node, decode_as(head, Batch), head, payload, now_ns)
        except DecodeError as error:
            self._hands.refuse("batch_refused", node, str(error), now_ns)
            self._offenders.offended(_offender(user, received), now_ns)
            effects = self._broker.refused_words(Peer(b"", "node", node), str(error), now_ns)
        self._hands.carry_out(effects, now_ns)

    def _go_subscribed(self, now_ns: int) -> None:
        for received in receive_now(self._sockets.go, SUBSCRIPTIONS_PER_TURN, self._traffic):
            with self._contained(received, now_ns):
                user = self._subscriber(received, now_ns) if received.user_id else None
                kind = bytes(received.frames[0][:1])
                if user is not None and user.role == "node" and kind in _SUBSCRIPTIONS:
                    self._broker.subscribed(user.name, kind == SUBSCRIBED)

    def _feed_subscribed(self, now_ns: int) -> None:
        for received in receive_now(self._sockets.feed, SUBSCRIPTIONS_PER_TURN, self._traffic):
            with self._contained(received, now_ns):
                # ZeroMQ has subscribed it already: one that may not is hung up on.
                if not received.user_id or self._subscriber(received, now_ns) is not None:
                    self._hands.topics.note(received.frames[0])

    def _subscriber(self, received: Received, now_ns: int) -> UserId | None:
        """Return who sent a subscription, if it is one that may be sent.

        ZeroMQ keeps all that a connection subscribes to, byte by byte, until the connection ends.
        """
        user = self._who(received, now_ns)
        if user is None:
            return None
        size = len(received.frames[0])
        if size <= MAX_TOPIC_BYTES and self._hands.callers.asked(received.descriptor) <= MAX_TOPICS:
            return user
        self._hands.refuse("subscription_refused", user.name, f"a topic of {size} bytes, or too many", now_ns)
        self._hands.callers.hang_up(received.descriptor)
        return None

    @contextmanager
    def _contained(self, received: Received, now_ns: int) -> Iterator[None]:
        """Let a mistake of ours cost the message that met it, and not everybody's broker.

        A peer that found one could else end all runs with it, again after each restart.
        """
        try:
            yield
        except Exception:  # noqa: BLE001 - see above
            self._hands.refuse("message_failed", received.user_id, traceback.format_exc(), now_ns)

    def _who(self, received: Received, now_ns: int) -> UserId | None:
        """Return who sent this, if the key may still be used."""
        self._doorkeeper.took(received)
        user = UserId.parse(received.user_id)
        if user is None or not self._gate.stands(user):
            self._hands.refuse("sender_refused", received.user_id, "its key is not let in", now_ns)
            self._hands.callers.hang_up(received.descriptor)
            return None
        if self._offenders.is_out(_offender(user, received), now_ns):
            self._hands.callers.hang_up(received.descriptor)
            return None
        most = self._doorkeeper.most_of_key(user.role)
        if not self._hands.callers.note(user.key, received, most):
            self._hands.refuse("connection_refused", user.name, f"its key has {most} others", now_ns)
            self._hands.callers.hang_up(received.descriptor)
            return None
        if user.role != "unknown":
            self._doorkeeper.spoke(received)
        return user

    # --- the end ------------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        log.info("stop_asked", signal=number)
        if self._notifier is not None:
            self._notifier.stopping()
        self._stopping = True

    def _lifeline_came(self, fd: int) -> None:
        try:
            if os.read(fd, 4096):
                return  # what is said does not matter, only that somebody holds the other end
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("lifeline_failed", error=str(error))
        self._loop.remove(fd)
        self._stopping = True


def _two(frames: list[memoryview]) -> tuple[memoryview, memoryview]:
    """Return the two frames of a batch.

    Raises:
        DecodeError: If they are not two.
    """
    if len(frames) != _BATCH_FRAMES:
        raise DecodeError(f"batch: expected {_BATCH_FRAMES} frames, got {len(frames)}")
    return frames[0], frames[1]


def _check_word(frame: memoryview) -> None:
    """Look at the size of what a node says by control.

    Raises:
        DecodeError: If no agent says so much.
    """
    if len(frame) > NODE_WORD_BYTES:
        raise DecodeError(f"frame: {len(frame)} bytes are over a node's limit of {NODE_WORD_BYTES}")


def _offender(user: UserId, received: Received) -> str:
    """Return who answers for nonsense: a node; of a key that many programs have, one connection."""
    return user.key if user.role == "node" else f"{user.key} {received.descriptor}"
