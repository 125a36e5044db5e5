"""Keys of CURVE, the token with which a node joins, and the files that keep them.

Keys are Z85 text in ASCII bytes (40 of them for 32 bytes), as ZeroMQ takes them.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Self

from fabric import config
from fabric.errors import FabricError, UsageError
from fabric.private import check_directory
from fabric.protocol.names import KEY
from fabric.secretfile import read_secret, write_secret

TOKEN_SECRET_BYTES: Final = 16
"""Of a join token: 128 bits cannot be guessed."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key and its secret key."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Make a pair that nobody has."""
        import zmq

        return cls(*zmq.curve_keypair())

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return the pair in a file, or None if there is no such file.

        Raises:
            FabricError: If others may read the file, or it holds no pair.
        """
        values = read_secret(path, frozenset({"public", "secret"}))
        return None if values is None else cls(_key(values, "public", path), _key(values, "secret", path))

    def save(self, path: Path) -> None:
        """Write the pair to a file that only its owner can read.

        Raises:
            FabricError: If it cannot be written.
        """
        write_secret(path, {"public": self.public.decode(), "secret": self.secret.decode()})


def broker_keys(directory: Path) -> tuple[KeyPair, bool]:
    """Return the keys of the broker whose state directory this is, and whether they were made now.

    Raises:
        FabricError: If the file cannot be used, or others may read it.
    """
    path = directory / "broker.key"
    keys = KeyPair.load(path)
    if keys is not None:
        return keys, False
    keys = KeyPair.new()
    keys.save(path)
    return keys, True


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a new node needs to trust a broker and to be let in by it.

    As text ``fj1`` and 68 characters of URL-safe base64: the broker's public key (32 bytes), the secret (16)
    and a checksum (3), by which a mistyped token is told from one that the broker does not take.
    """

    PREFIX: ClassVar[str] = "fj1"  # begins the token, so that none looks like an option
    LENGTH: ClassVar[int] = 3 + 68

    broker_public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, broker_public: bytes) -> Self:
        """Make a token with a fresh secret."""
        return cls(broker_public, secrets.token_bytes(TOKEN_SECRET_BYTES))

    @property
    def text(self) -> str:
        """The token as it is printed and typed; needs no quotes in a shell."""
        from zmq.utils import z85

        body = z85.decode(self.broker_public) + self.secret
        return self.PREFIX + base64.urlsafe_b64encode(body + _checksum(body)).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token; white space around it does not matter.

        Raises:
            UsageError: If it is mistyped, cut off or of another version.
        """
        from zmq.utils import z85

        token = text.strip()
        if not token.startswith(cls.PREFIX):
            raise UsageError(
                f"a join token begins with {cls.PREFIX}, this one with {token[:3]!r}", hint=_COPY
            )
        if len(token) != cls.LENGTH:
            raise UsageError(
                f"a join token has {cls.LENGTH} characters, this one has {len(token)}", hint=_COPY
            )
        wrong = re.search(r"[^A-Za-z0-9_-]", token)
        if wrong is not None:
            raise UsageError(
                f"a join token has no {wrong[0]!r} in it (character {wrong.start() + 1})", hint=_COPY
            )
        raw = base64.urlsafe_b64decode(token.removeprefix(cls.PREFIX))
        body = raw[:-3]
        if _checksum(body) != raw[-3:]:
            raise UsageError("the join token is mistyped: its checksum does not fit", hint=_COPY)
        return cls(z85.encode(body[:-TOKEN_SECRET_BYTES]), body[-TOKEN_SECRET_BYTES:])


_COPY: Final = "copy the whole line that fabric-broker or `fabric keys invite` printed"


def _checksum(body: bytes) -> bytes:
    """Return 3 bytes against mistakes, not against malice: one mistyped token in 16 million passes."""
    return (binascii.crc32(body) & 0xFFFFFF).to_bytes(3, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """How one peer reaches one broker: the file of a node or of an operator."""

    FIELDS: ClassVar = frozenset({"url", "name", "public", "secret", "broker_public"})

    url: str
    name: str
    keys: KeyPair
    broker_public: bytes

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what is in a file, or None if there is no such file.

        Raises:
            FabricError: If others may read the file, or it is damaged.
        """
        values = read_secret(path, cls.FIELDS)
        if values is None:
            return None
        keys = KeyPair(_key(values, "public", path), _key(values, "secret", path))
        return cls(
            url=values["url"],
            name=values["name"],
            keys=keys,
            broker_public=_key(values, "broker_public", path),
        )

    def save(self, path: Path) -> None:
        """Write it to a file that only its owner can read.

        Raises:
            FabricError: If it cannot be written.
        """
        keys = {"public": self.keys.public.decode(), "secret": self.keys.secret.decode()}
        broker = {"broker_public": self.broker_public.decode()}
        write_secret(path, {"url": self.url, "name": self.name} | keys | broker)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity(_Access):
    """Who an agent is; kept in its state directory.  The name is the node's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAccess(_Access):
    """With which key a user works with a broker; kept in the user's configuration directory."""


def operator_access_path(address: config.Address) -> Path:
    """Return where the access to the broker at this address is kept."""
    host = _canonical(address.host).replace(":", "_")
    return config.config_dir() / f"operator-{host}-{address.port}.json"


def find_operator_path(url: str | None) -> Path:
    """Return where the access to the broker at ``url``, or to the only one, is or would be kept.

    Raises:
        UsageError: If ``url`` is not an address, or none is given and there are several brokers.
    """
    return _only_access() if url is None else operator_access_path(config.parse_url(url))


def find_operator_access(url: str | None) -> OperatorAccess:
    """Return this user's access to the broker at ``url``, or to the only one that there is.

    Raises:
        UsageError: If ``url`` is not an address, or none is given and there are several brokers.
        FabricError: If there is no access, or it cannot be read.
    """
    path = find_operator_path(url)
    if path.parent.is_dir():
        check_directory(path.parent, may_pass=True)
    access = OperatorAccess.load(path)
    if access is None:
        whom = url or config.DEFAULT_URL
        raise FabricError(
            f"this user has no key for a broker at {whom} (looked for {path})",
            hint="start fabric-broker here, or use an invitation (`fabric keys invite`) with `fabric join`",
        )
    return access


def _only_access() -> Path:
    """Return the one file that there is, or the one that the usual broker would have."""
    usual = operator_access_path(config.parse_url(config.DEFAULT_URL))
    found = sorted(path for path in usual.parent.glob("operator-*.json") if path.is_file())
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(
            "this user has keys of several brokers: which one is meant?",
            hint=f"say it by --broker or FABRIC_BROKER; or remove what is gone: {names} in {usual.parent}",
        )
    return found[0] if found else usual


def _canonical(host: str) -> str:
    return "127.0.0.1" if host.lower() == "localhost" else host.lower()


def _key(values: dict[str, str], name: str, path: Path) -> bytes:
    if not KEY.fullmatch(values[name]):
        raise FabricError(f"{path}: {name!r} is not a key: expected 40 characters of Z85")
    return values[name].encode()
