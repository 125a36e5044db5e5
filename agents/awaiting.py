"""What an agent says of a broker that is away: that it is, since when and why, and that it is back."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from agents.absence import LOOK_NS, Absence
from agents.step_run import NANOSECONDS
from fabric.clock import Clock
from fabric.config import Address
from fabric.doctor.greeting import Obstacle, greet
from fabric.log import get_logger
from fabric.protocol.messages import Rejected, Welcome
from fabric.refusals import REFUSED_EVERY_NS, Refusals

log = get_logger()

VERSION_EVERY_NS: Final = 600_000_000_000
"""That the broker has another version is told so often, though it is asked twice a minute."""

_SILENT: Final = "no answer yet"
_SPEAKS: Final = "a broker answers there, but not to this node: it is busy, or not the one that is meant"


class Awaiting:
    """Tells of the broker.

    Args:
        broker: Where it is.
        node: Name of this node.
        clock: Of the instants.
        wake: Ends the wait of the loop; called by another thread.
        look: Says what is wrong at an address; it may wait.
    """

    def __init__(
        self,
        broker: Address,
        node: str,
        clock: Clock,
        wake: Callable[[], None],
        look: Callable[[Address, float], Obstacle | None] = greet,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._wake = wake
        self._look = look
        self._hint = f"`fabric-agent {broker} --name {node} --doctor` says more"
        self._absence = Absence(clock.now_ns())
        self._refusals = Refusals()
        self._thread: threading.Thread | None = None
        self._found: list[str] = []  # by the thread

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        return self._absence.deadline_ns

    def joined(self, welcome: Welcome) -> None:
        """Tell that the broker has let this node in."""
        self._absence.ended()
        log.info("broker_joined", broker=str(self._broker), epoch=welcome.epoch)

    def left(self) -> None:
        """Tell that the connection is over, if there was one."""
        if self._absence.began(self._clock.now_ns()):
            log.warning("broker_left", broker=str(self._broker), hint="it is tried again and again")

    def renews(self, *, enrols: bool) -> None:
        """Tell that the connection begins anew with another key, which is no loss."""
        self._absence.began(self._clock.now_ns())
        log.info("key_replaced", enrols=enrols)

    def refused(self, rejected: Rejected, now_ns: int) -> None:
        """Tell what the broker says, at a limited rate."""
        self._absence.refused(now_ns)
        is_version = rejected.code == "version"
        if self._refusals.count(rejected.code, now_ns, VERSION_EVERY_NS if is_version else REFUSED_EVERY_NS):
            log.warning("broker_refused", sentence=rejected.sentence, hint="it is asked again and again")

    def expire(self, now_ns: int) -> None:
        """Look why the broker is away, or tell it, if that is due."""
        if self._found and self._absence.looked(now_ns) == "tell":
            self._tell(self._found[-1])
        self._found.clear()
        match self._absence.expire(now_ns):
            case "look":
                self._begin_look()
            case "tell":
                self._tell(_SILENT)
            case _:
                pass

    def _tell(self, why: str) -> None:
        log.warning("broker_awaited", broker=str(self._broker), why=why, hint=self._hint)

    def _begin_look(self) -> None:
        """Look in a thread: a name server that is away would hold up the agent for long."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._find, name="awaiting", daemon=True)
            self._thread.start()

    def _find(self) -> None:
        obstacle = self._look(self._broker, LOOK_NS / NANOSECONDS)
        self._found.append(_SPEAKS if obstacle is None else obstacle.found)
        with suppress(OSError):  # the loop is closed
            self._wake()
