"""PURE.  What the records of a run have said so far."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from fabric.controller.entry import Read
from fabric.protocol.records import (
    Output,
    OutputDropped,
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    Record,
    RepeatEnded,
    RepeatStarted,
    RunStarted,
    StepFinished,
    StepSkipped,
    StepStarted,
)

LAST_BYTES: Final = 400
"""Of each stream so many of the last bytes are kept, to tell a person how a failed step ended."""

MAX_GAPS: Final = 8
"""Sorts of gaps of one stream that are told apart; an agent has fewer."""

StreamKey = tuple[str, str, int, str]  # node, step, attempt, stream


@dataclass(slots=True)
class History:
    """Counts, starts and ends, by node and step; memory grows with the steps, not with their output."""

    starts: dict[str, list[tuple[str, StepStarted]]] = field(default_factory=lambda: defaultdict(list))
    finished_nodes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    started: dict[tuple[str, str, int], StepStarted] = field(default_factory=dict)
    finished: dict[tuple[str, str, int], StepFinished] = field(default_factory=dict)
    skipped: dict[tuple[str, str], StepSkipped] = field(default_factory=dict)
    phases: list[PhaseStarted | PhaseAborted | PhaseEnded] = field(default_factory=list)
    repeats: list[RepeatStarted | RepeatEnded] = field(default_factory=list)
    run_started: RunStarted | None = None
    output_bytes: Counter[StreamKey] = field(default_factory=Counter)
    dropped: dict[StreamKey, list[OutputDropped]] = field(default_factory=dict)  # one for each sort of gap
    read_records: Counter[tuple[str, int]] = field(default_factory=Counter)  # by node and incarnation
    _last: dict[StreamKey, bytes] = field(default_factory=dict)

    def count(self, read: Read) -> None:
        """Take in that a record of the run was read."""
        self.read_records[read.node, read.incarnation] += 1

    def take(self, read: Read) -> None:
        """Take in the next record of the run."""
        self.count(read)
        record: Record = read.record
        match record:
            case Output():
                self._take_output(read.node, record, read.data)
            case OutputDropped():
                self._take_gap(read.node, record)
            case StepStarted():
                self.started[read.node, record.step, record.attempt] = record
                self.starts[record.step.rsplit("/", 2)[0]].append((read.node, record))
            case StepFinished():
                self.finished[read.node, record.step, record.attempt] = record
            case StepSkipped():
                self.skipped[read.node, record.step] = record
            case PhaseFinished():
                self.finished_nodes[record.phase].add(read.node)
            case RunStarted():
                self.run_started = record
            case RepeatStarted() | RepeatEnded():
                self.repeats.append(record)
            case PhaseStarted() | PhaseAborted() | PhaseEnded():
                self.phases.append(record)
            case _:
                pass

    def lacking(self, node: str, end: StepFinished) -> str:
        """Say which bytes of a finished step's output were not stored; "" if all were."""
        parts = []
        for stream, size in (("stdout", end.stdout_bytes), ("stderr", end.stderr_bytes)):
            key = (node, end.step, end.attempt, stream)
            stored = self.output_bytes[key]
            if stored + sum(gap.size for gap in self.dropped.get(key, ())) != size:
                parts.append(f"{stream} has {stored} of {size} bytes")
        return ", ".join(parts)

    def gaps(self, node: str, end: StepFinished) -> list[str]:
        """Say which bytes of a finished step's output were thrown away on the node, and why."""
        return [
            f"{gap.size} bytes of {stream} were not kept: {gap.why}"
            for stream in ("stdout", "stderr")
            for gap in self.dropped.get((node, end.step, end.attempt, stream), ())
        ]

    def _take_gap(self, node: str, record: OutputDropped) -> None:
        """Add a gap to those of the same reason: there may be thousands."""
        gaps = self.dropped.setdefault((node, record.step, record.attempt, record.stream), [])
        for place, gap in enumerate(gaps):
            if gap.why == record.why or place == MAX_GAPS - 1:
                gaps[place] = replace(gap, size=gap.size + record.size)
                return
        gaps.append(record)

    def last_line(self, node: str, step: str, attempt: int) -> str:
        """Return the last line that the step wrote, of stderr if there is one."""
        for stream in ("stderr", "stdout"):
            tail = self._last.get((node, step, attempt, stream), b"").rstrip()
            if tail:
                return tail.splitlines()[-1].decode(errors="replace")[-200:]
        return ""

    def _take_output(self, node: str, record: Output, data: bytes | memoryview) -> None:
        key = (node, record.step, record.attempt, record.stream)
        self.output_bytes[key] += record.size
        if record.size >= LAST_BYTES:
            self._last[key] = bytes(data[-LAST_BYTES:])
        elif record.size:
            self._last[key] = (self._last.get(key, b"") + bytes(data))[-LAST_BYTES:]
