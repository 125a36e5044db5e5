"""PURE.  A run, from the reservation of its nodes to the verdict.

    opening -> phases -> freeing -> closing -> over

In between a part of its own does the work: `Assigning`, a `PhaseRun`, the `Ending`.

Control messages carry what has to be agreed on (prepare, go); what the nodes did comes as records, read from
the run's record log.  Instants are nanoseconds of the controller's monotonic clock.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from fabric.controller.ahead import Ahead
from fabric.controller.assigning import Assigning
from fabric.controller.desk import Desk, Progress
from fabric.controller.effects import Effect, Over, Tell
from fabric.controller.ending import Ending
from fabric.controller.entry import Read
from fabric.controller.failures import describe_timeout, judge, judge_metric, name_failure
from fabric.controller.measures import Measured
from fabric.controller.opening import Opening
from fabric.controller.partial import take_record
from fabric.controller.phase import WORDS, PhaseRun
from fabric.controller.plan import RunPlan
from fabric.controller.repeats import metric_notes, repeat_ended, repeat_started, run_started
from fabric.controller.roster import Roster
from fabric.controller.script import INTERRUPTED, LEFT, Script
from fabric.controller.stall import ENDS, Stall
from fabric.controller.verdict import Findings
from fabric.protocol.messages import (
    Assigned,
    Denied,
    Freed,
    Message,
    NodeBack,
    NodeInfo,
    NodeLost,
    OpenRun,
    RunClosed,
    RunOpened,
)
from fabric.protocol.records import PhaseFinished, RunEnded, StepFinished
from fabric.timing.offset import Known

S: Final = 1_000_000_000

State = Literal["new", "opening", "phases", "freeing", "closing", "over"]


class Run:
    """One execution of a trial.

    Args:
        run: Its id.
        plan: What is to be done.
        lease_s: How long the nodes work without news of the controller or the broker.
        document: plan.json.
        result: Makes result.json when the verdict is known.
    """

    def __init__(
        self, *, run: str, plan: RunPlan, lease_s: float, document: str, result: "Callable[[Run], str]"
    ) -> None:
        self.run = run
        self.plan = plan
        self.document = document
        self.state: State = "new"
        self.nodes: dict[str, NodeInfo] = {}
        self.lost: dict[str, str] = {}  # nodes that were given up, and why
        self.denied = ""  # which sort of refusal kept it from beginning
        self.desk = Desk(run, plan)  # what was found so far
        self._lease_s = lease_s
        self._result = result
        self._script = Script(plan.remaining, plan.phases)
        self._part: Opening | Assigning | PhaseRun | Ending | None = None
        self._ahead = Ahead(self.desk)
        self._roster = Roster(goes_on=plan.trial.on_lost == "continue")
        self._stall = Stall()
        self._interrupts = 0
        self._deadline_ns: int | None = None  # of the whole trial
        self._away_ns: int | None = None  # since when the broker is away

    @property
    def _phase(self) -> PhaseRun | None:
        return self._part if isinstance(self._part, PhaseRun) else None

    @property
    def _ending(self) -> Ending | None:
        return self._part if isinstance(self._part, Ending) else None

    @property
    def is_starting(self) -> bool:
        """Whether nodes are about to start a phase."""
        return self._phase is not None and self._phase.state in ("preparing", "starting")

    @property
    def findings(self) -> Findings:
        """What was found so far."""
        return self.desk.findings

    # --- inputs -----------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> list[Effect]:
        """Ask for the nodes."""
        self.state, self._part = "opening", Opening(now_ns)
        trial = self.plan.trial
        self._deadline_ns = None if trial.timeout_s is None else now_ns + round(trial.timeout_s * S)
        message = OpenRun(
            request=1,
            run=self.run,
            name=trial.name,
            nodes=self.plan.nodes,
            trial=trial.text,
            plan=self.document,
            lease_s=self._lease_s,
            dirty_too=self.plan.takes_dirty,
        )
        return self.desk.ask("open", message, now_ns)

    def connected(self, now_ns: int) -> list[Effect]:
        """The connection to the broker is new: say again what is unanswered, and wait for it anew."""
        away_ns, self._away_ns = 0 if self._away_ns is None else now_ns - self._away_ns, None
        self._roster.postpone(away_ns)
        if self._part is not None:
            self._part.postpone(away_ns)
        return [Tell(message) for message in self.desk.outbox.repeat_all(now_ns)]

    def disconnected(self, now_ns: int) -> None:
        """The broker is away: nobody is given up for what it cannot pass on; the connection has a limit."""
        self._away_ns = now_ns

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message of the broker about this run."""
        handler = _HANDLERS.get(type(message))
        if handler is None or self.state == "over":
            return []
        return self._go_on(handler(self, message, now_ns), now_ns)

    def read(self, read: Read, now_ns: int) -> list[Effect]:
        """Take the next record of the run's log."""
        effects: list[Effect] = []
        match take_record(self.desk, read, now_ns):
            case StepFinished() as end:
                effects = self._step_finished(read.node, end, now_ns)
            case PhaseFinished(phase=phase) if self._phase is not None and phase == self._phase.id:
                effects = self._phase.finished(read.node, now_ns)
            case RunEnded() as end if self._ending is not None and self._ending.is_told(end):
                return self._ending.close(self._result(self), now_ns)
            case RunEnded(why=why):  # by the broker, for which this controller was gone for too long
                return self.broker_gone(why[0])
        if self.state == "freeing" and self._ending is not None:
            self._ending.read(read.node, now_ns)
        return self._go_on(effects, now_ns)

    def measured(self, measured: Measured, now_ns: int) -> list[Effect]:
        """Take a metric that was found, or was not, in what a step left."""
        effects = metric_notes(self.desk, measured, now_ns)
        stops = judge_metric(self.desk, measured)
        if (phase := self._phase) is not None:
            if stops:
                effects += phase.cut("soft", f"metric {measured.spec.name} was not found", now_ns)
            effects += phase.go_on(now_ns)
        return self._go_on(effects, now_ns)

    def clock_changed(self, clock: Known) -> None:
        """Use this clock for the run's own records; more may become known of it."""
        self.desk.clock = clock

    def broker_gone(self, sentence: str) -> list[Effect]:
        """The broker was away for too long: the agents take care of themselves."""
        self.findings.add("error", sentence)
        return self._over()

    def bundle_failed(self, sentence: str, now_ns: int) -> list[Effect]:
        """What the run reports cannot be written here: go no further, but reset."""
        self.findings.add("error", sentence)
        self.desk.awaited, self.desk.is_measuring = 0, False  # nothing can be read there any more
        return self._stop(sentence, now_ns)

    def interrupt(self, now_ns: int) -> list[Effect]:
        """Ctrl-C: once ends the phase, collects and resets; twice resets only; three times leaves."""
        self._interrupts += 1
        self.findings.add("interrupted", "interrupted")
        if self._interrupts > 2 or self.state in ("new", "opening"):  # noqa: PLR2004 - as documented
            if self.desk.alive:
                self.findings.add("interrupted", LEFT.format(lease_s=self._lease_s))
            return self._over()
        self.desk.is_last_repeat = True
        if self.state != "phases":
            return []
        self._script.skip_to("collect" if self._interrupts == 1 else self.plan.phases[-1])
        told = self.desk.notice(INTERRUPTED[self._interrupts], now_ns)
        if self._phase is None:
            return told + self._free(now_ns)
        how: Literal["soft", "hard"] = "soft" if self._interrupts == 1 else "hard"
        return told + self._go_on(self._phase.cut(how, "interrupted", now_ns), now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        if self.state in ("new", "over") or self._away_ns is not None:
            return None
        trial_ns = self._deadline_ns if self.state == "phases" else None
        times = [self.desk.outbox.deadline_ns, self._roster.deadline_ns, trial_ns]
        if self._part is not None:
            times.append(self._part.deadline_ns)
        return min((time for time in times if time is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Say again, give up on nodes and phases.  Safe to call at any time."""
        if self.state in ("new", "over") or self._away_ns is not None:
            return []
        effects: list[Effect] = [Tell(message) for message in self.desk.outbox.expire(now_ns)]
        effects += [effect for lost in self._roster.due(now_ns) for effect in self._node_gone(*lost, now_ns)]
        if self.state == "phases" and self._deadline_ns is not None and now_ns >= self._deadline_ns:
            effects += self._trial_timed_out(now_ns)
        if self._part is not None:
            effects += self._part.expire(now_ns)
            if self._part.lost_broker:
                return effects + self.broker_gone(self._part.lost_broker)
        return self._go_on(effects, now_ns)

    # --- reservation ------------------------------------------------------------------------------------

    def _on_opened(self, message: RunOpened, now_ns: int) -> list[Effect]:
        if not self.desk.outbox.answered("open"):
            return []
        self.nodes = {info.name: self.plan.completed(info) for info in message.nodes}
        self.desk.alive = dict.fromkeys(self.plan.nodes)
        self.state = "phases"
        return self._assign(now_ns)

    def _assign(self, now_ns: int) -> list[Effect]:
        self._part = Assigning(self.desk, self._script.repeat.cell, self._lease_s)
        return self._part.begin(now_ns)

    def _on_denied(self, message: Denied, now_ns: int) -> list[Effect]:
        if message.code == "closed" and not message.request and self.desk.outbox.awaits("close"):
            return []  # of the run's own records, said again while the broker was closing it as asked
        sentence = self._stall.why_over(message, self._lease_s, now_ns)
        if not sentence or (self.state != "opening" and message.code not in ENDS):
            return []
        self.findings.add("error", sentence)
        self.denied = message.code if self.state == "opening" else ""
        return self._over()

    # --- phases -----------------------------------------------------------------------------------------

    def _go_on(self, effects: list[Effect], now_ns: int) -> list[Effect]:
        """Do what follows from the state of the present part: give nodes up, take the next part."""
        while self.state in ("phases", "freeing") and self._part is not None:
            part = self._part
            if part.overdue:
                (node, why), part.overdue = part.overdue[0], part.overdue[1:]
                effects += self._node_gone(node, why, now_ns)
            elif not part.is_over:
                break
            elif isinstance(part, Ending):
                self.state = "closing"
                effects += part.tell(now_ns)
            elif isinstance(part, Assigning):
                effects += self._assigned(now_ns)
            else:
                effects += self._next_phase(now_ns)
        return (
            effects if self._phase is None else effects + self._ahead.look(self._phase, self._script, now_ns)
        )

    def _assigned(self, now_ns: int) -> list[Effect]:
        """All nodes of the cell have their part: begin it."""
        is_first = not self._script.has_begun
        if not self.desk.alive or self.desk.is_last_repeat or (is_first and not self._script.advance()):
            return self._free(now_ns)
        if not is_first:
            return self._begin_repeat(now_ns)
        return run_started(self.desk, now_ns) + self._begin_repeat(now_ns)

    def _begin_repeat(self, now_ns: int) -> list[Effect]:
        self.desk.progress = Progress()
        return [repeat_started(self.desk, self._script.repeat, now_ns), *self._begin_phase(now_ns)]

    def _begin_phase(self, now_ns: int) -> list[Effect]:
        self._part, effects = self._ahead.begin(self._script, now_ns)
        return effects

    def _next_phase(self, now_ns: int) -> list[Effect]:
        desk, script, present = self.desk, self._script, self._script.repeat
        script.is_last_repeat = script.is_last_repeat or desk.is_last_repeat
        if desk.progress.stopped and script.phase not in self.plan.trial.cycle:
            script.leave_cell()  # what its further repeats would build on was not set up
        if desk.alive and script.advance():
            if script.repeat is present:
                return self._begin_phase(now_ns)
            ended = [repeat_ended(desk, present, now_ns)]
            return ended + (
                self._begin_repeat(now_ns) if script.repeat.cell == present.cell else self._assign(now_ns)
            )
        return [repeat_ended(desk, present, now_ns), *self._free(now_ns)]

    def _on_phase_word(self, message: Any, now_ns: int) -> list[Effect]:
        if isinstance(self._part, Assigning):
            self._part.heard(message)
        take = WORDS.get(type(message))
        if take is None or self._phase is None or self._ahead.heard(message, now_ns):
            return []
        return take(self._phase, message, now_ns)

    def _step_finished(self, node: str, end: StepFinished, now_ns: int) -> list[Effect]:
        phase, stops = self._phase, judge(self.desk, node, end)
        return phase.cut("soft", name_failure(node, end), now_ns) if stops and phase is not None else []

    # --- trouble ----------------------------------------------------------------------------------------

    def _stop(self, why: str, now_ns: int) -> list[Effect]:
        """End the present phase early, and let this repeat be the last."""
        self.desk.progress.stop()
        self.desk.is_last_repeat = True
        if (phase := self._phase) is None:
            return self._go_on([], now_ns)
        return self._go_on(phase.cut("soft", why, now_ns) + phase.go_on(now_ns), now_ns)

    def _trial_timed_out(self, now_ns: int) -> list[Effect]:
        self._deadline_ns, phase_id = None, self._phase.id if self._phase is not None else ""
        self.findings.add("fail", describe_timeout(self.desk, self._where(), phase_id))
        return self._stop("the trial's timeout is over", now_ns)

    def _on_node_lost(self, message: NodeLost, now_ns: int) -> list[Effect]:
        news = self._roster.lost(message, now_ns) if message.node in self.desk.alive else ""
        return self.desk.notice(news, now_ns) if news and self.state in ("phases", "freeing") else []

    def _on_node_back(self, message: NodeBack, now_ns: int) -> list[Effect]:
        self._roster.back(message.node)
        info = self.nodes.get(message.node)
        if message.works_on or info is None or not isinstance(self._part, PhaseRun | Ending):
            return []
        if self._ending is not None and self._ending.is_leaving(message, info):
            return []
        how = "was cut off for so long that it ended" if message.alone else "has restarted and lost"
        return self._node_gone(message.node, f"{message.node} {how} its part of the run", now_ns)

    def _node_gone(self, node: str, why: str, now_ns: int) -> list[Effect]:
        """Go on without a node: what it had to do is void, the others collect and reset."""
        self._roster.back(node)
        if node not in self.desk.alive:
            return []
        is_needed = not self.desk.can_do_without(node)
        del self.desk.alive[node]
        self.lost[node] = why
        effects: list[Effect] = []
        if is_needed:
            self.findings.add("error", f"{why} ({self._where()})")
            self.desk.is_last_repeat = True
            self.desk.progress.stop()
        else:
            effects = self.desk.spare(node, f"{why} ({self._where()})", now_ns)
        if isinstance(self._part, PhaseRun):
            effects += self._part.node_gone(node, why, now_ns, is_needed=is_needed)
        elif self._part is not None:
            self._part.node_gone(node)
        return effects

    def _where(self) -> str:
        """Say in which state of which phase the run is."""
        return str(self._part) if self._part is not None else self.state

    # --- the end ----------------------------------------------------------------------------------------

    def _free(self, now_ns: int) -> list[Effect]:
        self.state = "freeing"
        self._part = ending = Ending(self.desk, now_ns)
        return self._go_on(ending.begin(now_ns), now_ns)

    def _on_freed(self, message: Freed, now_ns: int) -> list[Effect]:
        if self._phase is not None:  # it was not asked
            return self._node_gone(message.node, f"{message.node} has left the run before its end", now_ns)
        if self.state == "freeing" and self._ending is not None and message.node in self.desk.alive:
            self._roster.left(message.node)
            self._ending.freed(message, now_ns)
        return []

    def _on_closed(self, message: RunClosed, now_ns: int) -> list[Effect]:
        return self._over() if self.desk.outbox.answered("close") else []

    def _over(self) -> list[Effect]:
        self.state = "over"
        self.desk.outbox.clear()
        return [Over()]


_HANDLERS: Final[Mapping[type, Callable[[Run, Any, int], list[Effect]]]] = {
    RunOpened: Run._on_opened,  # noqa: SLF001 - its own table
    Denied: Run._on_denied,  # noqa: SLF001
    **dict.fromkeys((Assigned, *WORDS), Run._on_phase_word),  # noqa: SLF001
    NodeLost: Run._on_node_lost,  # noqa: SLF001
    NodeBack: Run._on_node_back,  # noqa: SLF001
    Freed: Run._on_freed,  # noqa: SLF001
    RunClosed: Run._on_closed,  # noqa: SLF001
}
