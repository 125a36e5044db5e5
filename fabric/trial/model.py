"""A trial as the rest of the program knows it: read, checked, with every default filled in."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fabric.trial.diagnostics import Diagnostic

Verb = Literal["cmd", "spawn"]
OnFail = Literal["stop", "continue"]
When = Literal["always", "passed", "failed"]
OnLost = Literal["stop", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """One step of a role; every node of the role runs it.  Durations are seconds."""

    phase: str
    role: str
    label: str  # unique within its phase
    line: int  # of the trial file, from 1
    verb: Verb
    argv: tuple[str, ...]  # a command line in sh is ("/bin/sh", "-c", line)
    env: Mapping[str, str]  # as written: `$name` is expanded for each node
    dir: str | None  # as written; None: the run's scratch directory on the node
    timeout_s: float | None  # None for a spawned step
    at_s: float | None  # after the go of the phase
    until: str | None  # phase at whose beginning a spawned step ends; None for a cmd
    ok: tuple[int, ...]  # exit codes that are success
    on_fail: OnFail
    when: When
    signal: int
    grace_s: float  # between the signal and KILL

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        return self.argv[2] if self.argv[:2] == ("/bin/sh", "-c") else shlex.join(self.argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to do and on which nodes.  Durations are seconds."""

    path: str  # as the user named the file
    text: str  # of the file
    name: str
    repeat: int
    timeout_s: float | None  # of the whole run; None: no limit but those of the steps
    max_skew_s: float | None  # None: any skew is accepted
    lead_s: float | None  # None: computed
    on_lost: OnLost
    roles: Mapping[str, tuple[str, ...]]  # nodes by role, both in the order of the file
    steps: tuple[TrialStep, ...]  # phase by phase; a role's in their order
    warnings: tuple[Diagnostic, ...] = ()

    def step(self, phase: str, role: str, label: str) -> TrialStep:
        """Return a step by its name.

        Raises:
            KeyError: If there is none.
        """
        for step in self.steps:
            if (step.phase, step.role, step.label) == (phase, role, label):
                return step
        raise KeyError(f"{phase}/{role}/{label}")

    def describe(self, step: TrialStep, node: str) -> str:
        """Return what a message about a step at run time begins with.

        ``trial.toml:12: run/client step client-1 on lab3``
        """
        return f"{self.path}:{step.line}: {step.phase}/{step.role} step {step.label} on {node}"
