"""A user's key becomes an operator's or a viewer's by a token."""

import time
from pathlib import Path
from typing import Final

import zmq

from fabric.config import Address, login
from fabric.errors import ConnectionRefused, DecodeError, FabricError, UsageError
from fabric.keys import JoinToken, KeyPair, OperatorAccess, operator_access_path
from fabric.protocol.codec import decode, encode
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import Enrol, Enrolled, Message, Rejected
from fabric.transport import connect, make_context, receive_frames, send_now

PATIENCE_S: Final = 10.0
"""A token may be older than the broker's present life; a broker that is there answers at once."""

REPEAT_S: Final = 1.0


def enrol(address: Address, token: JoinToken, name: str, *, replace: bool) -> tuple[OperatorAccess, str]:
    """Enrol this user with the broker, and keep the key where all commands look for it.

    Args:
        address: Of the broker.
        token: From an invitation for an operator or a viewer.
        name: To enrol under; "": the invitation's, or the login.
        replace: Take the place of a key that this user has for this broker.

    Returns:
        The access, and the role that it has.

    Raises:
        UsageError: If there is a key already, and it is not to be replaced.
        FabricError: If the broker does not answer, or refuses.
    """
    path = operator_access_path(address)
    known = OperatorAccess.load(path)
    if known is not None and known.broker_public == token.broker_public and not replace:
        raise UsageError(
            f"this user has a key for the broker at {address} already, as {known.name} ({path})",
            hint="--replace puts the new one in its place",
        )
    # Kept before it is sent: a token works once, and the answer to it may be lost.
    pending = path.with_name(f"{path.name}.new")
    keys = KeyPair.load(pending) or KeyPair.new()
    keys.save(pending)
    request = Enrol(protocol=PROTOCOL_VERSION, name=name, secret=token.secret, login=login())
    answer = _ask(address, token.broker_public, keys, request, pending)
    access = OperatorAccess(url=str(address), name=answer.name, keys=keys, broker_public=token.broker_public)
    access.save(path)
    pending.unlink()
    return access, answer.role


def _ask(address: Address, broker_public: bytes, keys: KeyPair, request: Enrol, pending: Path) -> Enrolled:
    context = make_context()
    socket = connect(context, zmq.DEALER, str(address), keys, broker_public)
    try:
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if not send_now(socket, [encode(request)]):
                socket.poll(round(REPEAT_S * 1000), zmq.POLLOUT)
                continue
            if socket.poll(round(REPEAT_S * 1000), zmq.POLLIN):
                answer = _answer(next(receive_frames(socket, 1)))
                if isinstance(answer, Enrolled):
                    return answer
                if isinstance(answer, Rejected):
                    pending.unlink()
                    raise FabricError(f"the broker at {address} refuses: {answer.sentence}")
    finally:
        socket.close(linger=0)
        context.term()
    raise ConnectionRefused(
        f"no answer from the broker at {address} for {PATIENCE_S:.0f} s",
        hint="is fabric-broker running there, and is the token one of that broker's?",
    )


def _answer(frames: list[bytes]) -> Message | None:
    try:
        return decode(frames[-1])
    except DecodeError:
        return None
