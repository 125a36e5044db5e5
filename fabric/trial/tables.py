"""The tables of the format: their keys, what each may hold, and what it is for.

Checks that look at more than one key are in `settings` and `steps`.  The descriptions are what editors show.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fabric.trial.transfers import Fetch, Put, Stdin
from fabric.trial.values import (
    SIGNALS,
    Command,
    EnvValue,
    Filled,
    FineSeconds,
    JsonPath,
    Limit,
    Name,
    NodePath,
    Regex,
    RegexWithGroup,
    Seconds,
    SecondsOrZero,
    Signal,
    Size,
    Unit,
)
from fabric.trial.vocabulary import MAX_RETRIES

MAX_REPEAT: Final = 10_000
"""Most repeats of a trial: its bundle has a directory for each."""

MAX_PHASES: Final = 50
"""Most phases of a repeat: all nodes wait for each other before each of them."""

PERCENT: Final = r"^[0-9]{1,3}(\.[0-9]{1,9})? ?%$"
"""How a part of the nodes is written."""

_COUNT: Final = 1 << 31  # of files or processes: more than a kernel takes


def says(text: str, **more: Any) -> Any:
    """Return a field that is described; ``more`` is for pydantic's Field."""
    return Field(description=text, **more)


def _shown(text: str, default: str, **more: Any) -> Any:
    """As `says`, with the default as it is written in a file."""
    return Field(description=text, json_schema_extra={"default": default}, **more)


class Table(BaseModel):
    """A table with known keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class TrialTable(Table):
    """[trial]: what is to be done, how often, and within which limits."""

    name: Annotated[Name, says("Name of the trial; a part of each run's id.")]
    repeat: Annotated[int, says("How often each cell is done and counted.", ge=1, le=MAX_REPEAT)] = 1
    warmup: Annotated[int, says("Repeats of each cell before those that count.", ge=0, le=MAX_REPEAT)] = 0
    timeout: Annotated[Seconds | None, says("Limit of the whole run.")] = None
    max_skew: Annotated[
        FineSeconds | None, says("If nodes start a phase further apart, the verdict is invalid.")
    ] = None
    lead: Annotated[
        FineSeconds | None,
        says("Time between the broadcast of a go and the instant that it names; default: computed."),
    ] = None
    on_lost: Annotated[
        Literal["stop", "continue"], says("What a node does that has lost touch for too long.")
    ] = "stop"
    phases: Annotated[
        list[Name] | None,
        says(
            "The phases of a repeat, in their order; reset comes last, named or not.", max_length=MAX_PHASES
        ),
    ] = None
    cycle: Annotated[
        list[str] | None,
        says("Phases that each repeat does anew; those before and after come once per cell."),
    ] = None
    order: Annotated[
        Literal["interleaved", "sequential", "random"],
        says("Order of the repeats over the cells: A B A B, A A B B, or by the seed."),
    ] = "interleaved"
    seed: Annotated[
        int | None, says("Where chance begins; default: drawn and reported.", ge=0, lt=1 << 63)
    ] = None
    quorum: Annotated[
        str,
        says(
            "Part of each role's nodes that has to be there, as in 95%.",
            pattern=PERCENT,
        ),
    ] = "100%"
    distinct: Annotated[list[str], says("Matrix variables that differ from each other in every cell.")] = []
    pairing: Annotated[
        list[str], says("Two matrix variables whose order does not matter: of a-b and b-a, one.")
    ] = []
    network: Annotated[Name | None, says("Which of the nodes' addresses the commands get.")] = None
    output_limit: Annotated[
        Size | None,
        says("Most that is kept of one stream of one attempt; what is over makes the verdict invalid."),
    ] = None
    format: Annotated[Literal[1], says("Version of this format.")] = 1


class EnvTable(Table):
    """[env], as a part of the file."""

    env: Annotated[
        dict[str, EnvValue], says("Variables for every command of the trial.", default_factory=dict)
    ]


class CheckTable(Table):
    """What a metric has to be in every repeat that counts."""

    min: Annotated[Limit | None, says("It has to be at least this.", examples=["9 Gbit/s", 0.5])] = None
    max: Annotated[Limit | None, says("It has to be at most this.", examples=["50 ms", 0])] = None
    equals: Annotated[Limit | None, says("It has to be exactly this.", examples=[0, "100 %"])] = None


class ReadyTable(Table):
    """When a spawned step is ready: one of port, log, cmd and file."""

    port: Annotated[int | None, says("Someone listens on this TCP port of the node.", ge=1, le=65535)] = None
    log: Annotated[Regex | None, says("A line of its output matches this regular expression.")] = None
    cmd: Annotated[Command | None, says("This command succeeds.")] = None
    file: Annotated[NodePath | None, says("This file exists on the node.")] = None
    within: Annotated[Seconds, _shown("How long that may take.", "30s")] = 30.0


class LimitsTable(Table):
    """What a step may use of its node."""

    memory: Annotated[Size | None, says("Most memory of each process.")] = None
    files: Annotated[int | None, says("Most open files of each process.", ge=3, lt=_COUNT)] = None
    processes: Annotated[int | None, says("Most processes of the step's user.", ge=1, lt=_COUNT)] = None
    cpu: Annotated[Seconds | None, says("Most computing time of each process, in whole seconds.")] = None
    file_size: Annotated[Size | None, says("Largest file that it may write.")] = None
    core: Annotated[Size | None, says("Largest core dump; 0 B for none.")] = None


class MetricTable(Table):
    """Where a number is found: exactly one of regex and json, in the output or in a file."""

    regex: Annotated[
        RegexWithGroup | None, says("Its last match has the number in its one group: stdout, then stderr.")
    ] = None
    json_path: Annotated[
        JsonPath | None, says("Path in stdout as JSON, or in its last line that is JSON.", alias="json")
    ] = None
    file: Annotated[NodePath | None, says("Look in this file on the node, not in the output.")] = None
    unit: Annotated[Unit | None, says("What the number counts.", examples=["ms", "Gbit/s", "%"])] = None
    better: Annotated[Literal["higher", "lower"] | None, says("Which way is an improvement.")] = None
    across: Annotated[
        Literal["mean", "sum", "min", "max", "median"], says("How the nodes of the role become one number.")
    ] = "mean"


class StepTable(Table):
    """A step: one verb, and how it is to be done."""

    cmd: Annotated[Command | None, says("Run this and wait for its end: a line for sh, or a list.")] = None
    spawn: Annotated[Command | None, says("Run this in the background: a line for sh, or a list.")] = None
    put: Annotated[Put | None, says("Copy files or directories from beside the trial file to the node.")] = (
        None
    )
    fetch: Annotated[Fetch | None, says("Bring files or directories back: paths and patterns.")] = None
    stop: Annotated[Name | None, says("End the step of this name that was spawned before.")] = None
    wait: Annotated[Seconds | None, says("Do nothing for so long.")] = None
    name: Annotated[Name | None, says("Name of the step, unique in its phase; default: role and number.")] = (
        None
    )
    timeout: Annotated[Seconds | None, says("Limit of each attempt; default 1h.")] = None
    at: Annotated[SecondsOrZero | None, says("Not before this long after the go of the phase.")] = None
    spread: Annotated[Seconds | None, says("The nodes of the role start evenly over this time.")] = None
    until: Annotated[str | None, says("A spawned step lives until this phase begins.")] = None
    ready: Annotated[ReadyTable | None, says("When a spawned step counts as started.")] = None
    may_exit: Annotated[bool, says("A spawned step may end by itself, with any code.")] = False
    env: Annotated[dict[str, EnvValue], says("Variables for the program.", default_factory=dict)]
    dir: Annotated[NodePath | None, says("Where it runs; default: the run's own directory on the node.")] = (
        None
    )
    user: Annotated[Filled | None, says("Run it as this user of the node.")] = None
    pty: Annotated[bool, says("Give it a terminal; all its output is stdout then.")] = False
    stdin: Annotated[Stdin | None, says("What it reads: a text, or { file = a path on the node }.")] = None
    limits: Annotated[LimitsTable, says("What it may use.", default_factory=LimitsTable)]
    output: Annotated[
        Literal["keep", "drop"], says("drop: rather lose output than let the program wait.")
    ] = "keep"
    ok: Annotated[
        list[Annotated[int, Field(ge=0, le=255)]], says("Exit codes that are a success.", min_length=1)
    ] = [0]
    on_fail: Annotated[Literal["stop", "continue"], says("Whether a failure stops what follows.")] = "stop"
    retries: Annotated[int, says("Further attempts after a failed one.", ge=0, le=MAX_RETRIES)] = 0
    retry_on: Annotated[
        Literal["error", "fail"],
        says("error: if it was not started, lost or not ready; fail: after any failure."),
    ] = "error"
    when: Annotated[
        Literal["always", "passed", "failed"] | None,
        says("Run it if nothing has failed, only if something has, or always."),
    ] = None
    signal: Annotated[Signal, _shown("How it is asked to end.", "TERM")] = SIGNALS["TERM"]
    grace: Annotated[SecondsOrZero, _shown("So long after the signal what is left is killed.", "5s")] = 5.0
    metric: Annotated[dict[str, MetricTable], says("Numbers that it yields, by name.", default_factory=dict)]


INNER_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "ready": ReadyTable,
    "limits": LimitsTable,
    "metric": MetricTable,
}
"""Tables within a step; those of `metric` have a name between."""
