"""PURE.  The end of a run: nodes come free, everything is read, the verdict is told and kept."""

from typing import Final

from fabric.controller.barrier import Barrier
from fabric.controller.desk import Desk
from fabric.controller.effects import Effect, Note
from fabric.controller.failures import judge_checks
from fabric.controller.limits import OVERTIME_NS
from fabric.protocol.messages import CloseRun, Free, Freed, NodeBack, NodeInfo
from fabric.protocol.records import RunEnded

S: Final = 1_000_000_000

FREE_NS: Final = 30 * S
"""A node that is asked to come free has to report something at least this often, for OVERTIME_NS at most."""

CLOSE_NS: Final = 15 * S
"""The broker writes the run's end within so long."""


class Ending:
    """Begins when the last phase is over.  Whoever calls looks at `is_over` and `overdue` after each call."""

    def __init__(self, desk: Desk, now_ns: int) -> None:
        self._desk = desk
        self._barrier = Barrier(desk.alive, 0)
        self._freed: dict[str, Freed] = {}
        self.overdue: list[tuple[str, str]] = []
        self.deadline_ns = now_ns + FREE_NS
        self._limit_ns = now_ns + OVERTIME_NS
        self._end: RunEnded | None = None  # as it was told
        self.lost_broker = ""  # why, if it does not confirm

    def __str__(self) -> str:
        return "freeing"

    @property
    def told(self) -> bool:
        """Whether the verdict was."""
        return self._end is not None

    def is_told(self, record: RunEnded) -> bool:
        """Whether this is the end that was told here, and not that of a broker that ends the run itself."""
        end = self._end
        return end is not None and (end.t_ns, end.verdict) == (record.t_ns, record.verdict)

    @property
    def is_over(self) -> bool:
        """Whether every node is done with."""
        return self._barrier.is_complete

    def postpone(self, ns: int) -> None:
        """Give everybody more time: the broker was away for so long."""
        self.deadline_ns, self._limit_ns = self.deadline_ns + ns, self._limit_ns + ns

    def begin(self, now_ns: int) -> list[Effect]:
        """Look at the checks, and ask the nodes to come free."""
        judge_checks(self._desk)
        self._desk.outbox.clear()
        effects: list[Effect] = []
        for node in self._desk.alive:
            effects += self._desk.ask(("free", node), Free(run=self._desk.run, node=node), now_ns)
        return effects

    def freed(self, message: Freed, now_ns: int) -> None:
        """A node has nothing left of the run."""
        self._desk.outbox.answered(("free", message.node))
        if self._freed.get(message.node) == message:
            return  # the broker says it again and again, which must not give others more time
        self._freed[message.node] = message
        self.read(message.node, now_ns)

    def read(self, node: str, now_ns: int) -> None:
        """A record of a node was read.  It is done with when it is free and all of its records were read."""
        if not self.told:
            self.deadline_ns = min(now_ns + FREE_NS, max(self.deadline_ns, self._limit_ns))
        freed = self._freed.get(node)
        if freed is None:
            return
        read = self._desk.history.read_records[node, freed.incarnation]
        if read >= freed.records or self._desk.passes_over:
            self._barrier.arrived(node)

    def hurry(self, now_ns: int) -> None:
        """Wait for no records any more."""
        for node in self._freed:
            self.read(node, now_ns)

    def node_gone(self, node: str) -> None:
        """Do not wait for a node."""
        self._desk.outbox.answered(("free", node))
        self._barrier.arrived(node)

    def is_leaving(self, back: NodeBack, info: NodeInfo) -> bool:
        """Whether a node has no part any more because it was asked to come free.

        What it said of that may be lost with the broker; it says it again, unless its agent has restarted.
        """
        return back.node in self._freed or back.incarnation == info.incarnation

    def expire(self, now_ns: int) -> list[Effect]:
        """Notice who is late."""
        if now_ns >= self.deadline_ns and self.told:
            self.lost_broker = "the broker did not confirm the end of the run"
        if now_ns >= self.deadline_ns and not self.told:
            self.deadline_ns = now_ns + FREE_NS
            self.overdue = [(node, f"{node} did not come free") for node in self._barrier.missing]
        return []

    def tell(self, now_ns: int) -> list[Effect]:
        """Add the verdict to the run's records; when it is read back, all was read."""
        self.deadline_ns = now_ns + CLOSE_NS
        t, bound = self._desk.fabric(now_ns)
        findings = self._desk.findings
        self._end = RunEnded(t_ns=t, bound_ns=bound, verdict=findings.verdict, why=findings.whys)
        return [Note(self._end)]

    def close(self, result: str, now_ns: int) -> list[Effect]:
        """Have the broker keep the verdict and release the nodes."""
        verdict = self._desk.findings.verdict
        message = CloseRun(request=2, run=self._desk.run, verdict=verdict, result=result)
        return self._desk.ask("close", message, now_ns)
