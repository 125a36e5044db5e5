"""From the words of an arm command to what a child needs, or to the sentence that says why it cannot be."""

# Importing pathlib costs this process 1 MB and 10 ms.
# ruff: noqa: PTH118, PTH119

from __future__ import annotations

import os

from agents.launcher import bounds, feed, program, shellwords, terminal, tree
from agents.launcher.account import Account, As, give
from agents.launcher.child import Inherited, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agents.launcher.cgroup import Cgroups, Leaf


def plan(key: str, command: dict[str, Any], mark: str, inherited: Inherited, *, directly: bool) -> Plan:
    """Check all that can be checked before the fork.  The plan's descriptor is its owner's to close.

    With ``directly`` the program of a line of shell is executed itself, where that is the same.

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
        argv = command["argv"]
        sought = [command.get("program") or argv[0], *argv[1:]] if argv else argv
        path = program.find(sought, env, command["dir"])
        direct = _without_shell(argv, env, command["dir"]) if directly else None
        stdin = _stdin(command)
    if direct is not None:
        path, argv, env = direct
    made = Plan(path, argv, env, command["dir"], stdin)
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


def _without_shell(
    argv: list[str], env: dict[str, str], directory: str
) -> tuple[str, list[str], dict[str, str]] | None:
    """Return path, words and environment that a line of shell comes to; None if that takes the shell.

    What is not found, or is no program by itself, is left to the shell, which has its own way with it.  Only
    dash is known well enough: it sets PWD, and no more.
    """
    if argv[:2] != shellwords.SHELL or len(argv) != len(shellwords.SHELL) + 1 or "PWD" in env:
        return None
    if os.path.basename(os.path.realpath(argv[0])) != "dash" or "%" in env.get("PATH", "%"):
        return None
    words = shellwords.words(argv[-1], env)
    try:
        path = program.find(words, env, directory) if words else ""
    except program.CannotStartError:
        return None
    if not words or not program.is_executed_alone(os.path.join(directory, path)):
        return None
    return path, words, env | {"PWD": os.path.realpath(directory)}


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
