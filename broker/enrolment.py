"""Enrolment: a key becomes a node's key by the secret of a join token."""

import hmac
from collections.abc import Mapping

from broker.effects import Effect, Peer, SaveKey, Send
from broker.limits import MAX_NODES
from fabric.protocol.messages import Enrol, Enrolled, Rejected
from fabric.protocol.names import NODE


class Enrolment:
    """The table of nodes' keys.  A name that is enrolled keeps its key."""

    def __init__(self, secret: bytes, keys: Mapping[str, str]) -> None:
        """Take the token's secret and the public key (Z85) of each node."""
        self._secret = secret
        self._keys = dict(keys)

    def receive(self, peer: Peer, message: Enrol) -> list[Effect]:
        """Let the peer's key be the node that it names, or say why not.  May be repeated."""
        refusal = self._refusal(peer, message)
        if refusal:
            return [Send(peer, refusal)]
        if peer.role == "node" or self._keys.get(message.name) == peer.name:
            return [Send(peer, Enrolled(name=message.name))]
        return [SaveKey(peer, message.name, peer.name)]

    def saved(self, key: SaveKey) -> list[Effect]:
        """The key is kept for good, and the handshake knows it."""
        self._keys[key.name] = key.public
        return [Send(key.peer, Enrolled(name=key.name))]

    def _refusal(self, peer: Peer, message: Enrol) -> Rejected | None:
        if not hmac.compare_digest(message.secret, self._secret):
            return Rejected(code="bad_token", sentence="the join token is not this broker's")
        if NODE.fullmatch(message.name) is None:
            wanted = "up to 63 letters, digits, dots, dashes and underscores, a letter or digit first"
            return Rejected(code="malformed", sentence=f"{message.name!r:.80} is no name: {wanted}")
        if peer.role == "node":
            return None if peer.name == message.name else _taken(f"this key is node {peer.name} already")
        if self._keys.get(message.name, peer.name) != peer.name:
            return _taken(
                f"the name {message.name} belongs to another key; use the state directory in which that "
                "agent enrolled, or choose another name"
            )
        if len(self._keys) >= MAX_NODES:
            return Rejected(code="not_allowed", sentence=f"{MAX_NODES} nodes are enrolled, the limit")
        return None


def _taken(sentence: str) -> Rejected:
    return Rejected(code="name_in_use", sentence=sentence)
