"""From the words of an arm command to what a child needs, or to the sentence that says why it cannot be."""

from __future__ import annotations

from agents.launcher import bounds, feed, program, terminal, tree
from agents.launcher.account import Account, As, give
from agents.launcher.child import Inherited, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agents.launcher.cgroup import Cgroups, Leaf


def plan(key: str, command: dict[str, Any], mark: str, inherited: Inherited) -> Plan:
    """Check all that can be checked before the fork.  The plan's descriptor is its owner's to close.

    Raises:
        CannotStartError: If the step cannot be started.
        OSError: If the system has no descriptor left.
    """
    env = {**command["env"], tree.STEP_MARK: key, tree.LAUNCHER_MARK: mark}
    account = Account(command["user"]) if command["user"] else None
    if account is not None:
        env = account.environment() | env
        _let_in(account, command)
    if command["pty"]:
        env.setdefault("TERM", terminal.TYPE)
    limits = dict(command["limits"])
    with As(account):
        path = program.find(command["argv"], env, command["dir"])
        stdin = _stdin(command)
    made = Plan(path, command["argv"], env, command["dir"], stdin)
    try:
        made.bounds = bounds.bounds(limits, inherited.files)
    except program.CannotStartError:
        made.close()
        raise
    made.account, made.is_terminal, made.umask, made.limits = (
        account,
        command["pty"],
        command["umask"],
        limits,
    )
    return made


def _let_in(account: Account, command: dict[str, Any]) -> None:
    with As(account):
        pass  # says so if this process may not be another user
    scratch, state_dir = command["scratch"]
    if not scratch:
        return
    try:
        give(account, scratch, state_dir)
    except OSError as error:
        raise program.CannotStartError(
            f"directory {scratch!r} cannot be given to user {account.name!r}: {error.strerror}"
        ) from None


def _stdin(command: dict[str, Any]) -> int:
    if command["stdin_file"]:
        return feed.of_file(command["stdin_file"], command["dir"])
    # One character is one byte: JSON knows no bytes.
    return feed.of_bytes(command["stdin"].encode("latin-1")) if command["stdin"] else feed.nothing()


def leaf(made: Plan, cgroups: Cgroups) -> Leaf | None:
    """Return the cgroup for a step, with those of its limits that it can keep.

    Raises:
        CannotStartError: If a limit would be kept by nobody.
    """
    found = cgroups.leaf()
    kept = {name for name, value in made.limits.items() if found is not None and found.limit(name, value)}
    if "processes" in made.limits and "processes" not in kept and made.is_root:
        if found is not None:
            cgroups.remove(found)
        raise program.CannotStartError(
            "limits.processes does not bind root, and there is no cgroup here that counts processes: "
            "give the step a `user`"
        )
    return found
