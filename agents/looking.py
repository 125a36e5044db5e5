"""What an agent looks at on its node for a step: its port, its file, and before a phase what it needs.

Who listens on a port counts for a step if it is of the step's own process tree, or of no step's: a daemon may
leave the tree of who starts it.  Another step's listener does not count, whichever agent's it is.
"""

import os
from pathlib import Path

from agents import listeners
from agents.effects import Wanted
from agents.launcher import account, program, starting
from fabric.protocol.messages import Step


class Looking:
    """Looks around for the steps of one agent; ``state_dir`` names its launcher, and so what is its own."""

    def __init__(self, state_dir: Path) -> None:
        self._mark = starting.mark_of(state_dir)

    def shows_ready(self, key: str, step: Step, pid: int, directory: Path) -> tuple[str, str]:
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
        seen = ""
        for one in listeners.owned(listeners.listeners(when.port), below=pid):
            owner = listeners.step_of(one.pid)
            if owner in (None, (self._mark, key)):
                return f"{one} listens", ""
            seen = f"but {one}, which is another step's"
        return "", seen

    def taken_port(self, step: Step, run: str) -> str:
        """Return the sentence that says that a step's port is another's already; "" if it is not.

        Another step of the same run on this node is to end, or is reported when this one is not ready.
        """
        if step.ready is None or step.ready.port is None:
            return ""
        for one in listeners.owned(listeners.listeners(step.ready.port)):
            mark, key = listeners.step_of(one.pid) or ("", "")
            if mark != self._mark or not key.startswith(f"{run}|"):
                return f"port {step.ready.port}, which is to show it ready, is taken already: {one}"
        return ""

    def why_not(self, wanted: Wanted, run: str, env: dict[str, str], scratch: Path) -> str:
        """Return why a step cannot be done here, in a sentence; "" if nothing speaks against it.

        Args:
            wanted: The step, and what to look for.
            run: Its run.
            env: The complete environment.
            scratch: Directory of the run, to which those of steps are relative.
        """
        step = wanted.step
        directory = scratch / (step.dir or "")
        try:
            if wanted.account:
                account.Account(step.user)
            if wanted.place:
                program.find(list(step.argv), env, os.fspath(directory))
        except program.CannotStartError as error:
            return str(error)
        if wanted.place and step.stdin_file and not (directory / step.stdin_file).exists():
            return f"there is no file {step.stdin_file!r:.200} for its input"
        return self.taken_port(step, run) if wanted.port else ""
