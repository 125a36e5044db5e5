"""What a settings file of the agent may say, and what its options may be: a key for each of them."""

from typing import Any, Final, get_args

from agents.launcher.starting import Depth
from agents.policy_settings import POLICY
from fabric.config import parse_url
from fabric.errors import UsageError
from fabric.keys import JoinToken
from fabric.protocol.names import NODE, WORD, is_address
from fabric.settings import Sections, checks
from fabric.settings.services import COMMON


def checked_name(name: str) -> str:
    """Return a node's name.

    Raises:
        UsageError: If it cannot be one.
    """
    if not NODE.fullmatch(name):
        raise UsageError(
            f"{name!r:.80} cannot be a node's name",
            hint="letters, digits, `.`, `_` and `-`, 63 at most, first no mark; give one with --name",
        )
    return name


def checked_label(label: str) -> str:
    """Return a label.

    Raises:
        UsageError: If it cannot be one.
    """
    return _checked_word(label, "label")


def read_address(text: str) -> tuple[str, str]:
    """Return network and address of ``NAME=ADDRESS``; the name may be empty.

    Raises:
        UsageError: If it is none.
    """
    network, equals, address = text.partition("=")
    if not equals or not is_address(address):
        raise UsageError(f"--addr {text!r:.80}: expected NAME=ADDRESS", hint="like --addr test=10.1.0.5")
    return _checked_word(network, "network's name") if network else "", address


def _checked_word(word: str, what: str) -> str:
    if not WORD.fullmatch(word):
        raise UsageError(f"{word!r:.80} cannot be a {what}", hint="letters, digits, `.`, `_` and `-`")
    return word


def _networks(value: Any) -> tuple[str, ...]:
    """Return the words of ``--addr`` for a table of networks and addresses."""
    found = checks.table(checks.text)(value)
    for network in found:
        try:
            read_address(f"{network}=x")
        except UsageError as error:
            raise checks.BadValue(f"is wrong: {error}", error.hint, (network,)) from None
    return tuple(f"{network}={address}" for network, address in found.items())


SECTIONS: Final[Sections] = {
    "agent": {
        "broker": checks.accepted_by(parse_url),
        "join": checks.accepted_by(JoinToken.parse),
        "name": checks.accepted_by(checked_name),
        "labels": checks.items(checks.accepted_by(checked_label)),
        "networks": _networks,
        "state_dir": checks.path,
        "arming": checks.choice(*get_args(Depth)),
        "spin": checks.flag,
        **COMMON,
    },
    "policy": POLICY,
}
