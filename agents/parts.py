"""A node's part of a run: executor, journal, scratch directory, and what the next life must know."""

from dataclasses import dataclass
from pathlib import Path

from agents.executor import Executor
from agents.journal import Journal
from fabric.protocol.codec import encode
from fabric.protocol.messages import Assign, Freed


@dataclass(slots=True)
class Part:
    """What belongs to one run on this node, in this life of the agent."""

    executor: Executor
    journal: Journal
    scratch: Path
    shipping: bool = False  # nothing is left but the journal
    reset_failed: bool = False
    _saved: tuple[bool, Assign] | None = None

    def save(self) -> None:
        """Keep what a next life needs to reset alone; does nothing if nothing has changed."""
        state = (self.executor.needs_reset, self.executor.assign)
        if state == self._saved:
            return
        self.journal.save_state(bytes([state[0]]) + encode(state[1]))
        self._saved = state

    def freed(self, incarnation: int) -> Freed:
        """Return the message that says that this node is done with the run."""
        return Freed(
            run=self.executor.run,
            node=self.executor.assign.node,
            incarnation=incarnation,
            records=self.journal.appended,
            reset_failed=self.reset_failed,
        )
