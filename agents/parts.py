"""A node's part of a run: executor, journal, scratch directory, and what the next life must know."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agents.executor import Executor
from agents.journal import Journal
from agents.removal import scratch_of
from agents.state import AgentState
from fabric.log import get_logger
from fabric.protocol.codec import encode
from fabric.protocol.messages import Assign, Freed, Refused

log = get_logger()


@dataclass(slots=True)
class Part:
    """What belongs to one run on this node, in this life of the agent."""

    executor: Executor
    journal: Journal
    scratch: Path
    shipping: bool = False  # nothing is left but the journal
    reset_failed: bool = False
    _saved: tuple[bool, Assign] | None = None

    @classmethod
    def open(cls, state: AgentState, executor: Executor) -> "Part":
        """Begin a part of a run in this life of the agent.

        Raises:
            OSError: If the disk has no room for it; nothing is left of it.
        """
        run = executor.run
        scratch = scratch_of(state.directory, run)
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal: Journal | None = None
        try:
            journal = Journal.create(state.directory, run, state.incarnation)
            part = cls(executor, journal, scratch)
            part.save()
        except OSError:
            if journal is not None:
                journal.remove()
            with suppress(OSError):
                scratch.rmdir()  # unless an earlier life has left something in it
            raise
        return part

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


def refused(assign: Assign, state: AgentState, error: OSError) -> Refused:
    """Return the message that says why this node has no part in a run: its disk is full."""
    said = f"its state directory {state.directory}: {error.strerror}"
    log.error("run_refused", run=assign.run, why=said)
    return Refused(run=assign.run, node=assign.node, phase="", step="", sentence=said)


def nothing_freed(run: str, node: str, incarnation: int) -> Freed:
    """Return the message that says that this node knows nothing of a run."""
    return Freed(run=run, node=node, incarnation=incarnation, records=0, reset_failed=False)
