"""Keys and invitations: who may come in, and as what."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fabric.protocol.numbers import Count, Instant, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """Part of `Keys`: a public key that was ever let in, and as whom.  Instants are fabric time."""

    public_key: str  # Z85
    role: Literal["node", "operator", "viewer"]
    name: str
    created_ns: Instant
    revoked_ns: Instant | None = None  # None: it stands
    expires_ns: Instant | None = None  # None: it lasts; else a newer key has taken its place and it ends then


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationInfo:
    """Part of `Keys`: who shows the secret may enrol a key.  Instants are fabric time."""

    digest: str  # SHA-256 of the secret, in hex: what is stored lets nobody in
    role: Literal["node", "operator", "viewer"]
    name: str  # that the key gets; "": whoever comes chooses
    made_by: str
    created_ns: Instant
    expires_ns: Instant
    uses: Count | None  # that are left; None: any number
    used_by: str = ""  # name of the last key that came with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """Operator to broker: let who shows a secret enrol.  May be repeated.

    The secret stays with the operator; the broker is told its digest.
    """

    kind: ClassVar[str] = "invite"

    request: Count
    digest: str  # SHA-256, in hex
    role: Literal["node", "operator", "viewer"]
    name: str  # "": any
    expires_s: Seconds
    uses: Count  # 0: any number


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRequest:
    """Operator to broker: keys in the order of the keys themselves, from the one after ``after`` on."""

    kind: ClassVar[str] = "keys_request"

    request: Count
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Broker to operator.  Answers `KeysRequest`; the invitations come with the first part."""

    kind: ClassVar[str] = "keys"

    request: Count
    keys: tuple[KeyInfo, ...] = field(default=())
    invitations: tuple[InvitationInfo, ...] = field(default=())
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Operator to broker: let this key in no more, or void this invitation.  May be repeated."""

    kind: ClassVar[str] = "revoke"

    request: Count
    what: str  # a public key, or the digest of an invitation


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """Agent, operator or viewer to broker: this key is mine, too.  May be repeated."""

    kind: ClassVar[str] = "rotate"

    request: Count
    public_key: str  # Z85
    overlap_s: Seconds  # so long the old key stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateNode:
    """Operator to broker, and on to the agent: make a new key and say `Rotate`.  Lost if the node is away."""

    kind: ClassVar[str] = "rotate_node"

    request: Count
    node: str
    overlap_s: Seconds


AccessMessage = Invite | KeysRequest | Keys | Revoke | Rotate | RotateNode
