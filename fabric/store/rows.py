"""What the catalogue tells that no message does."""

from dataclasses import dataclass

from fabric.protocol.messages import NodeInfo, RunInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """A node as it was when it said hello last."""

    instance: str
    info: NodeInfo  # "busy" if it is reserved, else "away": whether it is there only the living broker knows


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """All that is kept of a run besides its records."""

    info: RunInfo
    session: str  # of the controller that opened it
    lease_s: float
    trial: str  # the file's text
    plan: str  # JSON
    result: str  # JSON; "" while the run is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Who has a node, since when: enough for a sentence to the next who wants it."""

    node: str
    run: str
    name: str  # of the trial
    operator: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPhase:
    """One go of a phase.  ``failed`` is None until all nodes have finished."""

    phase: str  # repeat/phase
    go: int  # 0: it ended without a go
    t0_ns: int
    lead_ns: int
    skew_ns: int | None
    skew_bound_ns: int | None
    failed: bool | None
    earliest_node: str | None = None  # None, as the next ones: it has no skew
    latest_node: str | None = None
    delayed_by: str | None = None
    way: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """One attempt of a step.  ``reason``: None until it is over; "skipped" (attempt 0) if it was not run."""

    node: str
    step: str
    attempt: int
    reason: str | None
    failed: bool | None
    exit_code: int | None
    signal: int | None
    started_ns: int | None
    finished_ns: int | None
    message: str
