"""A disk of this node that takes nothing: a person is told, and what waits in vain for room is ended."""

from collections.abc import Callable, Collection
from typing import Literal

from agents.broken_disk import state_of
from agents.disk import DiskWatch
from agents.journal import Journal
from agents.journal.limits import STUCK_BYTES
from agents.launching import Call
from agents.parts import Part
from agents.pipes import Pipes
from fabric.log import get_logger
from fabric.protocol.names import StepId
from fabric.protocol.records import Notice

log = get_logger()


class Disks:
    """Looks after the parts of runs whose journals have no room.

    Args:
        pipes: Of this node.
        stamp: Returns fabric time and its bound.
        tell: Called with key and what to say to the executor of its run.
        limit_s: How long a disk may be full in vain.
    """

    def __init__(
        self,
        pipes: Pipes,
        stamp: Callable[[], tuple[int, int]],
        tell: Callable[[str, Call], None],
        limit_s: float,
    ) -> None:
        self._pipes = pipes
        self._stamp = stamp
        self._tell = tell
        self._limit_s = limit_s
        self._watches: dict[Journal, DiskWatch] = {}

    def look(self, parts: Collection[Part], now_ns: int) -> None:
        """See whether something is to be done.  Due in every turn, and cheap."""
        is_news = self._pipes.full or self._watches or any(_is_stuck(part.journal) for part in parts)
        for part in parts if is_news else ():
            journal = part.journal
            watch = self._watches.setdefault(journal, DiskWatch(self._limit_s))
            stuck = journal.unacknowledged_bytes < STUCK_BYTES
            full = journal in self._pipes.full or _is_stuck(journal)
            match watch.look(full=full, stuck=stuck, now_ns=now_ns):
                case "warn":
                    self._say(part, "warning", f"{_state(part)}: output waits")
                case "relax":
                    self._say(part, "info", f"the disk of {_node(part)} has room again")
                case "give up":
                    self._give_up(part)
                case _:
                    pass
        self._pipes.full &= {part.journal for part in parts}
        self._watches = {journal: watch for journal, watch in self._watches.items() if watch.is_on}

    def _give_up(self, part: Part) -> None:
        """End the steps that wait; a reset goes on without its output, for it may be what makes room."""
        why = f"{_state(part)} for {self._limit_s:g} s: its output could not be kept"
        for key in self._pipes.waiting(part.journal):
            step = StepId.parse(key.split("|")[1])
            log.error("disk_full", directory=str(part.journal.path), step=str(step))
            self._pipes.let_go(key)
            if step.phase != "reset":
                self._tell(key, _lose(key, why))

    def _say(self, part: Part, level: Literal["info", "warning"], text: str) -> None:
        log.warning("disk_state", said=text)
        t_ns, bound_ns = self._stamp()
        part.journal.append(Notice(t_ns=t_ns, bound_ns=bound_ns, level=level, message=text))


def _lose(key: str, why: str) -> Call:
    return lambda executor: executor.steps.lose(key, why)


def _node(part: Part) -> str:
    return part.executor.assign.node


def _is_stuck(journal: Journal) -> bool:
    """Whether words wait for the disk, or cannot be read from it."""
    return journal.backlog.is_unread or not journal.backlog.is_empty


def _state(part: Part) -> str:
    return state_of(part.journal.path.parents[2], _node(part))
