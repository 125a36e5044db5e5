"""Who the broker is, who may join it, and who is its first operator: made at the first start, then kept."""

import getpass
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from broker.effects import SaveAccess
from broker.gate import Gate
from broker.limits import S
from fabric.config import Address
from fabric.errors import FabricError
from fabric.keys import JoinToken, KeyPair, OperatorAccess, broker_keys
from fabric.log import get_logger
from fabric.protocol.messages import InvitationInfo, KeyInfo
from fabric.protocol.names import NODE
from fabric.secretfile import read_secret, write_secret
from fabric.store.catalogue import Catalogue

log = get_logger()

INVITATION_S: Final = 3600.0
"""The token that a start prints lets nodes in for so long: to walk around a lab with it."""

_MAKER: Final = "broker"
_TOKEN: Final = "join.token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Identity:
    """The broker's keys, and where they are kept."""

    keys: KeyPair
    directory: Path

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return what is in a state directory; make what is not there.

        Raises:
            FabricError: If a file cannot be used, or others may read it.
        """
        return cls(broker_keys(directory)[0], directory)

    def invitation(self, catalogue: Catalogue, now_ns: int) -> tuple[JoinToken, float, SaveAccess]:
        """Return a token with which any number of nodes can join, for how many seconds, and what was saved.

        They are an hour; a broker that starts again within half of one prints the same token: somebody may be
        on the way with it.

        Raises:
            FabricError: If it cannot be kept.
        """
        kept = self._kept_token()
        known = {one.digest: one for one in catalogue.access.invitations()}
        if kept is not None:
            info = known.get(digest_of(kept))
            if info is not None and info.expires_ns - now_ns >= INVITATION_S * S / 2:
                return kept, (info.expires_ns - now_ns) / S, SaveAccess()
        token = JoinToken.new(self.keys.public)
        info = InvitationInfo(
            digest=digest_of(token),
            role="node",
            name="",
            made_by=_MAKER,
            created_ns=now_ns,
            expires_ns=now_ns + round(INVITATION_S * S),
            uses=None,
        )
        own = (one for one in known.values() if one.made_by == _MAKER)
        over = tuple(one.digest for one in own if one.expires_ns <= now_ns)
        catalogue.access.save(invited=[info], gone=over)
        write_secret(self.directory / _TOKEN, {"token": token.text})
        return token, INVITATION_S, SaveAccess(invitations=(info,), gone=over)

    def _kept_token(self) -> JoinToken | None:
        values = read_secret(self.directory / _TOKEN, frozenset({"token"}))
        if values is None:
            return None
        token = JoinToken.parse(values["token"])
        return token if token.broker_public == self.keys.public else None


def digest_of(token: JoinToken) -> str:
    """Return how the broker knows a token: what is stored lets nobody in."""
    return hashlib.sha256(token.secret).hexdigest()


def give_access(
    catalogue: Catalogue, identity: Identity, address: Address, path: Path, now_ns: int
) -> SaveAccess:
    """Let the user who started the broker work with it; the key is in a file of that user's.

    A key that the catalogue knows is kept; one that was lost or revoked is replaced: who starts the broker
    can read its whole directory.

    Returns:
        What has become of keys.

    Raises:
        FabricError: If the file cannot be used or written.
    """
    name = user_name()
    stored = {key.public_key: key for key in catalogue.access.all_keys()}
    known = _known_access(path, identity)
    held = None if known is None or known.name != name else stored.get(known.keys.public.decode())
    changed: tuple[KeyInfo, ...] = ()
    if known is not None and held is not None and held.role == "operator" and _stands(held, now_ns):
        keys = known.keys
    else:
        keys = KeyPair.new()
        mine = (key for key in stored.values() if (key.role, key.name) == ("operator", name))
        old = (replace(key, revoked_ns=now_ns) for key in mine if key.revoked_ns is None)
        public = keys.public.decode()
        changed = (*old, KeyInfo(public_key=public, name=name, role="operator", created_ns=now_ns))
        catalogue.access.save(changed)
    access = OperatorAccess(url=str(address), name=name, keys=keys, broker_public=identity.keys.public)
    if access != known:
        access.save(path)
    return SaveAccess(keys=changed)


def _known_access(path: Path, identity: Identity) -> OperatorAccess | None:
    """Return the access in a file if it is to this broker; one to a broker that is gone is replaced."""
    access = OperatorAccess.load(path)
    return access if access is not None and access.broker_public == identity.keys.public else None


def let_in(catalogue: Catalogue, gate: Gate, now_ns: int) -> None:
    """Tell the gate all keys that may connect."""
    for key in catalogue.access.all_keys():
        if _stands(key, now_ns):
            tell_gate(gate, key)


def tell_gate(gate: Gate, key: KeyInfo) -> None:
    """Let a key in from now on, or no more."""
    if key.revoked_ns is None:
        gate.add(key.public_key.encode(), key.role, key.name)
    else:
        gate.revoke(key.public_key.encode())


def log_access(effect: SaveAccess) -> None:
    """Log what has become of keys and invitations, and by whom."""
    by = "" if effect.peer is None else effect.peer.name
    for key in effect.keys:
        event = "key_revoked" if key.revoked_ns else "key_ends" if key.expires_ns else "key_added"
        log.info(event, role=key.role, name=key.name, key=key.public_key[:8], by=by)
    for one in effect.invitations:
        log.info("invitation_kept", role=one.role, name=one.name, uses=one.uses, by=by)


def _stands(key: KeyInfo, now_ns: int) -> bool:
    return key.revoked_ns is None and (key.expires_ns is None or now_ns < key.expires_ns)


def user_name() -> str:
    """Return the name of the user who runs this process, as an operator's name.

    Raises:
        FabricError: If it is none that can be used.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = f"uid{os.getuid()}"
    if NODE.fullmatch(name) is None:
        raise FabricError(f"the user name {name!r} cannot be an operator's name")
    return name
