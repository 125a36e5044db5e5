"""Holds steps against the node's policy: before a phase all of them, and each thing again when it is done.

What counts is where a path leads in the end.  The program that is found then is the one that is executed, and
a file is looked at when it is open, so nobody can put another one in its place in between.
"""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from agents.launcher import program
from agents.policy import MAGIC, Policy
from agents.step_run import PROGRAMS
from fabric.protocol.messages import Assign, Prepare, Refused, Step
from fabric.protocol.names import StepId
from fabric.protocol.shared_env import merge
from fabric.trees import real_path

MOST_TOLD: Final = 10
"""Refusals of one phase that are told in full."""

Environment = Callable[[Step], Mapping[str, str]]


class NotAllowedError(program.CannotStartError):
    """A sentence that says which rule of the node's policy forbids something."""


class Policing:
    """Asks the file system where paths lead."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._own_user = _name_of(os.geteuid())

    def facts(self) -> dict[str, str]:
        """Return what the node tells of its policy."""
        return self._policy.facts(self._own_user, os.path.realpath)

    # --- before a phase ---------------------------------------------------------------------------------

    def refusal(self, message: Assign | Prepare, scratch: Path, environment: Environment) -> Refused | None:
        """Return why a node does not take its part, or a phase of it; None if it may.

        Args:
            message: That tells its steps.
            scratch: Directory of the run on this node.
            environment: Returns the complete environment of a step.
        """
        if self._policy.is_open:
            return None
        is_assign = isinstance(message, Assign)
        steps = merge(message.env, message.reset if isinstance(message, Assign) else message.steps)
        found = [(step.step, why) for step in steps for why in self._all_whys(step, scratch, environment)]
        if not found:
            return None
        phase = "" if isinstance(message, Assign) else message.phase
        is_whole = is_assign or phase.endswith("/reset")  # then it is about the node: it cannot clean up
        return Refused(
            run=message.run,
            node=message.node,
            phase=phase,
            step="" if is_whole else found[0][0],
            sentence=together(found, is_whole=is_whole),
        )

    def _all_whys(self, step: Step, scratch: Path, environment: Environment) -> Iterator[str]:
        try:
            yield from self._whys(step, scratch, environment)
        except NotAllowedError as error:
            yield str(error)

    def _whys(self, step: Step, scratch: Path, environment: Environment) -> Iterator[str]:
        directory = scratch / (step.dir or "")
        if step.verb in PROGRAMS:
            yield from self._about_program(step, scratch, environment)
        elif step.verb == "put":
            for file in step.files:
                target = _real(directory / file.path, parent_only=True)
                if why := self.why_not_written(target, scratch):
                    yield f"it would put a file at {target}: {why}"
        for pattern in (*step.paths, *step.bring):
            if why := self._why_no_fetch(directory, pattern, scratch):
                yield why

    def _about_program(self, step: Step, scratch: Path, environment: Environment) -> Iterator[str]:
        commands = [step.argv, step.ready.cmd] if step.ready and step.ready.cmd else [step.argv]
        for argv in commands:
            one = replace(step, argv=argv, stdin_file=step.stdin_file if argv is step.argv else "")
            try:
                self.held(one, scratch, environment(one))
            except NotAllowedError as error:
                yield str(error)
            except program.CannotStartError:
                continue  # an earlier step may make it; it is looked at again when it is armed
        if step.ready and step.ready.file:
            path = _real(scratch / (step.dir or "") / step.ready.file)
            if why := self.why_not_read(path, scratch):
                yield f"ready.file is {path}: {why}"

    def _why_no_fetch(self, directory: Path, pattern: str, scratch: Path) -> str:
        parts = pattern.split("/")
        plain = next((index for index, part in enumerate(parts) if MAGIC & set(part)), len(parts))
        path = _real(directory / ("/".join(parts[:plain]) or ("/" if pattern.startswith("/") else "")))
        if plain == len(parts):
            why = self.why_not_read(path, scratch)
        elif _is_below(path, scratch) or self._policy.may_lie_below(path, os.path.realpath):
            why = ""  # what is found is looked at one by one
        else:
            why = self._policy.why_not_path(path, os.path.realpath)
        return f"it would read {path}: {why}" if why else ""

    # --- when it is done --------------------------------------------------------------------------------

    def held(self, step: Step, scratch: Path, env: Mapping[str, str]) -> tuple[str, str]:
        """Return the real paths of a step's program and of the file for its input; "" if there is none.

        Without rules both are "": they are looked for by who executes them.

        Raises:
            NotAllowedError: If a rule forbids it.
            CannotStartError: If there is no such program.
        """
        policy = self._policy
        if policy.is_open:
            return "", ""
        if why := policy.why_not_user(step.user or self._own_user):
            raise NotAllowedError(why + ("" if step.user else "; give it a `user`"))
        if not policy.paths:
            return "", ""
        directory = scratch / (step.dir or "")
        found = program.find(list(step.argv), dict(env), os.fspath(directory))
        path = _real(directory / found)
        if why := policy.why_not_path(path, os.path.realpath):
            raise NotAllowedError(f"it would execute {path}: {why}{_of_shell(step.argv)}")
        stdin = _real(directory / step.stdin_file) if step.stdin_file else ""
        if stdin and (why := self.why_not_read(stdin, scratch)):
            raise NotAllowedError(f"its input is {stdin}: {why}")
        return path, stdin

    def why_not_read(self, path: str, scratch: Path) -> str:
        """Return why a file must not be read; "" if it may.  The run's own directory is its own."""
        if not self._policy.paths or _is_below(path, scratch):
            return ""
        return self._policy.why_not_path(path, os.path.realpath)

    def why_not_written(self, path: str, scratch: Path) -> str:
        """Return why a put must not write there; "" if it may."""
        if _is_below(path, scratch):
            return ""
        if self._policy.only_scratch:
            return "this node allows puts into the run's own directory only (read_only_put)"
        return self._policy.why_not_path(path, os.path.realpath)


def together(found: Sequence[tuple[str, str]], *, is_whole: bool) -> str:
    """Say all that is refused; the first one's step is named by the message, unless it is about the node."""
    first = f"{_label(found[0][0])}: {found[0][1]}" if is_whole else found[0][1]
    rest = [f"{_label(step)}: {why}" for step, why in found[1:MOST_TOLD]]
    more = len(found) - MOST_TOLD
    return "; ".join([first, *rest, *([f"and {more} more"] if more > 0 else [])])


def _label(step: str) -> str:
    return f"step {StepId.parse(step).label}"


def _of_shell(argv: Sequence[str]) -> str:
    is_text = tuple(argv[:2]) == ("/bin/sh", "-c")
    return "; a text is run by the shell: write the command as a list, without it" if is_text else ""


def _real(path: Path, *, parent_only: bool = False) -> str:
    """Return where a path leads; of what is put, its directory, for a link there is replaced.

    Raises:
        NotAllowedError: If nobody can say it.
    """
    try:
        if parent_only:
            return os.path.join(real_path(path.parent), path.name)  # noqa: PTH118 - text goes on
        return real_path(path)
    except OSError as error:
        raise NotAllowedError(f"where {path} leads cannot be said: {error.strerror}") from None


def _is_below(path: str, scratch: Path) -> bool:
    real = os.path.realpath(scratch)
    return path == real or path.startswith(f"{real}/")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
