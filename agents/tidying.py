"""The resets that are done again on a dirty node: parts of runs that are over, whose journals go nowhere."""

from collections.abc import Callable

from agents.cleaning import Cleaning
from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.hands import Hands
from agents.parts import Part
from agents.removal import remove_later
from agents.state import AgentState
from fabric.clock import Clock
from fabric.log import get_logger
from fabric.protocol.messages import Assign, Clean, Message

log = get_logger()


class Tidying:
    """Between who asks for a clean node and the launcher.

    Args:
        state: Of the agent.
        parts: All parts of runs; those that clean are put there, too.
        dirty: Runs that left this node dirty.
        hands: That do what their executors ask for.
        node: Name of this one.
        clock: The local one.
        say: Sends to the broker, if that is possible now.
    """

    def __init__(
        self,
        state: AgentState,
        parts: dict[str, Part],
        dirty: DirtyRuns,
        hands: Hands,
        *,
        node: str,
        clock: Clock,
        say: Callable[[Message], bool],
    ) -> None:
        self._state = state
        self._parts = parts
        self._dirty = dirty
        self._hands = hands
        self._clock = clock
        self._cleaning = Cleaning(node, dirty, self._begin, say)

    def ask(self, message: Clean, *, is_busy: Callable[[str], bool]) -> None:
        """Clean this node; ``is_busy`` says whether the reset of a run goes on anyway."""
        self._cleaning.ask(message, is_busy=is_busy)

    def look(self) -> None:
        """Let go what cleaning parts report; one of which nothing is left is over."""
        for part in [part for part in self._parts.values() if part.is_cleaning]:
            part.journal.acknowledge(part.journal.appended)
            if part.shipping:
                part.journal.remove()
                self.end(part)

    def end(self, part: Part) -> None:
        """Forget a part of which nothing is left, but for what it owes."""
        assign = part.executor.assign
        del self._parts[assign.run]
        self._hands.transfers.forget(assign.run)
        if not part.dirty:  # else what the reset may need again stays
            remove_later(self._state.directory, part.scratch)
        self._cleaning.ended(assign.run, part.dirty, assign)

    def _begin(self, assign: Assign) -> None:
        executor = Executor(assign, needs_reset=True)
        part = Part.open(self._state, executor, self._dirty, is_cleaning=True)
        self._parts[assign.run] = part
        log.info("node_cleaned", run=assign.run)
        self._hands.drive(part, executor.lease_ended("this node is cleaned", self._clock.now_ns()))
