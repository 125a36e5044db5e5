"""A node's part of a run: executor, journal, scratch directory, and what the next life must know."""

import shutil
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.journal import Journal, directory
from agents.journal.frames import MAX_BODY_BYTES
from agents.journal.masking import Mask
from agents.journal.transfer import REFUSALS
from agents.memo import FORMAT, Context, Head, Scribe
from agents.memofile import MemoFile
from agents.recovery import keep
from agents.removal import scratch_of
from agents.state import AgentState
from fabric import __version__
from fabric.errors import DecodeError
from fabric.log import get_logger
from fabric.private import make_private
from fabric.protocol.codec import pack
from fabric.protocol.messages import Assign, Freed, Refused

log = get_logger()

_CLEANING: Final = "cleaning"

_AWAITING: Final = ("ready", "scheduled", "holding")
"""States of a phase in which a go, its instant or its abort is all that is waited for."""

FREED_KEPT: Final = 100
"""Ends of runs that are remembered, to be said again to a controller that asks again."""


@dataclass(slots=True)
class Part:
    """What belongs to one run on this node, in this life of the agent."""

    executor: Executor
    journal: Journal
    scratch: Path
    dirty_runs: DirtyRuns
    is_cleaning: bool = False  # it does a reset again, long after its run: its journal goes nowhere
    is_unwanted: bool = False  # the broker does not know its run: its journal goes nowhere either
    shipping: bool = False  # nothing is left but the journal
    dirty: str = ""  # why it leaves the node dirty
    _saved: tuple[bool, Assign] | None = None
    _scribe: Scribe = field(default_factory=Scribe)
    _memo: MemoFile | None = None
    _mask: tuple[frozenset[str], Mask] | None = None
    _told_dirty: str = ""
    _is_kept: bool = True
    _waits: bool = False  # for a disk, to be kept
    _is_durable: bool = False  # the file is on the disk, whatever its first byte is there

    @property
    def awaits_start(self) -> bool:
        """Whether it is to start with others, at any moment."""
        phase = self.executor.phase
        return phase is not None and phase.state in _AWAITING

    @classmethod
    def open(
        cls, state: AgentState, executor: Executor, dirty_runs: DirtyRuns, *, is_cleaning: bool = False
    ) -> "Part":
        """Begin a part of a run in this life of the agent.

        Raises:
            OSError: If the disk has no room for it; nothing is left of it.
        """
        run = executor.run
        scratch = scratch_of(state.directory, run)
        make_private(scratch)
        journal: Journal | None = None
        try:
            root = state.directory / _CLEANING if is_cleaning else state.directory
            journal = Journal.create(root, run, state.incarnation)
            part = cls(executor, journal, scratch, dirty_runs, is_cleaning)
            part.save()
        except OSError:
            if journal is not None:
                journal.remove()
            with suppress(OSError):
                scratch.rmdir()  # unless an earlier life has left something in it
            raise
        return part

    @property
    def is_alone(self) -> bool:
        """Whether it ends its part of a run that nobody leads."""
        return not self.executor.is_led and not self.is_cleaning

    def save(self) -> None:
        """Keep what a next life needs to reset alone; does nothing if nothing has changed.

        Secrets are kept as long as something may run that wants them, or write them.  That a reset is due
        outlives a power cut.  That it is not any more may not: then it is done twice.

        Raises:
            OSError: If the disk takes nothing; then it is tried again the next time.
        """
        dirty, assign = self.executor.parting.dirty, self.executor.assign
        if dirty and dirty != self._told_dirty and not self.is_cleaning:
            self._told_dirty = dirty
            self._is_kept = self.dirty_runs.add(assign.run, dirty, assign)
        # What is kept among the dirty runs waits for a person; what could not be kept there is owed.
        needs_reset = not self._is_kept if self._told_dirty else self.executor.needs_reset
        if self.shipping and assign.secrets and not needs_reset:
            assign = replace(assign, secrets={})
        if (needs_reset, assign) == self._saved:
            return
        durable = needs_reset or bool(self._told_dirty)  # which is not tried again by itself
        if self._saved is not None and assign == self._saved[1] and self._is_durable:
            directory.mark_state(self.journal.path, needs_reset, durable=durable)
        else:
            keep(self.journal, assign, needs_reset=needs_reset, durable=durable)
            self._is_durable = durable
        self._saved = (needs_reset, assign)

    def save_or_wait(self) -> None:
        """Do that; on a disk that takes nothing it waits for the next time, and a person is told."""
        try:
            self.save()
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            if not self._waits:
                log.warning("run_not_kept", run=self.executor.run, why=error.strerror)
            self._waits = True
        else:
            self._waits = False

    def write_down(self, context: Context) -> None:
        """Keep what a next life needs to take this part over.  Due before anything is done that follows.

        With a full disk it gives up: then a next life ends the part instead.
        """
        memo = self._memo
        if memo is None:
            memo = self._memo = MemoFile(self.journal.path)
        if memo.is_given_up:
            memo.give_up()  # on a disk that took nothing it is there still
            return
        if not self.journal.backlog.is_empty:  # what waits in memory is lost by a death
            memo.give_up()
        elif memo.is_long or not memo.is_open:
            self._write_all_down(memo, context)
        elif (change := self._scribe.changed(self.executor, context)) is not None:
            packed = pack(change)
            if len(packed) <= MAX_BODY_BYTES:
                memo.append(packed)
            else:  # a phase of which all steps together are too large to be read as one frame
                self._write_all_down(memo, context)

    def _write_all_down(self, memo: MemoFile, context: Context) -> None:
        head = pack(Head(format=FORMAT, software=__version__))
        memo.write_anew((head, *map(pack, self._scribe.whole(self.executor, context))))

    def close(self) -> None:
        """Leave all for the next life; the journal is closed by who ships it."""
        self.save_or_wait()
        if self._memo is not None:
            self._memo.close()
        if self.is_unwanted:
            self.journal.close()

    @property
    def mask(self) -> Mask | None:
        """For what its steps write; None if it knows no secrets."""
        values = frozenset(self.executor.secrets.values())
        if not values:
            return None
        if self._mask is None or self._mask[0] != values:
            self._mask = (values, Mask(values))
        return self._mask[1]

    def freed(self) -> Freed:
        """Return the message that says that this node is done with the run."""
        return Freed(
            run=self.executor.run,
            node=self.executor.assign.node,
            incarnation=self.journal.incarnation,
            records=self.journal.appended,
            reset_failed=bool(self.dirty),
            reset_why=self.dirty,
        )


class FreedRuns:
    """How the parts of runs have ended in this life."""

    def __init__(self) -> None:
        self._freed: OrderedDict[str, Freed] = OrderedDict()

    def add(self, freed: Freed) -> None:
        """Remember an end."""
        self._freed[freed.run] = freed
        while len(self._freed) > FREED_KEPT:
            self._freed.popitem(last=False)

    def get(self, run: str) -> Freed | None:
        """Return what was said at the end of a run; None if it has not ended here."""
        return self._freed.get(run)


def drop_cleanings(state_dir: Path) -> None:
    """Delete the journals of resets that were done again: nobody reads them."""
    shutil.rmtree(state_dir / _CLEANING, ignore_errors=True)


def refused(assign: Assign, state: AgentState, error: OSError | DecodeError) -> Refused:
    """Return the message that says why this node has no part in a run: its disk, or what it was told."""
    said = str(error)
    if isinstance(error, OSError):
        said = f"its state directory {state.directory}: {error.strerror}"
    log.error("run_refused", run=assign.run, why=said)
    return Refused(run=assign.run, node=assign.node, phase="", step="", sentence=said)


def nothing_freed(run: str, node: str, incarnation: int) -> Freed:
    """Return the message that says that this node knows nothing of a run."""
    return Freed(run=run, node=node, incarnation=incarnation, records=0, reset_failed=False)
