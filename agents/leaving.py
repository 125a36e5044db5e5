"""How runs leave this node: their records are stored, or nobody wants them; then it says that it is free."""

from collections.abc import Callable
from typing import Final

from agents.hands import Hands
from agents.journal import Journal
from agents.journal.directory import trim_undelivered
from agents.owed import Owed
from agents.parts import FreedRuns, Part, nothing_freed
from agents.shipping import Shipper
from agents.state import AgentState
from agents.tidying import Tidying
from fabric.clock import Clock
from fabric.log import get_logger
from fabric.protocol.messages import Assign, Forget, Message, Refused

log = get_logger()

LEFT: Final = "this node has left the run: its part of it is over, and its records are stored"


class Leaving:
    """Between the journals that are done with and those who want to know.

    Args:
        state: Of the agent.
        parts: All parts of runs.
        shipper: Has the journals.
        tidying: Forgets parts of which nothing is left.
        owed: Resets that could not begin yet.
        hands: That do what executors ask for.
        node: Name of this one.
        clock: The local one.
        say: Sends to the broker, if that is possible now.
    """

    def __init__(
        self,
        state: AgentState,
        parts: dict[str, Part],
        shipper: Shipper,
        tidying: Tidying,
        *,
        owed: Owed,
        hands: Hands,
        node: str,
        clock: Clock,
        say: Callable[[Message], bool],
    ) -> None:
        self._state = state
        self._parts = parts
        self._shipper = shipper
        self._tidying = tidying
        self._owed = owed
        self._hands = hands
        self._node = node
        self._clock = clock
        self._say = say
        self._freed = FreedRuns()

    def refuses(self, message: Assign) -> bool:
        """Say no to a run that this life has left, and that it has; return whether it is one.

        Its numbers are used, so what came now would be taken for what was stored.
        """
        freed = self._freed.get(message.run)
        if freed is None:
            return False
        log.warning("run_refused", run=message.run, why=LEFT)
        self._say(Refused(run=message.run, node=message.node, phase="", step="", sentence=LEFT))
        self._say(freed)  # the broker thinks that it has a part again
        return True

    def say_freed(self, run: str) -> None:
        """Say again how a run has left this node, or that nothing is known of it."""
        if not self._owed.has(run):
            self._say(self._freed.get(run) or nothing_freed(run, self._node, self._state.incarnation))

    def look(self) -> None:
        """Remove the journals that are stored, and end the parts of which nothing else is left."""
        for journal in self._shipper.journals:
            if journal.is_shipped:
                self._shipped(journal)
        for part in [part for part in self._parts.values() if part.is_unwanted]:
            if part.journal.is_full:  # its reset may print, and nobody will make room
                part.journal.acknowledge(part.journal.appended)
            if part.shipping:
                self._set_aside(part.journal)
                self._end(part)

    def forget(self, message: Forget) -> None:
        """Ship a journal no more: the broker does not know its run.

        What this node owes is not the broker's matter.  The part is ended as one that nobody leads, and the
        journal stays where a next life looks until that is done.
        """
        if self._owed.has(message.run):
            return  # the journal says so, until the reset has begun
        journal = self._shipper.drop(message.run, message.incarnation)
        if journal is None:
            return
        log.warning("run_unknown_to_broker", run=journal.run, hint="its records are in undelivered/")
        part = self._parts.get(journal.run)
        if part is None or part.journal is not journal:
            self._set_aside(journal)
            return
        part.is_unwanted = True
        why = "the broker does not know this run"
        self._hands.drive(part, part.executor.lease_ended(why, self._clock.now_ns()))

    def _shipped(self, journal: Journal) -> None:
        """Everything that was reported is stored: if nothing follows, the journal has served."""
        part = self._parts.get(journal.run)
        if part is None or part.journal is not journal:
            if journal.incarnation != self._state.incarnation and not self._owed.has(journal.run):
                self._shipper.remove(journal.run, journal.incarnation)
            return  # else a next life has to know of the reset
        if part.shipping:
            self._shipper.remove(journal.run, journal.incarnation)
            self._end(part)

    def _end(self, part: Part) -> None:
        freed = part.freed()
        self._freed.add(freed)
        self._say(freed)
        log.info("run_freed", run=freed.run)
        self._tidying.end(part)

    def _set_aside(self, journal: Journal) -> None:
        journal.set_aside()
        for path in trim_undelivered(self._state.directory):
            log.warning("undelivered_deleted", path=str(path), hint="newer ones need the room")
