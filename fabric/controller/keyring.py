"""Asks the broker for keys and invitations, and changes them: one question, one answer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from fabric.controller.connection import Connection
from fabric.controller.lookup import unexpected
from fabric.controller.upkeep import do
from fabric.errors import KeyRevoked, UsageError
from fabric.keys import JoinToken, KeyPair, OperatorAccess
from fabric.protocol.messages import (
    InvitationInfo,
    Invite,
    KeyInfo,
    Keys,
    KeysRequest,
    Revoke,
    Rotate,
    RotateNode,
)

MIN_DIGITS: Final = 6
"""Fewest characters by which a key or an invitation is named: hardly two of eight thousand share them."""

_LAST: Final = "nobody could run anything, or let anybody in"
_LAST_HINT: Final = (
    "--yes does it; the way back is a new start of the broker, which makes a key for the user that it runs as"
)
_OWN: Final = "you could do nothing more at this broker"
_OWN_HINT: Final = (
    "--yes does it; the way back is another operator's `fabric keys invite --role operator`, or a new start "
    "of the broker, which makes a key for the user that it runs as"
)


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys that the broker remembers, and all invitations."""

    keys: tuple[KeyInfo, ...]
    invitations: tuple[InvitationInfo, ...]


def invite(
    connection: Connection,
    broker_public: bytes,
    role: Literal["node", "operator", "viewer"],
    *,
    name: str,
    expires_s: float,
    uses: int,
) -> JoinToken:
    """Let who has the returned token enrol a key.  The broker never learns its secret.

    Args:
        connection: Of an operator.
        broker_public: The broker's key, for the token.
        role: That the key gets.
        name: That it gets; "": whoever comes chooses.
        expires_s: Until when the token can be used, from now.
        uses: How often; 0: any number of times until then.

    Raises:
        UsageError: If the broker does not take the name or the time.
    """
    token = JoinToken.new(broker_public)
    request = Invite(
        request=next(connection.numbers),
        digest=hashlib.sha256(token.secret).hexdigest(),
        role=role,
        name=name,
        expires_s=expires_s,
        uses=uses,
    )
    do(connection, request)
    return token


def list_keys(connection: Connection) -> Ring:
    """Return everything.

    Raises:
        FabricError: If the broker does not tell.
    """
    found: list[KeyInfo] = []
    invitations: tuple[InvitationInfo, ...] = ()
    while True:
        after = found[-1].public_key if found else ""
        answer = connection.ask(KeysRequest(request=next(connection.numbers), after=after))
        if not isinstance(answer, Keys):
            raise unexpected(answer)
        found += answer.keys
        invitations = invitations or answer.invitations
        if not (answer.more and answer.keys):
            return Ring(tuple(found), invitations)


def named(ring: Ring, what: str, role: str | None) -> list[KeyInfo | InvitationInfo]:
    """Return what a word means: the keys of a name, or the key or the invitation that begins with it.

    Raises:
        UsageError: If there is nothing, or several things are meant.
    """
    keys = [key for key in ring.keys if key.revoked_ns is None and role in (None, key.role)]
    of_name = [key for key in keys if key.name == what]
    roles = sorted({key.role for key in of_name})
    if len(roles) > 1:
        raise UsageError(
            f"{what} is {' and '.join(roles)}", hint=f"say which one is meant: --role {roles[0]}"
        )
    if of_name:
        return list(of_name)
    found: list[KeyInfo | InvitationInfo] = []
    if len(what) >= MIN_DIGITS:
        found += [key for key in keys if key.public_key.startswith(what)]
        found += [one for one in ring.invitations if one.digest.startswith(what) and role in (None, one.role)]
    if len(found) != 1:
        many = f"{len(found)} keys and invitations begin with" if found else "there is no key or invitation"
        raise UsageError(f"{many} {what!r:.80}", hint="`fabric keys list` shows names, keys and invitations")
    return found


def check_revocation(ring: Ring, things: Sequence[KeyInfo | InvitationInfo], own: str, now_ns: int) -> None:
    """Refuse what a person hardly means: to end the own key, or that of the last operator.

    Args:
        ring: As it is.
        things: That are to be ended.
        own: The public key with which that is asked.
        now_ns: Fabric time.

    Raises:
        UsageError: If it is that; it says what would follow, and the way back.
    """
    ending = {thing.public_key: thing for thing in things if isinstance(thing, KeyInfo)}
    operators = {
        key.public_key
        for key in ring.keys
        if key.role == "operator" and key.revoked_ns is None and now_ns < (key.expires_ns or now_ns + 1)
    }
    if operators & ending.keys() and not operators - ending.keys():
        raise UsageError(f"no operator would be left: {_LAST}", hint=_LAST_HINT)
    if own in ending:
        raise UsageError(f"{ending[own].role} {ending[own].name} is you: {_OWN}", hint=_OWN_HINT)


def revoke(connection: Connection, things: Sequence[KeyInfo | InvitationInfo], own: str) -> None:
    """End keys and invitations, now.

    The connection's own key, ``own``, is the last one: that it is refused then is how the broker says that
    this was done.

    Raises:
        FabricError: If the broker does not do it.
    """
    words = [thing.public_key if isinstance(thing, KeyInfo) else thing.digest for thing in things]
    for what in sorted(words, key=lambda what: what == own):
        try:
            do(connection, Revoke(request=next(connection.numbers), what=what))
        except KeyRevoked:
            if what != own:
                raise


def rotate(connection: Connection, access: OperatorAccess, path: Path, overlap_s: float) -> OperatorAccess:
    """Give this user a new key; the old one stands for the overlap still.

    The new key is on the disk before the broker hears of it: an answer that is lost costs nothing.

    Raises:
        FabricError: If the broker does not take it, or a file cannot be written.
    """
    pending = path.with_name(f"{path.name}.new")
    keys = KeyPair.load(pending) or KeyPair.new()
    keys.save(pending)
    public = keys.public.decode()
    do(connection, Rotate(request=next(connection.numbers), public_key=public, overlap_s=overlap_s))
    made = replace(access, keys=keys)
    made.save(path)
    pending.unlink()
    return made


def rotate_node(connection: Connection, node: str, overlap_s: float) -> None:
    """Have the agent of a node make itself a new key; it does so within a moment.

    Raises:
        FabricError: If it is away.
    """
    do(connection, RotateNode(request=next(connection.numbers), node=node, overlap_s=overlap_s))
