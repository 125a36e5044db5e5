"""What an agent looks at on its node for a step: its port, its file, and before a phase what it needs.

Who listens on a port counts for a step if it is of the step's own process tree, or of nobody's that this
agent knows: a daemon may leave the tree of who starts it.  Another step's listener does not.
"""

import os
from pathlib import Path

from agents import listeners
from agents.effects import Wanted
from agents.launcher import account, program
from fabric.protocol.messages import Step


def shows_ready(key: str, step: Step, pid: int, directory: Path) -> tuple[str, str]:
    """Return what shows that a step is ready, or "" and what is there instead.

    Args:
        key: Of the attempt.
        step: What is to be ready.
        pid: Of its program.
        directory: In which it runs.
    """
    when = step.ready
    if when is None or when.port is None:
        path = directory / (when.file if when else "")
        return (f"file {path} is there", "") if path.exists() else ("", "")
    found = listeners.listeners(when.port)
    if not found:
        return "", ""
    others: list[listeners.Listener] = []
    for one in listeners.owned(found, below=pid):
        if listeners.step_of(one.pid) in ("", key):
            return f"{one} listens", ""
        others.append(one)
    return "", f"but {others[0]}, which is another step's"


def foreign_listener(port: int, runs: str) -> str:
    """Return who listens on a port without being a step of this run; "" if nobody does.

    Args:
        port: To look at.
        runs: How the keys of the run's steps begin.
    """
    for one in listeners.owned(listeners.listeners(port)):
        if not one.pid or not listeners.step_of(one.pid).startswith(runs):
            return str(one)
    return ""


def port_is_taken(step: Step, run: str) -> str:
    """Return the sentence that says that a step's port is another's already; "" if it is not."""
    if step.ready is None or step.ready.port is None:
        return ""
    other = foreign_listener(step.ready.port, f"{run}|")
    if not other:
        return ""
    return f"port {step.ready.port}, which is to show it ready, is taken already: {other}"


def why_not(wanted: Wanted, run: str, env: dict[str, str], scratch: Path) -> str:
    """Return why a step cannot be done here, in a sentence; "" if nothing speaks against it.

    Args:
        wanted: The step, and what to look for.
        run: Its run.
        env: The complete environment.
        scratch: Directory of the run, to which those of steps are relative.
    """
    step = wanted.step
    if wanted.account:
        try:
            account.Account(step.user)
        except program.CannotStartError as error:
            return str(error)
    if wanted.place:
        directory = scratch / (step.dir or "")
        try:
            program.find(list(step.argv), env, os.fspath(directory))
        except program.CannotStartError as error:
            return str(error)
        if step.stdin_file and not (directory / step.stdin_file).exists():
            return f"there is no file {step.stdin_file!r:.200} for its input"
    return port_is_taken(step, run) if wanted.port else ""
