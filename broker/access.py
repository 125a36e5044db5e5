"""Keys and invitations: whose a key is, how another becomes one, and how it ends.

A change is first kept in the catalogue and told to the gate (`SaveAccess`), and only then answered.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Literal

from broker.effects import Effect, Peer, SaveAccess, Send
from broker.limits import (
    INVITATION_KEPT_NS,
    INVITATION_MAX_S,
    KEYS_LIMIT,
    KEYS_OF_NAME,
    MAX_INVITATIONS,
    MAX_KEYS,
    MAX_NODES,
    OVERLAP_MAX_S,
    S,
)
from fabric.protocol.messages import (
    Denied,
    Done,
    Enrol,
    Enrolled,
    InvitationInfo,
    Invite,
    KeyInfo,
    Keys,
    KeysRequest,
    Rejected,
    Revoke,
    Rotate,
)
from fabric.protocol.names import KEY, NODE

_NAME: Final = "up to 63 letters, digits, dots, dashes and underscores, a letter or digit first"


class Access:
    """The tables of keys and of invitations.  A name that is enrolled keeps its key until that is revoked.

    ``now_ns`` is fabric time.
    """

    def __init__(self, keys: Iterable[KeyInfo] = (), invitations: Iterable[InvitationInfo] = ()) -> None:
        self._keys = {key.public_key: key for key in keys}
        self._invitations = {one.digest: one for one in invitations}
        self.deadline_ns = self._next_end_ns()
        """When the next key ends."""

    def _next_end_ns(self) -> int | None:
        ends = (key.expires_ns for key in self._keys.values() if key.revoked_ns is None)
        return min((at for at in ends if at is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """End the keys that newer ones have followed.  Safe to call at any time."""
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return []
        over = [
            replace(key, revoked_ns=key.expires_ns)
            for key in self._keys.values()
            if key.revoked_ns is None and key.expires_ns is not None and key.expires_ns <= now_ns
        ]
        self._keys.update({key.public_key: key for key in over})  # also if the catalogue refuses: it is over
        self.deadline_ns = self._next_end_ns()
        return [SaveAccess(keys=tuple(over))]

    def saved(self, effect: SaveAccess) -> list[Effect]:
        """A change is kept for good, and the handshake knows it."""
        self._keys.update({key.public_key: key for key in effect.keys})
        self._invitations.update({one.digest: one for one in effect.invitations})
        for gone in effect.gone:
            self._keys.pop(gone, None)
            self._invitations.pop(gone, None)
        self.deadline_ns = self._next_end_ns()
        if effect.peer is None or effect.answer is None:
            return []
        return [Send(effect.peer, effect.answer)]

    def revoked(self, public_key: str) -> KeyInfo | None:
        """Return whose key it was, if it was revoked."""
        key = self._keys.get(public_key)
        return None if key is None or key.revoked_ns is None else key

    def stands(self, role: str, name: str) -> bool:
        """Tell whether a name has a key that may connect."""
        return any(key.name == name for key in self._standing(role))

    def is_shut_out(self, node: str) -> bool:
        """Tell whether a node had a key, which was revoked, and has no other one."""
        ended = (key.role == "node" and key.name == node and key.revoked_ns for key in self._keys.values())
        return any(ended) and not self.stands("node", node)

    def shut_out(self) -> set[str]:
        """Return all nodes of which that is so."""
        ended = {key.name for key in self._keys.values() if key.role == "node" and key.revoked_ns}
        return ended - {key.name for key in self._standing("node")}

    # --- coming in ----------------------------------------------------------------------------------

    def enrol(self, peer: Peer, message: Enrol, now_ns: int) -> list[Effect]:
        """Let the peer's key be what its invitation says, or say why not.  May be repeated."""
        if peer.role != "unknown":
            return [Send(peer, self._again(peer.role, peer.name, message))]
        known = self._keys.get(peer.name)
        if known is not None and known.revoked_ns is None:
            return [Send(peer, self._again(known.role, known.name, message))]
        invitation = self._invitations.get(hashlib.sha256(message.secret).hexdigest())
        if invitation is None:
            return [Send(peer, _bad("the join token is not this broker's"))]
        name = message.name or invitation.name or message.login
        refusal = self._refusal(invitation, message, name, now_ns)
        if known is not None:
            refusal = _bad(_WAS_REVOKED)
        if refusal is not None:
            return [Send(peer, refusal)]
        uses = None if invitation.uses is None else invitation.uses - 1
        key = KeyInfo(public_key=peer.name, role=invitation.role, name=name, created_ns=now_ns)
        used = replace(invitation, uses=uses, used_by=name)
        answer = Enrolled(name=name, role=invitation.role)
        return [SaveAccess(peer=peer, keys=(key,), invitations=(used,), gone=self._old_keys(), answer=answer)]

    def _again(self, role: str, name: str, message: Enrol) -> Enrolled | Rejected:
        """Answer a key that is let in already: its first answer may have been lost."""
        if (role == "node") == bool(message.login):
            return _taken(f"this key is {role} {name} already")
        if name != (message.name or name):
            return _taken(f"this key is {role} {name} already")
        return Enrolled(name=name, role=role)  # type: ignore[arg-type]  # it is not unknown

    def _refusal(self, one: InvitationInfo, message: Enrol, name: str, now_ns: int) -> Rejected | None:
        if now_ns >= one.expires_ns:
            return _bad("the join token has expired; ask for a new one")
        if one.uses == 0:
            return _bad(
                f"the join token has been used already, by {one.used_by or 'somebody'}; ask for a new one"
            )
        if (one.role == "node") == bool(message.login):
            way = "start fabric-agent with it" if one.role == "node" else "use it with `fabric join`"
            return _bad(f"the join token is for {_a(one.role)}: {way}")
        if NODE.fullmatch(name) is None:
            return Rejected(code="malformed", sentence=f"{name!r:.80} is no name: {_NAME}")
        if one.name and name != one.name:
            return _bad(
                f"the join token is for the {one.role} {one.name}, not for {name}: say --name {one.name}"
            )
        if self.stands(one.role, name):
            return _taken(_TAKEN[one.role].format(name=name))
        if one.role == "node" and sum(1 for _ in self._standing("node")) >= MAX_NODES:
            return Rejected(code="not_allowed", sentence=f"{MAX_NODES} nodes are enrolled, the limit")
        return None

    # --- what operators do --------------------------------------------------------------------------

    def invite(self, peer: Peer, message: Invite, now_ns: int) -> list[Effect]:
        """Keep an invitation."""
        if message.digest in self._invitations:
            return [Send(peer, Done(request=message.request))]
        if (
            not _is_digest(message.digest)
            or message.uses < 0
            or (message.name and not NODE.fullmatch(message.name))
        ):
            return _denied(peer, message.request, "invalid", f"{message.name!r:.80} is no name: {_NAME}")
        if not 1 <= message.expires_s <= INVITATION_MAX_S:
            days = INVITATION_MAX_S // 86400
            return _denied(peer, message.request, "invalid", f"an invitation stands 1 s to {days} days")
        gone = tuple(
            one.digest
            for one in self._invitations.values()
            if one.expires_ns + INVITATION_KEPT_NS <= now_ns or (one.uses == 0 and one.expires_ns <= now_ns)
        )
        if len(self._invitations) - len(gone) >= MAX_INVITATIONS:
            sentence = f"{MAX_INVITATIONS} invitations are open, the limit: revoke some"
            return _denied(peer, message.request, "no_room", sentence)
        made = InvitationInfo(
            digest=message.digest,
            role=message.role,
            name=message.name,
            made_by=peer.name,
            created_ns=now_ns,
            expires_ns=now_ns + round(message.expires_s * S),
            uses=message.uses or None,
        )
        answer = Done(request=message.request)
        return [SaveAccess(peer=peer, invitations=(made,), gone=gone, answer=answer)]

    def list_keys(self, peer: Peer, message: KeysRequest) -> list[Effect]:
        """Tell of keys and invitations, as many as one answer takes."""
        names = sorted(public for public in self._keys if public > message.after)
        answer = Keys(
            request=message.request,
            keys=tuple(self._keys[name] for name in names[:KEYS_LIMIT]),
            invitations=() if message.after else tuple(self._invitations.values()),
            more=len(names) > KEYS_LIMIT,
        )
        return [Send(peer, answer)]

    def revoke(self, peer: Peer, message: Revoke, now_ns: int) -> list[Effect]:
        """End a key, or an invitation, now."""
        answer = Done(request=message.request)
        key = self._keys.get(message.what)
        if key is not None:
            if key.revoked_ns is not None:
                return [Send(peer, answer)]
            return [SaveAccess(peer=peer, keys=(replace(key, revoked_ns=now_ns),), answer=answer)]
        if message.what in self._invitations:
            return [SaveAccess(peer=peer, gone=(message.what,), answer=answer)]
        sentence = f"there is no key or invitation {message.what!r:.80}"
        return _denied(peer, message.request, "unknown_key", sentence)

    # --- a new key for an old one -------------------------------------------------------------------

    def rotate(self, peer: Peer, message: Rotate, now_ns: int) -> list[Effect]:
        """Give the peer another key; the keys that it has end after the overlap."""
        answer = Done(request=message.request)
        known = self._keys.get(message.public_key)
        if known is not None:
            if known.revoked_ns is None and (known.role, known.name) == (peer.role, peer.name):
                return [Send(peer, answer)]
            return _denied(peer, message.request, "invalid", "this key is in use, or was; make a new one")
        if KEY.fullmatch(message.public_key) is None:
            return _denied(peer, message.request, "invalid", "that is not a key")
        refusal = self.rotation_refusal(peer.role, peer.name, message.overlap_s, now_ns)
        if refusal is not None:
            return _denied(peer, message.request, *refusal)
        ends_ns = now_ns + round(message.overlap_s * S)
        ending = (
            replace(key, expires_ns=ends_ns)
            for key in self._of(peer.role, peer.name)
            if key.expires_ns is None or key.expires_ns > ends_ns
        )
        new = KeyInfo(public_key=message.public_key, role=peer.role, name=peer.name, created_ns=now_ns)  # type: ignore[arg-type]
        return [SaveAccess(peer=peer, keys=(*ending, new), gone=self._old_keys(), answer=answer)]

    def rotation_refusal(
        self, role: str, name: str, overlap_s: float, now_ns: int
    ) -> tuple[Literal["invalid", "no_room"], str] | None:
        """Return the code and the sentence by which a new key is refused to a name; None if it gets one."""
        if not 0 <= overlap_s <= OVERLAP_MAX_S:
            return "invalid", f"an overlap is 0 s to {OVERLAP_MAX_S:.0f} s"
        ends_ns = now_ns + round(overlap_s * S)
        beside = [key for key in self._of(role, name) if min(key.expires_ns or ends_ns, ends_ns) > now_ns]
        if len(beside) < KEYS_OF_NAME:
            return None
        sentence = f"{role} {name} has {len(beside)} keys that stand, the limit is {KEYS_OF_NAME}"
        return "no_room", f"{sentence}: --overlap 0s ends them with the new one, or revoke some"

    def _of(self, role: str, name: str) -> list[KeyInfo]:
        return [key for key in self._standing(role) if key.name == name]

    def _standing(self, role: str) -> Iterator[KeyInfo]:
        return (key for key in self._keys.values() if key.role == role and key.revoked_ns is None)

    def _old_keys(self) -> tuple[str, ...]:
        """Return revoked keys that need not be remembered any more: they are as unknown as any other."""
        if len(self._keys) < MAX_KEYS:
            return ()
        revoked = [
            (key.revoked_ns, key.public_key) for key in self._keys.values() if key.revoked_ns is not None
        ]
        return tuple(public for _, public in sorted(revoked)[: MAX_KEYS // 8])


_WAS_REVOKED: Final = "this key was revoked: it needs a new one to join again"

_TAKEN: Final = {
    "node": "the name {name} belongs to another key; use the state directory in which that agent enrolled, "
    "revoke its key (`fabric keys revoke`), or choose another name",
    "operator": "there is an operator {name} already; choose another name with --name",
    "viewer": "there is a viewer {name} already; choose another name with --name",
}


def _a(role: str) -> str:
    return f"an {role}" if role == "operator" else f"a {role}"


def _is_digest(text: str) -> bool:
    return len(text) == 2 * hashlib.sha256().digest_size and set(text) <= set("0123456789abcdef")


def _bad(sentence: str) -> Rejected:
    return Rejected(code="bad_token", sentence=sentence)


def _taken(sentence: str) -> Rejected:
    return Rejected(code="name_in_use", sentence=sentence)


def _denied(peer: Peer, request: int, code: str, sentence: str) -> list[Effect]:
    return [Send(peer, Denied(request=request, code=code, sentence=sentence))]  # type: ignore[arg-type]
