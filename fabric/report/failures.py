"""PURE.  Steps that failed, put together where many nodes failed alike."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fabric.controller.desk import SPARED
from fabric.controller.entry import Read
from fabric.protocol.names import StepId
from fabric.protocol.records import MetricMissing, Notice, StepFinished
from fabric.report.events import step_of
from fabric.report.recent import Line, Recent, Words
from fabric.report.sentences import ending

WAIT_NS: Final = 500_000_000
"""After the first failure others are waited for: what fails on a hundred nodes is told once."""

TOLD: Final = 5
"""So many different failures are told in full while the run goes on; there is a line for each in any case."""

KEPT: Final = 20
"""So many different failures are kept for the summary; all of them are in result.json."""

WORDS: Final = 20
"""Most lines of the others."""


@dataclass(slots=True)
class Failure:
    """A step that failed on some nodes in one way."""

    step: StepId  # of the first one
    node: str  # the first one
    attempt: int
    t_ns: int
    how: str  # "exit 1 after 2.1 s"
    lines: tuple[Line, ...]  # the first one's last words
    others: list[Words]  # what other nodes said before
    nodes: list[str] = field(default_factory=list)
    repeats: set[str] = field(default_factory=set)
    told: bool = False


class Failures:
    """Collects.  ``now_ns`` is on one monotonic clock, the caller's."""

    def __init__(self) -> None:
        self.more = 0
        """Failures of which nothing but a line was told."""
        self._recent = Recent()
        self._by_kind: dict[Hashable, Failure] = {}
        self._spared: set[str] = set()  # nodes that were given up and do not matter
        self._due_ns: int | None = None

    @property
    def deadline_ns(self) -> int | None:
        """When to ask for `news`."""
        return self._due_ns

    @property
    def all(self) -> tuple[Failure, ...]:
        """What failed so far."""
        return tuple(self._by_kind.values())

    def take(self, read: Read, now_ns: int) -> None:
        """Take the next record in."""
        self._recent.take(read)
        record = read.record
        if isinstance(record, Notice) and not read.node and record.message.endswith(SPARED):
            self._spared.add(record.message.partition(" ")[0])
        elif isinstance(record, StepFinished) and record.failed and not record.retried:
            if record.reason == "lost" and read.node in self._spared:
                return  # what the quorum does without is said already, and fails nothing
            kind = (record.reason, record.exit_code, record.signal)
            self._failed(read.node, record, kind, ending(record), now_ns)
        elif isinstance(record, MetricMissing):
            how = f"metric {record.name}: {record.why}"
            self._failed(record.node, record, ("metric", record.name), how, now_ns)

    def news(self, now_ns: int) -> Iterable[Failure]:
        """Return the failures that are to be told now."""
        if self._due_ns is None or now_ns < self._due_ns:
            return []
        return self.rest()

    def rest(self) -> list[Failure]:
        """Return those that were not told yet: the run is over."""
        self._due_ns = None
        told = sum(failure.told for failure in self.all)
        fresh = [failure for failure in self.all if not failure.told][: max(0, TOLD - told)]
        for failure in fresh:
            failure.told = True
            nodes = set(failure.nodes)
            words = (words for words in self._recent.words(failure.t_ns) if words.node not in nodes)
            failure.others = list(words)[-10 * WORDS :]
        return fresh

    def _failed(
        self, node: str, end: StepFinished | MetricMissing, how_kind: Hashable, how: str, now_ns: int
    ) -> None:
        step = step_of(end)
        if step is None:
            return
        kind = (step.phase, step.role, step.label, how_kind)
        failure = self._by_kind.get(kind)
        if failure is None:
            if len(self._by_kind) >= KEPT:
                self.more += 1
                return
            lines = self._recent.lines(node, end.step, end.attempt)
            failure = Failure(step, node, end.attempt, end.t_ns, how, lines, [])
            self._by_kind[kind] = failure
            if len(self._by_kind) <= TOLD and self._due_ns is None:
                self._due_ns = now_ns + WAIT_NS
        if node not in failure.nodes:
            failure.nodes.append(node)
        failure.repeats.add(step.repeat_id)
