"""PURE.  What the parts of a run share: whom it works with, what was asked, what was found."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fabric.controller.belonging import Belonging
from fabric.controller.doubts import Doubts
from fabric.controller.effects import Effect, Note, Tell
from fabric.controller.entry import Read
from fabric.controller.history import History
from fabric.controller.measures import Measured, Measures
from fabric.controller.outbox import Outbox
from fabric.controller.plan import RunPlan
from fabric.controller.quorum import lacking
from fabric.controller.verdict import Findings
from fabric.protocol.messages import Message, Step
from fabric.protocol.records import Notice
from fabric.timing.offset import Known
from fabric.trial.cells import Cell, Repeat

SPARED: Final = "; the quorum holds without it"
"""Ends what is said of a node that was given up and does not matter; its name is the first word."""


@dataclass(slots=True)
class Progress:
    """Where the present repeat stands."""

    failed: bool = False  # a step has failed
    stopped: bool = False  # ... or a node was lost: steps that want success do not begin

    def stop(self) -> None:
        """Let steps that want success not begin any more in this repeat."""
        self.failed = self.stopped = True


@dataclass(slots=True)
class Desk:
    """Instants are nanoseconds of the controller's monotonic clock."""

    run: str
    plan: RunPlan
    outbox: Outbox = field(default_factory=Outbox)
    findings: Findings = field(default_factory=Findings)
    history: History = field(default_factory=History)
    progress: Progress = field(default_factory=Progress)
    alive: dict[str, None] = field(default_factory=dict)  # nodes that the run still has
    measures: Measures = field(init=False)
    doubts: Doubts = field(init=False)
    belonging: Belonging = field(init=False)
    done: list[tuple[Repeat, bool]] = field(default_factory=list)  # repeats, and whether they failed
    awaited: int = 0  # metrics of steps that have ended
    is_measuring: bool = True
    excluded: set[str] = field(default_factory=set)  # ... and that only reset, as the quorum allows
    spawned: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """By node: step, and the phases that end it."""
    heard_ns: dict[str, int] = field(default_factory=dict)  # last record of a node
    clock: Known | None = None
    failed_phases: set[str] = field(default_factory=set)  # in which something was not as it should be
    void_goes: set[tuple[str, int]] = field(default_factory=set)  # phase and number of goes that were aborted
    told_partial: set[tuple[str, str]] = field(default_factory=set)  # phase and node that began by one
    passes_over: bool = False  # not all of its records are read
    spared: set[str] = field(default_factory=set)  # nodes that were given up and the quorum holds without
    is_last_repeat: bool = False  # trouble: the present repeat is the last one

    def __post_init__(self) -> None:
        self.measures = Measures(self.plan.trial)
        self.doubts = Doubts(self.plan.trial.max_skew_s)
        self.belonging = Belonging(self.plan)

    def take(self, read: Read, *, is_own: bool = True) -> bool:
        """Take in the next record of the run; return whether it is one that may be, see `Belonging`."""
        if self.belonging.has(read, is_own=is_own):
            self.history.take(read)
            return True
        self.history.count(read)
        if why := self.belonging.why_not(read):
            self.findings.add("error", why)
        return False

    def nodes_of(self, cell: Cell) -> tuple[str, ...]:
        """Return the nodes of a cell that the run still has."""
        return tuple(node for node in self.plan.nodes_of(cell) if node in self.alive)

    def can_do_without(self, node: str) -> bool:
        """Whether the quorum holds without a node."""
        return not lacking(self.plan, self.alive.keys() - self.excluded - {node})

    def spare(self, node: str, sentence: str, now_ns: int) -> list[Effect]:
        """Note that the run goes on without a node, as if it had never had it, and say so."""
        self.spared.add(node)
        return self.notice(f"{sentence}{SPARED}", now_ns)

    def is_void(self, measured: Measured) -> bool:
        """Whether a metric is missing because its step was cut: then that is said already, and why."""
        end = self.history.finished.get((measured.node, measured.step, measured.attempt))
        is_cut = self.progress.stopped or self.findings.has("interrupted")
        return is_cut and measured.value is None and end is not None and end.reason == "stopped"

    def ask(self, key: Hashable, message: Message, now_ns: int) -> list[Effect]:
        """Send a message until it is answered."""
        return [Tell(message) for message in self.outbox.ask(key, message, now_ns)]

    def fabric(self, local_ns: int) -> tuple[int, int]:
        """Return fabric time and its bound for a local instant; bound -1 without a clock."""
        known = None if self.clock is None else self.clock.at(local_ns)
        if known is None:
            return 0, -1
        return local_ns + known.offset_ns, known.bound_ns

    def note_spawned(self, node: str, steps: Iterable[Step], over: Iterable[str]) -> None:
        """Note what runs in the background from now on, and what does not any more."""
        lives = self.spawned.setdefault(node, {})
        for name in over:
            del lives[name]
        for step in steps:
            source = self.plan.source(step.step)
            if step.verb == "spawn" and source is not None:
                lives[step.step] = self.plan.ends(source)

    def notice(self, words: str, now_ns: int) -> list[Effect]:
        """Tell people of something."""
        t, bound = self.fabric(now_ns)
        return [Note(Notice(t_ns=t, bound_ns=bound, level="warning", message=words))]

    def quiet_ns(self, nodes: list[str], now_ns: int) -> int | None:
        """Return since when the one of these nodes that was heard last is quiet; None for no nodes."""
        return min((now_ns - self.heard_ns.get(node, 0) for node in nodes), default=None)
