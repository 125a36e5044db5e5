"""A node's part of a run: executor, journal, scratch directory, and what the next life must know."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from agents.executor import Executor
from agents.journal import Journal
from fabric.protocol.codec import encode
from fabric.protocol.messages import Freed


@dataclass(slots=True)
class Part:
    """What belongs to one run on this node, in this life of the agent."""

    executor: Executor
    journal: Journal
    scratch: Path
    shipping: bool = False  # nothing is left but the journal
    reset_failed: bool = False
    _saved_reset: bool | None = None

    def save(self) -> None:
        """Keep what a next life needs to reset alone; does nothing if nothing has changed."""
        needs_reset = self.executor.needs_reset
        if needs_reset == self._saved_reset:
            return
        self.journal.save_state(bytes([needs_reset]) + encode(self.executor.assign))
        self._saved_reset = needs_reset

    def freed(self, incarnation: int) -> Freed:
        """Return the message that says that this node is done with the run."""
        return Freed(
            run=self.executor.run,
            node=self.executor.assign.node,
            incarnation=incarnation,
            records=self.journal.appended,
            reset_failed=self.reset_failed,
        )

    def clean_up(self) -> None:
        """Delete the scratch directory."""
        shutil.rmtree(self.scratch, ignore_errors=True)
