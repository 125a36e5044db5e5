"""What is stored, for readers."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fabric.protocol.numbers import Count, Instant, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Reader to broker: entries from ``number`` on, up to ``limit_bytes``."""

    kind: ClassVar[str] = "replay"

    request: Count
    run: str
    number: Whole
    limit_bytes: Whole
    without_bytes: bool = False  # entries come with an empty last frame: only what happened is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEnd:
    """Broker to reader, after the entries of a `Replay`, each of which comes as head, batch and bytes."""

    kind: ClassVar[str] = "replay_end"

    request: Count
    run: str
    next: Count  # number from which to ask on
    end: bool  # nothing more is stored now


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Part of `Runs`."""

    run: str
    name: str
    state: Literal["open", "closed"]
    verdict: str
    operator: str
    opened_ns: Instant
    closed_ns: Instant  # 0: open
    nodes: tuple[str, ...]
    last: Count  # number of the last record
    heard_ns: Instant = (
        0  # when the controller of an open run was last heard of, as `Runs` tells it; 0: not told
    )
    size_bytes: Count = 0  # of its records on the disk of the broker; 0: not told


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsRequest:
    """Operator or viewer to broker: the newest runs, or the one whose id is or begins with ``run``."""

    kind: ClassVar[str] = "runs_request"

    request: Count
    run: str = ""
    limit: Whole = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Broker to operator, newest first.  Answers `RunsRequest`.

    Where runs have very many nodes, older ones come without their names.
    """

    kind: ClassVar[str] = "runs"

    request: Count
    runs: tuple[RunInfo, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseInfo:
    """Part of `RunDetails`: one go of a phase.  Instants are fabric time."""

    phase: str  # repeat/phase
    go: Count  # 0: it ended without a go
    t0_ns: Instant
    lead_ns: Instant
    skew_ns: Instant | None
    skew_bound_ns: Instant | None
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
    attempt: Count
    reason: str
    exit_code: Whole | None
    signal: Whole | None
    started_ns: Instant | None
    finished_ns: Instant | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Operator or viewer to broker: all that the catalogue has of one run, by its whole id."""

    kind: ClassVar[str] = "run_request"

    request: Count
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """Broker to operator.  Answers `RunRequest`."""

    kind: ClassVar[str] = "run_details"

    request: Count
    info: RunInfo
    phases: tuple[PhaseInfo, ...]  # the last ones
    failed: tuple[StepInfo, ...]  # the first steps that failed
    phase_count: Count  # in all
    step_count: Count
    failed_count: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRequest:
    """Operator or viewer to broker: a text that is stored with a run, from a byte on."""

    kind: ClassVar[str] = "document_request"

    request: Count
    run: str
    document: Literal["trial", "plan", "result"]
    offset: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Broker to operator: a part of a text in UTF-8.  Answers `DocumentRequest`."""

    kind: ClassVar[str] = "document"

    request: Count
    data: bytes
    size: Count  # of the whole text; 0: there is none (yet)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    """Operator to broker: delete a closed run with its records.  May be repeated."""

    kind: ClassVar[str] = "delete_run"

    request: Count
    run: str


ReadingMessage = (
    Replay | ReplayEnd | RunsRequest | Runs | RunRequest | RunDetails | DocumentRequest | Document | DeleteRun
)
