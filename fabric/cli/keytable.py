"""Keys and invitations, for people and for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from fabric.cli.instants import plain, utc
from fabric.cli.table import since, table
from fabric.controller.keyring import Ring
from fabric.protocol.messages import InvitationInfo, KeyInfo

SHOWN = 10
"""Characters of a key or of a digest: six are enough to name one."""


def standing(ring: Ring, now_ns: int) -> Ring:
    """Return what lets somebody in.  ``now_ns`` is fabric time."""
    keys = (key for key in ring.keys if key.revoked_ns is None)
    invitations = (one for one in ring.invitations if one.uses != 0 and now_ns < one.expires_ns)
    return Ring(tuple(keys), tuple(invitations))


def ways_back(ring: Ring, revoked: Sequence[KeyInfo | InvitationInfo], now_ns: int) -> Iterator[str]:
    """Yield what to say of open invitations by which those whose keys were revoked can come in again.

    Args:
        ring: As it was before.
        revoked: Keys and invitations.
        now_ns: Fabric time.
    """
    names = {(one.role, one.name) for one in revoked if isinstance(one, KeyInfo)}
    void = {one.digest for one in revoked if isinstance(one, InvitationInfo)}
    left = [one for one in standing(ring, now_ns).invitations if one.digest not in void]
    for role, name in sorted(names):
        ways = [one.digest[:SHOWN] for one in left if one.role == role and one.name in ("", name)]
        if ways:
            many = "an invitation is" if len(ways) == 1 else f"{len(ways)} invitations are"
            yield (
                f"warning: {many} open with which {role} {name}, if it has the token, is in again at once; "
                f"fabric keys revoke {' '.join(ways)}"
            )


def tables(ring: Ring, now_ns: int) -> list[str]:
    """Return a line for each key, and below them one for each invitation."""
    keys = sorted(ring.keys, key=lambda key: (key.role, key.name, key.created_ns))
    rows = [
        (key.role, key.name, key.public_key[:SHOWN], since(key.created_ns, now_ns), _state(key, now_ns))
        for key in keys
    ]
    lines = table(("ROLE", "NAME", "KEY", "AGE", "STATE"), rows)
    if ring.invitations:
        invited = [
            (one.digest[:SHOWN], one.role, one.name or "(any)", one.made_by, _left(one), _end(one, now_ns))
            for one in ring.invitations
        ]
        lines += ["", *table(("INVITATION", "ROLE", "NAME", "BY", "USES LEFT", "STATE"), invited)]
    return lines


def as_dicts(ring: Ring) -> Iterator[dict[str, Any]]:
    """Return keys, then invitations."""
    for key in ring.keys:
        yield {"kind": "key"} | plain(key)
    for one in ring.invitations:
        yield {"kind": "invitation"} | plain(one)


def _state(key: KeyInfo, now_ns: int) -> str:
    if key.revoked_ns is not None:
        return f"revoked {utc(key.revoked_ns)}"
    if key.expires_ns is not None:
        return f"replaced, ends in {since(now_ns, key.expires_ns)}"
    return "stands"


def _left(one: InvitationInfo) -> str:
    return "any" if one.uses is None else str(one.uses)


def _end(one: InvitationInfo, now_ns: int) -> str:
    if one.uses == 0:
        return f"used by {one.used_by}"
    return f"ends in {since(now_ns, one.expires_ns)}" if now_ns < one.expires_ns else "expired"
