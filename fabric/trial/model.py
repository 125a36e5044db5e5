"""A trial as the rest of the program knows it: read, checked, with every default filled in."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fabric.trial.diagnostics import Diagnostic

Verb = Literal["cmd", "spawn", "put", "fetch", "stop", "wait"]
OnFail = Literal["stop", "continue"]
When = Literal["always", "passed", "failed"]
OnLost = Literal["stop", "continue"]


Across = Literal["mean", "sum", "min", "max", "median"]
Better = Literal["higher", "lower"]
Order = Literal["interleaved", "sequential", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyCondition:
    """When a spawned step is ready; exactly one of the conditions is set."""

    port: int | None = None
    log: str = ""  # regular expression
    cmd: tuple[str, ...] = ()
    file: str = ""  # as written: `$name` is expanded for each node
    within_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSource:
    """What a put takes from beside the trial file, and where it goes on the node."""

    source: str  # file, directory or glob
    target: str | None  # as written; None: into the step's directory, under its own name


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A number that a step yields."""

    name: str
    line: int
    regex: str = ""  # of `regex` and `json` exactly one is set
    json: str = ""
    file: str = ""  # as written; "": the step's output
    unit: str = ""
    better: Better | None = None
    across: Across = "mean"  # over the nodes of the role


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """What a metric has to be in every repeat that counts."""

    metric: str
    kind: Literal["min", "max", "equals"]
    line: int
    limit: float  # in the unit of the metric
    text: str  # as written, with its unit


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
    spread_s: float = 0.0  # the nodes of the role start evenly over it
    attempts: int = 1
    retry_on: Literal["error", "fail"] = "error"
    may_exit: bool = False
    ready: ReadyCondition | None = None
    user: str = ""
    pty: bool = False
    stdin: str | None = None
    stdin_file: str = ""  # as written
    limits: Mapping[str, int] = field(default_factory=dict)
    output: Literal["keep", "drop"] = "keep"
    put: tuple[PutSource, ...] = ()
    fetch: tuple[str, ...] = ()  # patterns, as written
    stop: str = ""  # label of a step that was spawned before
    wait_s: float = 0.0
    metrics: tuple[MetricSpec, ...] = ()
    origin: str = ""  # `file:line` of an imported step; "": the trial's own file and line

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        return self.argv[2] if self.argv[:2] == ("/bin/sh", "-c") else shlex.join(self.argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFile:
    """A file that an imported trial was made of."""

    name: str  # in the bundle
    content: bytes


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
    phases: tuple[str, ...] = ("startup", "run", "collect", "reset")  # of a repeat, the reset last
    cycle: tuple[str, ...] = (
        "startup",
        "run",
        "collect",
        "reset",
    )  # those that are done anew for each repeat
    warmup: int = 0  # repeats of each cell before those that count
    seed: int | None = None  # None: one is drawn
    quorum: float = 1.0  # part of each role's nodes without which nothing starts
    distinct: tuple[str, ...] = ()
    pairing: tuple[str, ...] = ()
    order: Order = "interleaved"
    network: str = ""
    output_limit_bytes: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)  # as written
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    checks: tuple[CheckSpec, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    files: tuple[TrialFile, ...] = ()  # of an imported trial: what it was made of
    names: Mapping[str, str] = field(default_factory=dict)  # ... what its roles are called there
    addresses: Mapping[str, str] = field(default_factory=dict)  # ... by node: what it is called there
    sets: tuple[str, ...] = ()  # other values for variables, as `set_variables` took them

    def step(self, phase: str, role: str, label: str) -> TrialStep:
        """Return a step by its name.

        Raises:
            KeyError: If there is none.
        """
        for step in self.steps:
            if (step.phase, step.role, step.label) == (phase, role, label):
                return step
        raise KeyError(f"{phase}/{role}/{label}")

    def place(self, step: TrialStep) -> str:
        """Return where a step is written, as editors and CI read it: ``trial.toml:12``."""
        return step.origin or f"{self.path}:{step.line}"

    def describe(self, step: TrialStep, node: str) -> str:
        """Return what a message about a step at run time begins with.

        ``trial.toml:12: run/client step client-1 on lab3``
        """
        return f"{self.place(step)}: {step.phase}/{step.role} step {step.label} on {node}"
