"""The ZAP handler: ZeroMQ asks it, at every handshake, whether a key may connect (RFC 27 of ZeroMQ)."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import zmq
from zmq.utils import z85

from broker.gate import Gate, UserId
from fabric.log import get_logger
from fabric.transport.sockets import Context

log = get_logger()

ENDPOINT: Final = "inproc://zeromq.zap.01"  # where ZeroMQ looks for it
ANSWERS_PER_TURN: Final = 256
"""Handshakes that are answered before the main loop sees to other things: 300 of them took 0.3 s."""

_VERSION: Final = b"1.0"
_KEY_BYTES: Final = 32
_REQUEST_FRAMES: Final = 7  # without the credentials


class Answer(NamedTuple):
    """What is said to a handshake.  ``reason`` is "" if the key may connect."""

    status: bytes
    reason: str
    user_id: str


# A socket that is refused with 400 or 500 never tries again (measured), one that gets 300 does when its
# handshake has timed out.  So what is wrong with the peer is 400, and what is wrong here is 300: 500 would
# leave honest agents deaf for ever after one mistake of the broker.
_REFUSED: Final = b"400"
_LATER: Final = b"300"


class ZapHandler:
    """Answers the handshakes of all listening sockets of a context, from the main loop.

    Add `socket` to the loop with `serve` as callback, before the first socket listens.  While nobody
    serves it, nobody gets in; handshakes wait, and peers try again.
    """

    def __init__(self, context: Context, gate: Gate) -> None:
        """Take the place of the context's ZAP handler.

        Raises:
            zmq.ZMQError: If the context has one already.
        """
        self.refusals: Counter[str] = Counter()
        """By reason, from a short list, since the broker started."""

        self._gate = gate
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)

    def serve(self, _now_ns: int = 0) -> None:
        """Answer the handshakes that wait, up to `ANSWERS_PER_TURN`.  Never raises because of one of them."""
        for _ in range(ANSWERS_PER_TURN):
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._answer(frames)

    def serve_for(self, seconds: float) -> None:
        """Wait for handshakes up to so long, and answer those that came.  For who has no loop yet."""
        if self.socket.poll(round(seconds * 1000), zmq.POLLIN):
            self.serve()

    def close(self) -> None:
        """Let nobody in any more."""
        self.socket.close(linger=0)

    def _answer(self, frames: Sequence[bytes]) -> None:
        if len(frames) < _REQUEST_FRAMES:  # whom to answer is in the frames that are missing
            self.refusals["malformed"] += 1
            return
        route, empty, _, request_id, domain, address = frames[:6]
        try:
            answer = self._decide(frames[2:])
        except Exception:  # noqa: BLE001 - it concerns this handshake only, and must not end all others
            self._count("failed", domain, address, exc_info=True)
            answer = Answer(_LATER, "failed", "")
        else:
            if answer.reason:
                self._count(answer.reason, domain, address)
        text = answer.reason.encode()
        reply = [route, empty, _VERSION, request_id, answer.status, text, answer.user_id.encode(), b""]
        self.socket.send_multipart(reply, zmq.DONTWAIT)  # drops it if the connection has gone meanwhile

    def _decide(self, request: Sequence[bytes]) -> Answer:
        version, _, domain, _, _, mechanism, *credentials = request
        if version != _VERSION:
            return Answer(_REFUSED, "version", "")
        if mechanism != b"CURVE":
            return Answer(_REFUSED, "mechanism", "")
        if len(credentials) != 1 or len(credentials[0]) != _KEY_BYTES:
            return Answer(_REFUSED, "malformed", "")
        public = z85.encode(credentials[0])
        who: UserId | None = self._gate.admit(domain.decode("ascii", "replace"), public)
        if who is None:
            return Answer(_REFUSED, f"{self._gate.identify(public).role}_key", "")
        return Answer(b"200", "", str(who))

    def _count(self, reason: str, domain: bytes, address: bytes, *, exc_info: bool = False) -> None:
        """Count a refusal, and log the 1st, 2nd, 4th, 8th ... of its kind: a flood must not fill the log."""
        if not self._gate.noticing:
            return
        self.refusals[reason] += 1
        count = self.refusals[reason]
        if count & (count - 1):
            return
        where, whence = (text.decode("ascii", "replace") for text in (domain, address))
        log.warning(
            "connection_refused", reason=reason, count=count, domain=where, address=whence, exc_info=exc_info
        )
