"""PURE.  The reservation of a run's nodes: the broker has to answer."""

from typing import Final

from fabric.controller.effects import Effect

S: Final = 1_000_000_000

OPEN_NS: Final = 30 * S
"""The broker stores a run and reserves its nodes within so long."""


class Opening:
    """After `expire`, look at `lost_broker`.  Instants are local, in nanoseconds."""

    is_over = False

    def __init__(self, now_ns: int) -> None:
        self.deadline_ns = now_ns + OPEN_NS
        self.lost_broker = ""
        self.overdue: list[tuple[str, str]] = []

    def __str__(self) -> str:
        return "opening"

    def postpone(self, ns: int) -> None:
        """Give the broker more time: it was away for so long."""
        self.deadline_ns += ns

    def node_gone(self, node: str) -> None:
        """Nobody is waited for but the broker."""

    def expire(self, now_ns: int) -> list[Effect]:
        """Give up on a broker that does not answer."""
        if now_ns >= self.deadline_ns:
            self.lost_broker = f"the broker did not answer the reservation of the nodes for {OPEN_NS // S} s"
        return []
