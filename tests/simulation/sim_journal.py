"""A node's disk in memory: journals, what is kept for the next life, and a cache that a power cut takes."""

from dataclasses import dataclass, field
from random import Random

from agents.executor import Executor
from agents.journal.ledger import Ledger
from agents.recovery import LeftPart, _left, _lost
from fabric.protocol.messages import Assign
from fabric.protocol.records import Record

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

    def append(self, record: Record, data: bytes) -> None:
        """Take a record."""
        self.records.append((record, data))
        self.ledger.note(record)

    def save(self, executor: Executor) -> None:
        """Keep what a next life has to know; that a reset is due is on the disk when this returns."""
        self.cached = (executor.assign, executor.needs_reset)
        if executor.needs_reset:
            self.durable = self.cached

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

    def lose_power(self) -> None:
        """Lose what only the cache has."""
        for journal in self.journals.values():
            journal.lose_power(self._chance)

    def recover(self) -> list[LeftPart]:
        """Complete what an earlier life has left; return the parts of runs that are to be ended."""
        left: dict[str, LeftPart | None] = {}
        for journal in self.journals.values():
            for step in journal.ledger.open_steps() if journal.is_whole else ():
                for record in _lost(step, 0):
                    self.append(journal, record, b"")
            if journal.cached is not None:
                left[journal.run] = _left(*journal.cached, is_whole=journal.is_whole)
        return [part for part in left.values() if part is not None]
