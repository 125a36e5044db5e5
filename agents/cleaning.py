"""PURE.  Cleaning a dirty node: what is owed is done again, run by run, and who has asked is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from fabric.protocol.messages import Assign, Clean, Cleaned, DirtyRun

UNREADABLE: Final = "what its reset owes was kept by another version of the agent, which this one cannot read"
NOTHING: Final = "its agent knows of nothing that is owed; if the machine is clean, say so with --force"


@dataclass(frozen=True, slots=True)
class Left:
    """What one run has left.  ``assign`` is None if that cannot be read."""

    told: DirtyRun
    assign: Assign | None


class Table(Protocol):
    """Runs that left this node dirty."""

    @property
    def first(self) -> Left | None:
        """The oldest."""

    def has(self, run: str) -> bool:
        """Whether a run has left this node dirty."""

    @property
    def cleaned(self) -> tuple[str, ...]:
        """Runs that did, and do no more: their resets were done again."""

    def add(self, run: str, why: str, assign: Assign | None) -> bool:
        """Keep why a run still does."""

    def forget(self, run: str) -> None:
        """It owes nothing any more."""


class Cleaning:
    """One reset after another; a new question while one goes on gets its answer.

    Args:
        node: Name of this one.
        table: What is owed.
        begin: Does the reset of a run, then `ended` is called; raises OSError if the disk has no room.
        say: Sends to the broker, if that is possible now.
    """

    def __init__(
        self, node: str, table: Table, begin: Callable[[Assign], None], say: Callable[[Cleaned], object]
    ) -> None:
        self._node = node
        self._table = table
        self._begin = begin
        self._say = say
        self._asked = ""  # the question that waits
        self._answer: Cleaned | None = None  # to the last one, if it is asked again

    def ask(self, message: Clean, *, is_busy: Callable[[str], bool]) -> None:
        """Begin, or answer at once.

        Args:
            message: The question.
            is_busy: Says whether the reset of a run goes on anyway.
        """
        if self._answer is not None and self._answer.clean == message.clean:
            self._say(self._answer)
            return
        goes_on, self._asked = bool(self._asked), message.clean
        if message.force:
            self._force()
        elif not goes_on and self._table.first is None:
            self._tell("" if message.run in self._table.cleaned else NOTHING)
        elif not goes_on:
            self._next(is_busy)

    def ended(self, run: str, why: str, assign: Assign) -> None:
        """A reset that this node did by itself is over; ``why`` if it failed."""
        if not self._table.has(run):
            return
        if why:
            self._table.add(run, why, assign)
            self._tell(why)
        else:
            self._table.forget(run)
            self._next(lambda _: False)

    def _next(self, is_busy: Callable[[str], bool]) -> None:
        left = self._table.first
        if left is None:
            self._tell("")
        elif is_busy(left.told.run):
            return  # its end brings the answer
        elif left.assign is None:
            self._tell(f"{UNREADABLE}: clean up by hand, then say so with --force")
        elif self._asked:
            self._start(left.assign)

    def _start(self, assign: Assign) -> None:
        try:
            self._begin(assign)
        except OSError as error:
            self._tell(f"the reset cannot begin: {error.strerror}")

    def _force(self) -> None:
        while (left := self._table.first) is not None:
            self._table.forget(left.told.run)
        self._tell("")

    def _tell(self, why: str) -> None:
        answer = Cleaned(node=self._node, clean=self._asked, why=why)
        if self._asked:
            self._answer = answer
        if self._asked or not why:
            self._say(answer)
        self._asked = ""
