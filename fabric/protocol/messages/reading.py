"""What is stored, for readers."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Reader to broker: entries from ``number`` on, up to ``limit_bytes``."""

    kind: ClassVar[str] = "replay"

    request: int
    run: str
    number: int
    limit_bytes: int
    without_bytes: bool = False  # entries come with an empty last frame: only what happened is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEnd:
    """Broker to reader, after the entries of a `Replay`, each of which comes as head, batch and bytes."""

    kind: ClassVar[str] = "replay_end"

    request: int
    run: str
    next: int  # number from which to ask on
    end: bool  # nothing more is stored now


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Part of `Runs`."""

    run: str
    name: str
    state: Literal["open", "closed"]
    verdict: str
    operator: str
    opened_ns: int
    closed_ns: int  # 0: open
    nodes: tuple[str, ...]
    last: int  # number of the last record
    heard_ns: int = 0  # when the controller of an open run was last heard of, as `Runs` tells it; 0: not told
    size_bytes: int = 0  # of its records on the disk of the broker; 0: not told


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsRequest:
    """Operator or viewer to broker: the newest runs, or the one whose id is or begins with ``run``."""

    kind: ClassVar[str] = "runs_request"

    request: int
    run: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Broker to operator, newest first.  Answers `RunsRequest`.

    Where runs have very many nodes, older ones come without their names.
    """

    kind: ClassVar[str] = "runs"

    request: int
    runs: tuple[RunInfo, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseInfo:
    """Part of `RunDetails`: one go of a phase.  Instants are fabric time."""

    phase: str  # repeat/phase
    go: int  # 0: it ended without a go
    t0_ns: int
    lead_ns: int
    skew_ns: int | None
    skew_bound_ns: int | None
    failed: bool | None  # None: not over
    earliest_node: str = ""
    latest_node: str = ""
    delayed_by: str = ""  # what made the latest node the latest, in a sentence
    way: str = ""  # how the programs were held until their start


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """Part of `RunDetails`: an attempt of a step that failed."""

    node: str
    step: str
    attempt: int
    reason: str
    exit_code: int | None
    signal: int | None
    started_ns: int | None
    finished_ns: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Operator or viewer to broker: all that the catalogue has of one run, by its whole id."""

    kind: ClassVar[str] = "run_request"

    request: int
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """Broker to operator.  Answers `RunRequest`."""

    kind: ClassVar[str] = "run_details"

    request: int
    info: RunInfo
    phases: tuple[PhaseInfo, ...]  # the last ones
    failed: tuple[StepInfo, ...]  # the first steps that failed
    phase_count: int  # in all
    step_count: int
    failed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRequest:
    """Operator or viewer to broker: a text that is stored with a run, from a byte on."""

    kind: ClassVar[str] = "document_request"

    request: int
    run: str
    document: Literal["trial", "plan", "result"]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Broker to operator: a part of a text in UTF-8.  Answers `DocumentRequest`."""

    kind: ClassVar[str] = "document"

    request: int
    data: bytes
    size: int  # of the whole text; 0: there is none (yet)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    """Operator to broker: delete a closed run with its records.  May be repeated."""

    kind: ClassVar[str] = "delete_run"

    request: int
    run: str


ReadingMessage = (
    Replay | ReplayEnd | RunsRequest | Runs | RunRequest | RunDetails | DocumentRequest | Document | DeleteRun
)
