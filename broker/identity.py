"""Who the broker is, who may join it, and who is its first operator: made at the first start, then kept."""

import getpass
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from broker.gate import Gate
from fabric.config import Address
from fabric.errors import FabricError
from fabric.keys import JoinToken, KeyPair, OperatorAccess
from fabric.protocol.names import NODE
from fabric.secretfile import read_secret, write_secret
from fabric.store.catalogue import Catalogue
from fabric.store.rows import Key

_KEYS: Final = "broker.key"
_TOKEN: Final = "join.token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Identity:
    """The broker's keys, and the token with which nodes join."""

    keys: KeyPair
    token: JoinToken

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return what is in a state directory; make what is not there.

        Raises:
            FabricError: If a file cannot be used, or others may read it.
        """
        keys = KeyPair.load(directory / _KEYS)
        if keys is None:
            keys = KeyPair.new()
            keys.save(directory / _KEYS)
        return cls(keys, _token(directory / _TOKEN, keys.public))


def _token(path: Path, broker_public: bytes) -> JoinToken:
    values = read_secret(path, frozenset({"token"}))
    if values is not None:
        token = JoinToken.parse(values["token"])
        if token.broker_public == broker_public:
            return token
    token = JoinToken.new(broker_public)
    write_secret(path, {"token": token.text})
    return token


def give_access(
    catalogue: Catalogue, identity: Identity, address: Address, path: Path, now_ns: int
) -> OperatorAccess:
    """Let the user who started the broker work with it; the key is in a file of that user's.

    A key that the catalogue knows is kept; one that was lost is replaced.

    Raises:
        FabricError: If the file cannot be used or written.
    """
    name = user_name()
    known = _known_access(path, identity)
    keys = KeyPair.new() if known is None or known.name != name else known.keys
    public = keys.public.decode()
    for key in catalogue.keys():  # noqa: SIM118 - a method of its own
        is_mine = (key.role, key.name) == ("operator", name) and key.revoked_ns is None
        if is_mine and key.public_key != public:
            catalogue.revoke_key(key.public_key, now_ns)
    catalogue.add_key(Key(public_key=public, name=name, role="operator", created_ns=now_ns))
    access = OperatorAccess(url=str(address), name=name, keys=keys, broker_public=identity.keys.public)
    if access != known:
        access.save(path)
    return access


def _known_access(path: Path, identity: Identity) -> OperatorAccess | None:
    """Return the access in a file if it is to this broker; one to a broker that is gone is replaced."""
    access = OperatorAccess.load(path)
    return access if access is not None and access.broker_public == identity.keys.public else None


def let_in(catalogue: Catalogue, gate: Gate) -> dict[str, str]:
    """Tell the gate all keys that may connect; return the public key of each node by name."""
    nodes: dict[str, str] = {}
    for key in catalogue.keys():  # noqa: SIM118 - a method of its own
        if key.revoked_ns is not None:
            continue
        gate.add(key.public_key.encode(), key.role, key.name)
        if key.role == "node":
            nodes[key.name] = key.public_key
    return nodes


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
