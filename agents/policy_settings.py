"""Where the rules of a node's policy are said: options, a policy file, the agent's own settings file."""

import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agents.policy import Policy, path_parts
from fabric.errors import UsageError
from fabric.settings import Section, checks, load_settings

_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def checked_user(name: str) -> str:
    """Return a user that is there: with a name mistyped, nothing would be allowed any more.

    Raises:
        UsageError: If there is none of that name.
    """
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise UsageError(f"there is no user {name!r:.60} on this machine") from None
    return name


def checked_pattern(pattern: str) -> str:
    """Return a path, or a pattern of paths.

    Raises:
        UsageError: If it is not absolute.
    """
    if not pattern.startswith("/"):
        raise UsageError(f"{pattern!r:.80} is no absolute path", hint='like "/opt/tests" or "/usr/bin/*"')
    if ".." in path_parts(pattern) or " " in pattern:
        raise UsageError(f"{pattern!r:.80} has `..` or a space in it", hint="write where it leads")
    return pattern


POLICY: Final[Section] = {
    "allow_user": checks.items(checks.accepted_by(checked_user)),
    "allow_path": checks.items(checks.accepted_by(checked_pattern)),
    "read_only_put": checks.flag,
}
"""What [policy] may say, in a policy file and in the settings of the agent."""


def read_policy(told: Mapping[str, Any], file: Path | None, section: Mapping[str, Any]) -> Policy:
    """Return the rules that hold.

    Args:
        told: By the options; what is empty was not told.
        file: Of the rules, whose keys go over those of ``section``.
        section: [policy] of the agent's settings.

    Raises:
        UsageError: If something of it is wrong, or others may write the file.
    """
    found = {**section, **(_of_file(file) if file is not None else {})}
    for user in told.get("allow_user", ()):
        checked_user(user)
    for pattern in told.get("allow_path", ()):
        checked_pattern(pattern)
    found |= {name: value for name, value in told.items() if value}
    return Policy(
        users=tuple(found.get("allow_user", ())),
        paths=tuple(found.get("allow_path", ())),
        only_scratch=bool(found.get("read_only_put")),
    )


def _of_file(path: Path) -> dict[str, Any]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise UsageError(f"the policy file {path} cannot be read: {error.strerror}") from None
    if mode & _OTHERS:
        raise UsageError(
            f"others than its owner may write the policy file {path} (mode {mode:04o})",
            hint=f"chmod go-w {path}",
        )
    return load_settings(path, {"policy": POLICY}).get("policy", {})
