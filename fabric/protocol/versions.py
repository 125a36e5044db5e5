"""PURE.  What is said to peers of another version of the protocol.

The number stands in the first word of each side, and is looked at before anything else of that word.  So
these never change: the form of a message, the kinds below with their fields ``protocol`` and ``software``,
and `Rejected`, which is the answer.
"""

from collections.abc import Mapping
from typing import Any, Final

from fabric import __version__
from fabric.errors import VersionMismatch
from fabric.protocol.limits import PROTOCOL_VERSION

_SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "enrol": ("who wants to join", "the broker"),
    "agent_hello": ("the agent", "the broker"),
    "operator_hello": ("the command", "the broker"),
    "welcome": ("the broker", "this side"),
}
"""By the kind of the first word: who says it, and who reads it."""


def check_version(kind: str, fields: Mapping[Any, Any]) -> None:
    """Look at the version of a first word.

    Args:
        kind: Of the message.
        fields: As they came.

    Raises:
        VersionMismatch: If it is not this one; says both, and which side is to be upgraded.
    """
    theirs = fields.get("protocol")
    if type(theirs) is int and theirs == PROTOCOL_VERSION:
        return
    them, us = _SIDES.get(kind, ("the peer", "this side"))
    software = fields.get("software")
    said = f" (testfabric {software:.40})" if isinstance(software, str) else ""
    ours = f"{us} protocol {PROTOCOL_VERSION} (testfabric {__version__})"
    sentence = f"{them} speaks protocol {theirs!r:.20}{said}, {ours}"
    raise VersionMismatch(sentence, hint=_way_out(theirs, them, us))


def _way_out(theirs: object, them: str, us: str) -> str:
    if type(theirs) is not int:
        return "install the same version of testfabric on both machines"
    older = them if theirs < PROTOCOL_VERSION else us
    if older == "this side":
        return "upgrade testfabric on this machine"
    return (
        "upgrade testfabric where the broker runs"
        if older == "the broker"
        else f"upgrade testfabric of {older}"
    )
