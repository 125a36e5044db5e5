"""PURE.  Every node of a cell gets its part of the run, before the first phase of the cell."""

from typing import Final

from fabric.controller.barrier import Barrier
from fabric.controller.desk import Desk
from fabric.controller.effects import Effect
from fabric.protocol.limits import BARRIER_S
from fabric.protocol.messages import Assign, Assigned, Refused
from fabric.protocol.shared_env import factor, wanted_secrets
from fabric.trial.cells import Cell

S: Final = 1_000_000_000


class Assigning:
    """After each call, look at `is_over` and `overdue`."""

    lost_broker = ""  # only nodes are waited for

    def __init__(self, desk: Desk, cell: Cell, lease_s: float) -> None:
        self._desk = desk
        self._cell = cell
        self._lease_s = lease_s
        self._barrier = Barrier((), 0)
        self.overdue: list[tuple[str, str]] = []

    def __str__(self) -> str:
        return "assigning"

    @property
    def is_over(self) -> bool:
        """Whether all nodes that are left have their part."""
        return self._barrier.is_complete

    @property
    def deadline_ns(self) -> int:
        """When `expire` has something to do."""
        return self._barrier.deadline_ns

    def postpone(self, ns: int) -> None:
        """Give the nodes more time: the broker was away for so long."""
        self._barrier.deadline_ns += ns

    def begin(self, now_ns: int) -> list[Effect]:
        """Tell the nodes."""
        desk = self._desk
        self._barrier = Barrier(desk.nodes_of(self._cell), now_ns + round(BARRIER_S * S))
        resets = desk.plan.reset_alone(self._cell)
        effects: list[Effect] = []
        for node in self._barrier.missing:
            env, reset = factor(resets.get(node, ()))
            assign = Assign(
                run=desk.run,
                node=node,
                on_lost=desk.plan.trial.on_lost,
                lease_s=self._lease_s,
                env=env,
                reset=reset,
                secrets=wanted_secrets(reset, desk.plan.secrets),
            )
            effects += desk.ask(("assign", node), assign, now_ns)
        return effects

    def heard(self, message: Assigned | Refused) -> None:
        """A node has its part, or cannot take it: its disk is full, say.  Other words are of no concern."""
        match message:
            case Assigned(node=node) if self._desk.outbox.answered(("assign", node)):
                self._barrier.arrived(node)
            case Refused(node=node, sentence=sentence) if node in self._barrier.missing:
                self.overdue.append((node, f"{node} cannot take part: {sentence}"))
            case _:
                pass

    def node_gone(self, node: str) -> None:
        """Go on without a node."""
        self._desk.outbox.answered(("assign", node))
        self._barrier.arrived(node)

    def expire(self, now_ns: int) -> list[Effect]:
        """Give up on nodes that do not answer."""
        if self._barrier.is_late(now_ns):
            self.overdue = [
                (node, f"{node} did not take its part of the run in time") for node in self._barrier.missing
            ]
        return []
