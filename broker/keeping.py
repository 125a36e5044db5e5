"""What is done with the words about keys and invitations."""

from typing import Final

from broker.effects import Effect, Note, Peer, SaveAccess, Send, ToNode
from broker.parts import Parts
from fabric.protocol.messages import Denied, Done, Invite, KeysRequest, Revoke, Rotate, RotateNode

_REVOKED: Final = "the key of {node} was revoked"


def invite(parts: Parts, peer: Peer, message: Invite, now_ns: int) -> list[Effect]:
    """Let who shows a secret enrol."""
    return parts.access.invite(peer, message, now_ns)


def keys_request(parts: Parts, peer: Peer, message: KeysRequest, now_ns: int) -> list[Effect]:  # noqa: ARG001
    """Tell of keys and invitations."""
    return parts.access.list_keys(peer, message)


def revoke(parts: Parts, peer: Peer, message: Revoke, now_ns: int) -> list[Effect]:
    """End a key or an invitation."""
    return parts.access.revoke(peer, message, now_ns)


def rotate(parts: Parts, peer: Peer, message: Rotate, now_ns: int) -> list[Effect]:
    """Give the peer another key."""
    return parts.access.rotate(peer, message, now_ns)


def rotate_node(parts: Parts, peer: Peer, message: RotateNode, now_ns: int) -> list[Effect]:
    """Have a node make itself a new key."""
    known = parts.registry.node(message.node)
    if known is None:
        sentence = f"no node {message.node!r:.80} has ever been here"
        return [Send(peer, Denied(request=message.request, code="unknown_node", sentence=sentence))]
    absence = parts.registry.absence(known.name, now_ns)
    if absence is not None:
        sentence = f"{absence[1]}; only an agent that is there can make itself a key"
        return [Send(peer, Denied(request=message.request, code=absence[0], sentence=sentence))]
    refusal = parts.access.rotation_refusal("node", known.name, message.overlap_s, now_ns)
    if refusal is not None:
        return [Send(peer, Denied(request=message.request, code=refusal[0], sentence=refusal[1]))]
    return [ToNode(known.name, message), Send(peer, Done(request=message.request))]


def saved(parts: Parts, effect: SaveAccess, now_ns: int) -> list[Effect]:
    """Let a change count that is kept; a node whose key was revoked is away at once."""
    effects = parts.access.saved(effect)
    for key in effect.keys:
        if key.role == "node":
            parts.registry.shut_out(key.name, is_shut_out=parts.access.is_shut_out(key.name))
            effects += _shut_out(parts, key.name, now_ns) if key.revoked_ns is not None else []
    return effects


def begin(parts: Parts, now_ns: int) -> None:
    """Find out which nodes were shut out.  Of those of open runs the last life may not have told it any more.

    Nothing will be heard of them.  The controllers learn it when they are there.
    """
    shut_out = parts.access.shut_out()
    for node in shut_out:
        parts.registry.shut_out(node, is_shut_out=True)
    for run in parts.runs:
        for node in shut_out.intersection(run.facts.nodes):
            run.node_left(node, _REVOKED.format(node=node), now_ns)


def _shut_out(parts: Parts, node: str, now_ns: int) -> list[Effect]:
    if not parts.access.is_shut_out(node):
        return []  # it has another key: it will be here again in a moment
    known = parts.registry.node(node)
    if known is not None and known.peer is not None:
        parts.registry.left(known.peer)
    held = parts.runs.holding(node)  # also of a node that is cut off: it cannot come back
    told = [] if held is None else held.node_left(node, _REVOKED.format(node=node), now_ns)
    return [Note("node_shut_out", node, ""), *told]
