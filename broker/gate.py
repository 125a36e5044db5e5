"""Who may do what: which key may connect where, and which message each role may send.  Pure tables.

A peer's *user id* is ``ROLE:NAME:KEY``, or ``unknown:KEY`` (the key in Z85).  It follows from the CURVE key
of the connection, and stays with every message that comes over it.  The key is in it so that a connection
ends with its key, though the name may have a newer one.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from broker.effects import Role
from fabric.protocol import messages as m

DOMAIN_ROLES: Final[Mapping[str, frozenset[Role]]] = {
    "control": frozenset({"node", "operator", "viewer", "unknown"}),
    "go": frozenset({"node"}),
    "sink": frozenset({"node"}),
    "feed": frozenset({"operator", "viewer"}),
}
"""Which roles may connect to a socket."""

MESSAGE_RIGHTS: Final[Mapping[Role, frozenset[type]]] = {
    "unknown": frozenset({m.Enrol}),
    "node": frozenset(
        {
            m.Enrol,  # again, if the answer to the first one was lost
            m.AgentHello,
            m.Beat,
            m.Goodbye,
            m.Probe,
            m.Assigned,
            m.FileRequest,
            m.Ready,
            m.Refused,
            m.Confirm,
            m.Declined,
            m.Aborted,
            m.PhaseDone,
            m.Freed,
            m.Cleaned,
            m.Rotate,
        }
    ),
    "operator": frozenset(
        {
            m.OperatorHello,
            m.Beat,
            m.Probe,
            m.NodesRequest,
            m.OpenRun,
            m.CloseRun,
            m.Assign,
            m.Prepare,
            m.FilePart,
            m.StartPhase,
            m.Cancel,
            m.Free,
            m.Append,
            m.Replay,
            m.RunsRequest,
            m.RunRequest,
            m.DocumentRequest,
            m.Drain,
            m.Label,
            m.Clean,
            m.DeleteRun,
            m.Invite,
            m.KeysRequest,
            m.Revoke,
            m.Rotate,
            m.RotateNode,
        }
    ),
    "viewer": frozenset(
        {
            m.OperatorHello,
            m.Beat,
            m.Probe,
            m.NodesRequest,
            m.Replay,
            m.RunsRequest,
            m.RunRequest,
            m.DocumentRequest,
            m.Rotate,  # of its own key
        }
    ),
}
"""Which messages a role may send to the control socket.  For whom it may speak, the machines check."""


def allowed(role: Role, message_type: type) -> bool:
    """Tell whether a peer of this role may send messages of this type to the control socket."""
    return message_type in MESSAGE_RIGHTS[role]


def allows(role: Role, message: m.Message) -> bool:
    """Tell whether a peer of this role may send this message to the control socket."""
    return allowed(role, type(message))


IDS_KEPT: Final = 4096
"""So many user ids are remembered as they were read: those of all nodes, 150 bytes each."""


class UserId(NamedTuple):
    """Whose connection it is, and by which key (Z85).  The name of an unknown key is the key."""

    role: Role
    name: str
    key: str

    def __str__(self) -> str:
        """Return ``role:name:key``, the form that ZeroMQ attaches to every frame."""
        return f"{self.role}:{self.key}" if self.role == "unknown" else ":".join(self)

    @classmethod
    def unknown(cls, public: bytes) -> "UserId":
        """Return what a key is that is in no table."""
        key = public.decode("ascii", "replace")
        return cls("unknown", key, key)

    @classmethod
    @lru_cache(maxsize=IDS_KEPT)  # of every message that comes
    def parse(cls, text: str) -> "UserId | None":
        """Read ``role:name:key``; None if it is something else, such as the empty one of nobody's message."""
        role, _, rest = text.partition(":")  # a key in Z85 may have colons, roles and names have none
        if role == "unknown":
            return cls("unknown", rest, rest) if rest else None
        name, _, key = rest.partition(":")
        if not (name and key):
            return None
        for known in MESSAGE_RIGHTS:
            if role == known:
                return cls(known, name, key)
        return None


class Gate:
    """The table of keys.

    A key that was taken off keeps its connections, for ZeroMQ asks at the handshake only: so `stands` is
    asked at every message.
    """

    def __init__(self) -> None:
        self.noticing = True
        """Whether a refusal is worth a count and a log line; those of the self-test are meant."""

        self._keys: dict[bytes, UserId] = {}
        self._barred: set[bytes] = set()

    def add(self, public: bytes, role: Role, name: str) -> None:
        """Let a key (Z85) be a node, an operator or a viewer from the next handshake on.

        Raises:
            ValueError: If the role is none that can be given.
        """
        if role == "unknown":
            raise ValueError("a key becomes unknown by revoke")
        self._keys[public] = UserId(role, name, public.decode())

    def revoke(self, public: bytes) -> UserId | None:
        """Make a key as unknown as any other; return whose it was."""
        return self._keys.pop(public, None)

    def bar(self, public: bytes) -> None:
        """Let a key in nowhere, not even to enrol."""
        self._barred.add(public)

    def unbar(self, public: bytes) -> None:
        """Take back `bar`."""
        self._barred.discard(public)

    def identify(self, public: bytes) -> UserId:
        """Return whose key it is."""
        return self._keys.get(public) or UserId.unknown(public)

    def admit(self, domain: str, public: bytes) -> UserId | None:
        """Return whose key it is if it may connect to the socket of this domain, else None."""
        if public in self._barred:
            return None
        who = self.identify(public)
        return who if who.role in DOMAIN_ROLES.get(domain, frozenset()) else None

    def stands(self, user_id: UserId) -> bool:
        """Tell whether a connection that once got this user id still may use it.

        One that was unknown at its handshake stays so: it may enrol and nothing else, whatever its key has
        become since.
        """
        public = user_id.key.encode()
        if public in self._barred:
            return False
        return user_id.role == "unknown" or self._keys.get(public) == user_id
