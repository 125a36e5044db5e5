"""The parts of which the broker is made, as its handlers see them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.access import Access
from broker.archive import Archive
from broker.effects import Effect, Peer
from broker.open_runs import OpenRuns
from broker.registry import Registry
from broker.runs import Run
from broker.sink import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a broker is told about itself."""

    epoch: int  # which life of its clock; grows from life to life
    software: str
    go_port: int
    sink_port: int
    feed_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The machines inside the broker."""

    settings: Settings
    registry: Registry
    access: Access
    sink: Sink
    archive: Archive
    runs: OpenRuns

    def session(self, peer: Peer) -> str:
        """Return the session of an operator's connection."""
        operator = self.registry.operator(peer)
        return "" if operator is None else operator.session

    def adopt(self, run: Run, peer: Peer, now_ns: int) -> list[Effect]:
        """Take an operator that steers a run of its own as the run's controller.

        A restarted broker finds the controllers of the runs that it goes on with by this.
        """
        return run.adopt(peer, self.session(peer), now_ns)


Handler = Callable[[Parts, Peer, Any, int], list[Effect]]
"""Takes the parts, who sent the message, the message, and fabric time."""
