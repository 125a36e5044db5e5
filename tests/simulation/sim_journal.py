"""A node's disk in memory: journals, what is kept for the next life, and a cache that a power cut takes."""

from collections.abc import Container
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from agents.executor import Executor
from agents.journal.ledger import Ledger, StreamKey, StreamState
from agents.memo import Change, Context, Scribe
from agents.recovery import LeftPart, _left, _lost
from fabric.protocol.messages import Assign
from fabric.protocol.records import Output, Record, Stream

if TYPE_CHECKING:
    from tests.simulation.sim_launcher import Process

Saved = tuple[Assign, bool]
"""The part of the run, and whether a reset is due."""


@dataclass
class Journal:
    """Records of a run in one incarnation.  None of them waits for the disk."""

    run: str
    incarnation: int
    records: list[tuple[Record, bytes]] = field(default_factory=list)
    acknowledged: int = 0
    sent: int = 0
    progress_ns: int = 0  # last acknowledgement, or first record sent after one
    is_whole: bool = True  # of this boot
    ledger: Ledger = field(default_factory=Ledger)
    cached: Saved | None = None
    durable: Saved | None = None
    memo: list[Change] = field(default_factory=list)
    tails: list[tuple["Process", Stream, bytes]] = field(default_factory=list)
    _scribe: tuple[int, Scribe] = (0, Scribe())  # and the life of the agent in which it writes

    @property
    def memo_launcher(self) -> str:
        """The launcher of which the memo tells; "" without one."""
        return self.memo[-1].launcher if self.memo else ""

    def append(self, record: Record, data: bytes) -> None:
        """Take a record."""
        self.records.append((record, data))
        self.ledger.note(record)

    def save(self, executor: Executor) -> None:
        """Keep what a next life has to know; that a reset is due is on the disk when this returns."""
        self.cached = (executor.assign, executor.needs_reset)
        if executor.needs_reset:
            self.durable = self.cached

    def write_down(self, executor: Executor, life: int, context: Context) -> None:
        """Keep what the next life needs to take the part over."""
        if self._scribe[0] != life:
            self._scribe = life, Scribe()
            self.memo = list(self._scribe[1].whole(executor, context))
        elif (change := self._scribe[1].changed(executor, context)) is not None:
            self.memo.append(change)

    def lose_power(self, chance: Random) -> None:
        """Lose any part of the end, and what was kept if it was not on the disk, perhaps."""
        self.is_whole = False
        del self.records[chance.randint(0, len(self.records)) :]
        self.cached = chance.choice((self.cached, self.durable))
        self.durable = self.cached


class Disk:
    """All journals of a node, as files of its agents."""

    def __init__(self, name: str, chance: Random) -> None:
        self.journals: dict[tuple[str, int], Journal] = {}
        self._name, self._chance = name, chance
        self._given: dict[tuple[str, int, int], Record] = {}

    def begin(self, run: str, incarnation: int) -> Journal:
        """Begin a journal."""
        journal = self.journals[run, incarnation] = Journal(run, incarnation)
        return journal

    def append(self, journal: Journal, record: Record, data: bytes) -> None:
        """Append a record; its number is never given to another one, whatever has become of it."""
        journal.append(record, data)
        number = (journal.run, journal.incarnation, len(journal.records))
        assert self._given.setdefault(number, record) is record, f"{self._name} gave {number} again"

    def keep_tail(self, process: "Process", stream: Stream, data: bytes) -> None:
        """Keep what nobody has read of the output of a program, for the next life."""
        journal = self.journals.get((process.run, process.incarnation))
        if journal is not None and data and not process.is_probe:
            journal.tails.append((process, stream, data))

    def lose_power(self) -> None:
        """Lose what only the cache has."""
        for journal in self.journals.values():
            journal.lose_power(self._chance)

    def recover(self, taken: Container[str]) -> list[LeftPart]:
        """Complete what an earlier life has left; return the parts of runs that are to be ended.

        Args:
            taken: Runs whose latest part is taken over.
        """
        left: dict[str, LeftPart | None] = {}
        latest = {journal.run: journal for journal in self.journals.values()}
        for journal in self.journals.values():
            if journal.run in taken and latest[journal.run] is journal:
                continue
            if journal.is_whole:
                self._recover_tails(journal)
            for step in journal.ledger.open_steps() if journal.is_whole else ():
                for record in _lost(step, 0):
                    self.append(journal, record, b"")
            if journal.cached is not None and journal.run not in taken:
                left[journal.run] = _left(*journal.cached, is_whole=journal.is_whole)
        return [part for part in left.values() if part is not None]

    def _recover_tails(self, journal: Journal) -> None:
        """Report what a launcher has drained without an agent."""
        for process, stream, data in journal.tails:
            step, attempt = process.step.step, process.attempt
            had = journal.ledger.streams.get(StreamKey(step, attempt, stream), StreamState(0))
            if not had.ended:
                output = Output(
                    t_ns=0, bound_ns=-1, step=step, attempt=attempt, stream=stream, offset=had.end,
                    size=len(data),
                )  # fmt: skip
                self.append(journal, output, data)
        journal.tails.clear()
