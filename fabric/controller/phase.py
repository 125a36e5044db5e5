"""PURE.  One execution of a phase on all nodes of a run.

    preparing -> starting -> running -> over
        |          ^  |                  ^
        |          +--+ (go aborted)     |
        +--------------------------------+ (refused, cut)

Every wait has a limit: a node that does not answer in time is given up (`overdue`), and the rest goes on.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from fabric.controller.barrier import Barrier
from fabric.controller.desk import Desk
from fabric.controller.effects import Effect, Note
from fabric.controller.failures import judge_no_start, judge_refusal, tell_cut
from fabric.controller.goes import Goes
from fabric.controller.limits import OVERTIME_NS, REPORTING_NS, grace_s, limit_ns
from fabric.controller.partial import as_committed, note_aborted, note_partial
from fabric.controller.phase_end import phase_ended
from fabric.controller.repeats import phase_aborted
from fabric.protocol.limits import BARRIER_S
from fabric.protocol.messages import (
    Cancel,
    GoAborted,
    GoCommitted,
    PhaseDone,
    Prepare,
    Ready,
    Refused,
)
from fabric.protocol.shared_env import factor, wanted_secrets
from fabric.trial.cells import Repeat

S: Final = 1_000_000_000

START_NS: Final = 30 * S
"""The broker decides about a go within seconds; this much longer allows for its restart."""

REFUSALS_NS: Final = S
"""After the first refusal the other nodes have so long to refuse, too."""

Cut = Literal["", "soft", "hard"]
"""How a phase was ended early.  soft: steps that run after a failure too still run; hard: nothing does."""


class PhaseRun:
    """From the prepare to the last node's end.  After each call, look at `is_over` and `overdue`."""

    def __init__(self, desk: Desk, repeat: Repeat, phase: str) -> None:
        self._desk = desk
        self._repeat = repeat
        self._phase = phase
        self.id = f"{repeat.id}/{phase}"
        self.is_reset = phase == desk.plan.phases[-1]
        self.state: Literal["preparing", "starting", "running", "over"] = "preparing"
        self.overdue: list[tuple[str, str]] = []  # nodes to be given up, and why
        self._limit_ns = 0  # while it runs: then nobody is waited for any more
        self.lost_broker = ""  # why, if the broker does not decide
        self.cut_how: Cut = ""
        self.deadline_ns, self._why_cut = 0, ""
        self._nodes: tuple[str, ...] = ()
        self._busy: set[str] = set()  # those of them that have something to do
        self._refusing: set[str] = set()
        self._is_refused = False  # by a node, in the present attempt to prepare
        self._late: list[Refused] = []  # of nodes that had been ready
        self._begun: tuple[str, ...] = ()  # have started a reset though its go was aborted
        self._said: dict[str, bool] = {}  # nodes that say that they are done, and whether something failed
        self._barrier = Barrier((), 0)
        self._goes = Goes(desk, self.id)

    @property
    def is_over(self) -> bool:
        """Whether the next phase can come."""
        return self.state == "over"

    def __str__(self) -> str:
        return f"{self.state} phase {self.id}"

    def postpone(self, ns: int) -> None:
        """Give everybody more time: the broker was away for so long."""
        self.deadline_ns, self._limit_ns = self.deadline_ns + ns, self._limit_ns + ns

    # --- preparing --------------------------------------------------------------------------------------

    @property
    def is_void(self) -> bool:
        """Whether nothing is to be done in it, so that there is nothing to start together."""
        steps = self._desk.plan.steps(self._repeat, self._phase)
        return not any(steps.get(node) or self._ends(node) for node in self._possible)

    def pass_over(self) -> list[Effect]:
        """Be over at once."""
        self.state = "over"
        return []

    def begin(self, now_ns: int) -> list[Effect]:
        """Send every node its part; again if trouble has changed what is to be done.

        Where nothing is left to be done the phase is over at once.
        """
        desk = self._desk
        self.state, self._is_refused = "preparing", False
        self._goes.asked(now_ns)
        self._nodes = tuple(node for node in self._possible if node not in self._refusing)
        steps = desk.plan.steps(self._repeat, self._phase)
        ends = {node: self._ends(node) for node in self._nodes}
        self._busy = {node for node in self._nodes if steps.get(node) or ends[node]}
        if not self._busy:
            return self.leave()
        self._barrier = Barrier(self._nodes, now_ns + round((BARRIER_S + grace_s(desk.plan, ends)) * S))
        self.deadline_ns = self._barrier.deadline_ns
        effects: list[Effect] = []
        for node in self._nodes:
            env, own = factor(steps.get(node, ()))
            prepare = Prepare(
                run=desk.run,
                node=node,
                phase=self.id,
                end=ends[node],
                failed=desk.progress.failed,
                stopped=desk.progress.stopped,
                env=env,
                steps=own,
                secrets=wanted_secrets(own, desk.plan.secrets),
            )
            effects += desk.ask(("prepare", node), prepare, now_ns)
        return effects

    @property
    def is_fit(self) -> bool:
        """Whether what the nodes were asked to prepare, or would be, is what a repeat without trouble does.

        Where a spawned step ends with the beginning of the phase, nothing can be prepared ahead of that.
        """
        progress, nodes = self._desk.progress, self._possible
        is_as_asked = self._nodes in ((), nodes) and not (progress.failed or progress.stopped)
        return is_as_asked and not any(map(self._ends, nodes))

    @property
    def _possible(self) -> tuple[str, ...]:
        """The nodes that may take part; in the reset all do."""
        excluded = set() if self.is_reset else self._desk.excluded
        return tuple(node for node in self._desk.nodes_of(self._repeat.cell) if node not in excluded)

    def _ends(self, node: str) -> tuple[str, ...]:
        """Return the spawned steps of a node whose time is over when this phase begins."""
        steps = self._desk.spawned.get(node, {}).items()
        return tuple(step for step, until in steps if self.is_reset or self._phase in until)

    def ready(self, message: Ready, now_ns: int) -> list[Effect]:
        """Take a node's readiness; the last one's starts the phase."""
        if self.state != "preparing" or message.phase != self.id:
            return []
        self._desk.outbox.answered(("prepare", message.node))
        self._goes.ready(message.rtt_ns, now_ns)
        self._desk.doubts.ready(message.node, message.clock_bound_ns)
        return self._decide(now_ns) if self._barrier.arrived(message.node) else []

    def refused(self, message: Refused, now_ns: int) -> list[Effect]:
        """Take a node's refusal: nobody starts, but what follows a failure is done without it.

        The others get a moment for theirs: who mends a trial wants to know all that is wrong.
        """
        if message.phase != self.id:
            return []
        if self.state == "starting" and message.node in self._nodes:
            self._late.append(message)  # it was ready, and declines the go
            return self._refused_late(now_ns) if self._goes.again_ns else []
        if self.state != "preparing" or not self._desk.outbox.answered(("prepare", message.node)):
            return []
        return self._take_refusal(message, now_ns)

    def _refused_late(self, now_ns: int) -> list[Effect]:
        """Take the refusals of nodes that had been ready, when it is known that nobody has started."""
        late, self._late, self.state = self._late, [], "preparing"
        self._barrier = Barrier((message.node for message in late), now_ns)
        return [effect for message in late for effect in self._take_refusal(message, now_ns)]

    def _take_refusal(self, message: Refused, now_ns: int) -> list[Effect]:
        desk = self._desk
        if not self.is_reset and desk.can_do_without(message.node):
            return self._exclude(message, now_ns)
        judge_refusal(desk, message, is_reset=self.is_reset)
        if not self.is_reset:
            self._refusing.add(message.node)
            self._is_refused = True
            self.deadline_ns = min(self.deadline_ns, now_ns + REFUSALS_NS)
        self._nodes = tuple(node for node in self._nodes if node != message.node)
        return self._decide(now_ns) if self._barrier.arrived(message.node) else []

    def _decide(self, now_ns: int) -> list[Effect]:
        """Start if nobody has refused; else do what follows a failure, if something does."""
        if not self._is_refused:
            return self._start(now_ns)
        return self.begin(now_ns) if self._follows_failures else self.leave()

    def _exclude(self, message: Refused, now_ns: int) -> list[Effect]:
        """Go on without a node that refuses, but have it reset with the others."""
        desk, node = self._desk, message.node
        desk.excluded.add(node)
        self._nodes = tuple(name for name in self._nodes if name != node)
        told = desk.notice(f"goes on without {node}, which refused {self.id}: {message.sentence}", now_ns)
        return told + (self._decide(now_ns) if self._barrier.arrived(node) else [])

    # --- starting ---------------------------------------------------------------------------------------

    def _start(self, now_ns: int) -> list[Effect]:
        desk = self._desk
        self._nodes = tuple(node for node in self._nodes if node in desk.alive and node not in self._begun)
        if not self._nodes:
            return self._run(self._begun, now_ns) if self._begun else self.leave()
        self.state = "starting"
        self.deadline_ns = now_ns + START_NS
        doubt = desk.doubts.about(self._nodes)
        told = desk.notice(doubt, now_ns) if doubt else []
        return told + self._goes.ask(self._nodes, now_ns, is_reset=self.is_reset)

    def committed(self, message: GoCommitted, now_ns: int) -> list[Effect]:
        """All nodes start at t0."""
        if self.state != "starting" or not self._goes.is_answer(message):
            return []
        return [Note(self._goes.stood(message)), *self._run((*self._begun, *self._nodes), now_ns)]

    def aborted(self, message: GoAborted, now_ns: int) -> list[Effect]:
        """Nobody starts: try again, or give the phase up."""
        if self.state != "starting" or not self._goes.is_answer(message):
            return []
        if (stands := as_committed(message, self._busy.intersection(self._nodes))) is not None:
            return [Note(self._goes.stood(stands)), *self._run((*self._begun, *message.started), now_ns)]
        then = self._goes.then(message.started, is_reset=self.is_reset, told=self.cut_how or self._late)
        note = phase_aborted(self._desk, message, then, now_ns)
        if self.is_reset:
            self._begun += message.started  # cleaning up need not begin at one instant: the others follow
        else:
            note_aborted(self._desk, message)
            if message.started:
                return [note, *self._partly_started(message, now_ns)]
        if self.cut_how:
            return [note, *self.leave()]
        if self._late:
            return [note, *self._refused_late(now_ns)]
        if self._goes.try_again(now_ns):
            self.deadline_ns = self._goes.again_ns
            return [note]
        return [note, *self._not_started(message, now_ns)]

    def _partly_started(self, message: GoAborted, now_ns: int) -> list[Effect]:
        """An abort came too late for some: end what they do; nothing of it can be trusted."""
        note_partial(self._desk, message)
        self.cut_how, self._why_cut = "hard", "not all nodes have started"
        return self._run(message.started, now_ns)

    def _not_started(self, message: GoAborted, now_ns: int) -> list[Effect]:
        judge_no_start(self._desk, self.id, self._goes.tries, message)
        if not self.is_reset:
            return self.leave()
        # The others have to clean up all the same.
        self.overdue = [(node, f"{node} could not start its reset") for node in message.reasons if node]
        self._goes.start_over(now_ns)
        self.deadline_ns = now_ns
        return []

    # --- running ----------------------------------------------------------------------------------------

    def _run(self, nodes: tuple[str, ...], now_ns: int) -> list[Effect]:
        """Wait until the nodes have finished the phase, which some may have done already.

        A node that confirmed the go may have been lost since.
        """
        self.state = "running"
        self._note_spawned(nodes)
        alive, done = self._desk.alive, self._desk.history.finished_nodes[self.id]
        self._barrier = Barrier((node for node in nodes if node in alive and node not in done), 0)
        self.deadline_ns = now_ns + limit_ns(self._desk.plan.steps(self._repeat, self._phase))
        self._limit_ns = self.deadline_ns + OVERTIME_NS
        is_waiting = not self._barrier.is_complete
        return self._cancel(now_ns) if self.cut_how and is_waiting else self.go_on(now_ns)

    def _note_spawned(self, nodes: tuple[str, ...]) -> None:
        for node in nodes:
            steps = self._desk.plan.steps(self._repeat, self._phase).get(node, ())
            self._desk.note_spawned(node, steps, self._ends(node))

    def finished(self, node: str, now_ns: int) -> list[Effect]:
        """A node has done all that it had to do."""
        if self.state != "running":
            return []
        self._desk.outbox.answered(("cancel", node))
        self._barrier.arrived(node)
        return self.go_on(now_ns)

    def said(self, message: PhaseDone, _now_ns: int) -> list[Effect]:
        """Take a node's word that it is done; its record follows, and counts."""
        if message.phase == self.id:
            self._said[message.node] = message.failed
        return []

    @property
    def is_as_good_as_over(self) -> bool:
        """Whether all nodes say that they are done, and nothing has failed."""
        missing = self._barrier.missing
        if self.state != "running" or self.cut_how or len(self._said) < len(missing):
            return False
        return missing.keys() <= self._said.keys() and not any(self._said.values())

    def go_on(self, now_ns: int) -> list[Effect]:
        """End if all nodes have finished and all of their metrics are known, for those may be failures."""
        is_done = self.state == "running" and self._barrier.is_complete and not self._desk.awaited
        return self._end(now_ns) if is_done else []

    def _end(self, now_ns: int) -> list[Effect]:
        self.state = "over"
        return [Note(phase_ended(self._desk, self.id, self._goes.t0_ns, now_ns))]

    # --- trouble ----------------------------------------------------------------------------------------

    def cut(self, how: Literal["soft", "hard"], why: str, now_ns: int) -> list[Effect]:
        """End the phase early, unless it is the reset."""
        if self.is_reset or self.is_over or self.cut_how in (how, "hard"):
            return []
        if self.state == "preparing" or self._goes.again_ns:
            return self.begin(now_ns) if how == "soft" and self._follows_failures else self.leave()
        self.cut_how, self._why_cut = how, why
        told = tell_cut(self._desk, self.id, why, now_ns)
        return told + (self._cancel(now_ns) if self.state == "running" else [])

    @property
    def _follows_failures(self) -> bool:
        """Whether something of it is to be done after a failure, such as to collect what explains it."""
        steps = self._desk.plan.steps(self._repeat, self._phase)
        able = [node for node in self._possible if node not in self._refusing]
        wanted = any(step.when != "passed" for node in able for step in steps.get(node, ()))
        return self._desk.progress.stopped and wanted

    def node_gone(self, node: str, why: str, now_ns: int, *, is_needed: bool = True) -> list[Effect]:
        """Go on without a node; end the phase early if it is needed."""
        if is_needed:
            self._desk.failed_phases.add(self.id)
        for what in ("prepare", "cancel"):
            self._desk.outbox.answered((what, node))
        was_last = self._barrier.arrived(node)
        if self.state == "running" and was_last:
            return self.go_on(now_ns)
        if (self.is_reset or not is_needed) and self.state == "preparing" and was_last:
            return self._decide(now_ns)
        return self.cut("soft", why, now_ns) if is_needed else []

    def expire(self, now_ns: int) -> list[Effect]:
        """Try a go again; notice who is late.  Safe to call at any time."""
        if self.is_over or now_ns < self.deadline_ns:
            return []
        if self.state == "starting":
            if self._goes.again_ns:
                return self._start(now_ns)
            self.lost_broker = f"the broker did not decide about the go of phase {self.id}"
            return []
        if self._is_refused and self.state == "preparing":
            return self._decide(now_ns)
        missing = list(self._barrier.missing)
        quiet_ns = self._desk.quiet_ns(missing, now_ns) if self.state == "running" else None
        if quiet_ns is not None and quiet_ns < REPORTING_NS and now_ns < self._limit_ns:
            self.deadline_ns = now_ns + REPORTING_NS - quiet_ns
            return []
        self.deadline_ns = now_ns + REPORTING_NS
        what = "was not ready in time" if self.state == "preparing" else "did not finish the phase in time"
        self.overdue = [(node, f"{node} {what}") for node in missing]
        return []

    def _cancel(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for node in self._barrier.missing:
            message = Cancel(
                run=self._desk.run,
                node=node,
                phase=self.id,
                everything=self.cut_how == "hard",
                sentence=self._why_cut,
            )
            effects += self._desk.ask(("cancel", node), message, now_ns)
        return effects

    def leave(self) -> list[Effect]:
        """Be over without having started."""
        self.state = "over"
        for node in self._desk.alive:
            self._desk.outbox.answered(("prepare", node))
        self._desk.outbox.answered("start")
        return []


WORDS: Final[Mapping[type, Callable[[PhaseRun, Any, int], list[Effect]]]] = {
    Ready: PhaseRun.ready,
    Refused: PhaseRun.refused,
    GoCommitted: PhaseRun.committed,
    GoAborted: PhaseRun.aborted,
    PhaseDone: PhaseRun.said,
}
"""What is done with a message about the phase."""
