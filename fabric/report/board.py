"""PURE.  What every node is doing now: the state behind the table of the live view."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from fabric.controller.entry import Read
from fabric.protocol.names import StepId
from fabric.protocol.records import (
    MetricMissing,
    Output,
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    Record,
    RepeatStarted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from fabric.report.progress import Progress

SAMPLE_NS: Final = 500_000_000
"""Rates are of at least so long a stretch; a shorter one would flicker between nothing and much."""

_OLD_PART: Final = 0.5
"""So much of the rate before stays in the next one."""

_LAST_BYTES: Final = 512

State = Literal["", "waiting", "running", "done", "failed"]


@dataclass(slots=True)
class Rate:
    """Counts, and how fast they grow."""

    count: int = 0
    per_s: float = 0.0
    _sampled: int = 0

    def sample(self, elapsed_ns: int) -> None:
        """Take in that so much time has gone by since the last call."""
        now = (self.count - self._sampled) * 1e9 / elapsed_ns
        before, self._sampled = self.per_s, self.count
        self.per_s = _OLD_PART * before + (1 - _OLD_PART) * now
        if self.per_s < 0.5 and now == 0:  # noqa: PLR2004 - nothing comes any more
            self.per_s = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """A step that runs on a node."""

    phase: str
    label: str
    since_ns: int


@dataclass(slots=True)
class NodeState:
    """A node in the present repeat."""

    name: str
    running: dict[tuple[str, int], Running] = field(default_factory=dict)  # by step and attempt
    finished: dict[str, State] = field(default_factory=dict)  # by phase
    output_bytes: Rate = field(default_factory=Rate)
    output_lines: Rate = field(default_factory=Rate)
    last: bytes = b""  # the end of what it printed
    last_ns: int = 0

    def take_output(self, record: Output, data: bytes | memoryview) -> None:
        """Take output in."""
        self.output_bytes.count += record.size
        self.output_lines.count += bytes(data).count(b"\n")
        tail = bytes(data[-_LAST_BYTES:])
        if tail.strip():
            self.last, self.last_ns = tail, record.t_ns


@dataclass(slots=True)
class PhaseState:
    """A phase of the present repeat."""

    name: str
    t0_ns: int | None = None
    ended_ns: int | None = None
    failed: bool = False
    aborted: int = 0  # goes
    skew_ns: int | None = None
    skew_bound_ns: int | None = None


class Board:
    """Takes the records of a run in.  Instants are fabric time where they are not called ``now_ns``."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.nodes: dict[str, NodeState] = {}
        self.phases: dict[str, PhaseState] = {}
        self._repeat = ""
        self._offset_ns: int | None = None  # fabric time minus the caller's clock
        self._sampled_ns: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is something to show."""
        return bool(self.nodes)

    def t_ns(self, now_ns: int) -> int:
        """Return the fabric time of an instant of the caller's clock, as far as the records tell."""
        return now_ns + (self._offset_ns or 0)

    def take(self, read: Read, now_ns: int) -> None:
        """Take the next record in."""
        record = read.record
        if record.t_ns and not isinstance(record, PhaseStarted):  # which is of an instant to come
            offset_ns = record.t_ns - now_ns
            self._offset_ns = offset_ns if self._offset_ns is None else max(self._offset_ns, offset_ns)
        node = self.nodes.get(read.node)
        if isinstance(record, Output):
            if node is not None and record.size:
                node.take_output(record, read.data)
        elif node is not None:
            self._of_node(node, record)
        else:
            self._of_run(record)

    def sample(self, now_ns: int) -> None:
        """Bring the rates up to date, if that is due."""
        if self._sampled_ns is None:
            self._sampled_ns = now_ns
        elapsed_ns = now_ns - self._sampled_ns
        if elapsed_ns < SAMPLE_NS:
            return
        self._sampled_ns = now_ns
        for node in self.nodes.values():
            node.output_bytes.sample(elapsed_ns)
            node.output_lines.sample(elapsed_ns)

    def state(self, node: NodeState, phase: PhaseState) -> State:
        """Return what a node does in a phase."""
        finished = node.finished.get(phase.name)
        if finished is not None:
            return finished
        for step in node.running.values():
            if step.phase == phase.name:
                return "running"
        return "waiting" if phase.t0_ns is not None and phase.ended_ns is None else ""

    def _of_node(self, node: NodeState, record: Record) -> None:
        match record:
            case StepStarted():
                step = StepId.parse(record.step)
                node.running[record.step, record.attempt] = Running(step.phase, step.label, record.t_ns)
            case StepFinished():
                node.running.pop((record.step, record.attempt), None)
                if record.failed and not record.retried:
                    node.finished[StepId.parse(record.step).phase] = "failed"
            case PhaseFinished():
                name = record.phase.partition("/")[2]
                if record.failed or name not in node.finished:
                    node.finished[name] = "failed" if record.failed else "done"
            case _:
                pass

    def _of_run(self, record: Record) -> None:
        self.progress.take(record)
        match record:
            case RunStarted():
                self.nodes = {name: NodeState(name) for name in record.nodes}
                self._begin_repeat("", record.phases)
            case RepeatStarted():
                self._begin_repeat("", self.phases)
            case PhaseStarted():
                phase = self._phase(record.phase)
                phase.t0_ns, phase.ended_ns = record.t0_ns, None
            case MetricMissing() if (node := self.nodes.get(record.node)) is not None:
                node.finished[StepId.parse(record.step).phase] = "failed"
            case PhaseAborted():
                self._phase(record.phase).aborted += 1
            case PhaseEnded():
                phase = self._phase(record.phase)
                phase.ended_ns, phase.failed = record.t_ns, record.failed
                phase.skew_ns, phase.skew_bound_ns = record.skew_ns, record.skew_bound_ns
            case _:
                pass

    def _phase(self, phase_id: str) -> PhaseState:
        repeat, _, name = phase_id.partition("/")
        if self._repeat not in ("", repeat):
            self._begin_repeat(repeat, self.phases)
        self._repeat = repeat
        return self.phases.setdefault(name, PhaseState(name))

    def _begin_repeat(self, repeat: str, names: Iterable[str]) -> None:
        self._repeat = repeat
        self.phases = {name: PhaseState(name) for name in names}
        for node in self.nodes.values():
            node.finished.clear()
