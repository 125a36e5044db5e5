"""PURE.  A run, from the reservation of its nodes to the verdict.

    opening -> assigning -> preparing -> starting -> running -> ... -> freeing -> closing -> over
                               ^______________________|

Control messages carry what has to be agreed on (prepare, go); what the nodes did comes as records, read from the
run's record log.  Instants are nanoseconds of the controller's monotonic clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fabric.controller.barrier import Barrier
from fabric.controller.effects import Effect, Note, Over, Tell
from fabric.controller.entry import Read
from fabric.controller.history import History
from fabric.controller.outbox import Outbox
from fabric.controller.plan import RunPlan
from fabric.controller.script import Script
from fabric.controller.skew import SkewMeter
from fabric.controller.verdict import Findings
from fabric.protocol.limits import BARRIER_S, GO_ATTEMPTS, NODE_PATIENCE_S
from fabric.protocol.messages import (
    Assign,
    Assigned,
    Cancel,
    CloseRun,
    Denied,
    Free,
    Freed,
    GoAborted,
    GoCommitted,
    Message,
    NodeBack,
    NodeInfo,
    NodeLost,
    OpenRun,
    Prepare,
    Ready,
    Refused,
    RunClosed,
    RunOpened,
    StartPhase,
)
from fabric.protocol.records import (
    PhaseAborted,
    PhaseEnded,
    PhaseFinished,
    PhaseStarted,
    RunEnded,
    RunStarted,
    StepFinished,
)
from fabric.timing.offset import Estimate

S: Final = 1_000_000_000

State = Literal[
    "new", "opening", "assigning", "preparing", "starting", "running", "freeing", "closing", "over"
]

FREE_NS: Final = 30 * S
"""A node that is asked to come free has to report something at least this often."""

PHASE_SLACK_NS: Final = 60 * S
"""A phase may take so much longer than its steps' limits together: launching, draining, shipping."""

START_NS: Final = 30 * S
"""The broker decides about a go within seconds; this much longer allows for its restart."""

GO_PAUSES_NS: Final = (S // 2, 2 * S)
"""Before the second and the third try at a go: what hindered the first may pass."""

CLOSE_NS: Final = 15 * S
"""The broker writes the run's end within so long."""


@dataclass(slots=True)
class Progress:
    """Where the present repeat stands."""

    failed: bool = False  # a step has failed
    stopped: bool = False  # ... or a node was lost: steps that want success do not begin
    go: int = 0
    rtt_ns: int = 0
    cancel: Literal["", "soft", "hard"] = ""  # of the present phase
    deadline_ns: int = 0
    again_ns: int = 0  # when the go is tried again; 0: not due
    nodes: tuple[str, ...] = ()  # that take part in the present phase


@dataclass(slots=True)
class Run:
    """One execution of a trial."""

    run: str
    plan: RunPlan
    lease_s: float
    document: str  # plan.json
    result: Callable[["Run"], str]
    state: State = "new"
    clock: Estimate | None = None
    findings: Findings = field(default_factory=Findings)
    history: History = field(default_factory=History)
    nodes: dict[str, NodeInfo] = field(default_factory=dict)
    interrupts: int = 0
    started_ns: int = 0  # local
    _script: Script = field(init=False)
    _now: Progress = field(default_factory=Progress)
    _barrier: Barrier = field(default_factory=lambda: Barrier((), 0))
    _outbox: Outbox = field(default_factory=Outbox)
    _alive: dict[str, None] = field(default_factory=dict)
    _silent: dict[str, tuple[int, str]] = field(default_factory=dict)  # lost node: until when, why
    _freed: dict[str, Freed] = field(default_factory=dict)
    _t0_ns: int = 0
    _why: str = ""  # of the cancel
    _trial_is_late: bool = False
    _heard_ns: dict[str, int] = field(default_factory=dict)  # last record of a node

    def __post_init__(self) -> None:
        self._script = Script(self.plan.phases, self.plan.repeats)

    # --- inputs -----------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> list[Effect]:
        """Ask for the nodes."""
        self.state, self.started_ns = "opening", now_ns
        trial = self.plan.trial
        message = OpenRun(
            request=1,
            run=self.run,
            name=trial.name,
            nodes=self.plan.nodes,
            trial=trial.text,
            plan=self.document,
            lease_s=self.lease_s,
        )
        return self._ask("open", message, now_ns)

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message of the broker about this run."""
        handler = _HANDLERS.get(type(message))
        return handler(self, message, now_ns) if handler and self.state != "over" else []

    def read(self, read: Read, now_ns: int) -> list[Effect]:
        """Take the next record of the run's log."""
        self.history.take(read)
        self._heard_ns[read.node] = now_ns
        record = read.record
        if isinstance(record, StepFinished):
            return self._on_step_finished(read.node, record, now_ns)
        if isinstance(record, PhaseFinished):
            return self._on_phase_finished(read.node, record, now_ns)
        if isinstance(record, RunEnded) and self.state == "closing":
            return self._close(now_ns)
        return self._free_if_read(read.node, now_ns) if self.state == "freeing" else []

    def connected(self, now_ns: int) -> list[Effect]:
        """The connection to the broker is new: say again what is unanswered."""
        return [Tell(message) for message in self._outbox.repeat_all(now_ns)]

    def broker_gone(self, sentence: str) -> list[Effect]:
        """The broker was away for too long: the agents take care of themselves."""
        self.findings.add("error", sentence)
        return self._over()

    def bundle_failed(self, sentence: str, now_ns: int) -> list[Effect]:
        """What the run reports cannot be written here: go no further, but reset."""
        self.findings.add("error", sentence)
        self._stop()
        self._script.last_repeat = True
        return self._cut_phase("soft", sentence, now_ns)

    def interrupt(self, now_ns: int) -> list[Effect]:
        """Ctrl-C: once ends the phase, collects and resets; twice resets only; three times leaves."""
        self.interrupts += 1
        self.findings.add("interrupted", "interrupted")
        if self.interrupts > 2 or self.state in ("new", "opening"):  # noqa: PLR2004 - as documented
            return self._over()
        self._script.skip_to("collect" if self.interrupts == 1 else "reset")
        return self._cut_phase("soft" if self.interrupts == 1 else "hard", "interrupted", now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        times = [self._outbox.deadline_ns, self._trial_deadline_ns]
        times += [until_ns for until_ns, _ in self._silent.values()]
        if self.state in ("assigning", "preparing", "starting", "running", "freeing", "closing"):
            times.append(self._now.deadline_ns)
        if self.state == "starting" and self._now.again_ns:
            times.append(self._now.again_ns)
        return min((time for time in times if time is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Repeat, give up on nodes and phases.  Safe to call at any time."""
        effects: list[Effect] = [Tell(message) for message in self._outbox.expire(now_ns)]
        for node, (until_ns, why) in list(self._silent.items()):
            if now_ns >= until_ns:
                effects += self._node_gone(node, why, now_ns)
        if self.state == "starting" and self._now.again_ns and now_ns >= self._now.again_ns:
            effects += self._start_phase(now_ns)
        if self._trial_deadline_ns is not None and now_ns >= self._trial_deadline_ns:
            effects += self._trial_timed_out(now_ns)
        if self.state != "over" and self._now.deadline_ns and now_ns >= self._now.deadline_ns:
            effects += self._state_timed_out(now_ns)
        return effects

    # --- reservation ------------------------------------------------------------------------------------

    def _on_opened(self, message: RunOpened, now_ns: int) -> list[Effect]:
        if not self._outbox.answered("open"):
            return []
        self.nodes = {info.name: info for info in message.nodes}
        self._alive = dict.fromkeys(self.plan.nodes)
        self.state = "assigning"
        self._wait(self._alive, BARRIER_S, now_ns)
        effects: list[Effect] = []
        resets = self.plan.reset_alone()
        for node in self._alive:
            assign = Assign(
                run=self.run,
                node=node,
                on_lost=self.plan.trial.on_lost,
                lease_s=self.lease_s,
                reset=resets[node],
            )
            effects += self._ask(("assign", node), assign, now_ns)
        return effects

    def _on_denied(self, message: Denied, now_ns: int) -> list[Effect]:
        if self.state != "opening" and message.code not in ("closed", "unknown_run", "not_yours"):
            return []
        self.findings.add("error", message.sentence)
        return self._over()

    def _on_assigned(self, message: Assigned, now_ns: int) -> list[Effect]:
        self._outbox.answered(("assign", message.node))
        if self.state != "assigning" or not self._barrier.arrived(message.node):
            return []
        return self._begin(now_ns)

    def _begin(self, now_ns: int) -> list[Effect]:
        t, bound = self._fabric(now_ns)
        record = RunStarted(t_ns=t, bound_ns=bound, name=self.plan.trial.name, nodes=tuple(self._alive))
        return [Note(record), *self._next_phase(now_ns)]

    # --- preparing --------------------------------------------------------------------------------------

    def _next_phase(self, now_ns: int) -> list[Effect]:
        repeat = self._script.repeat
        if not self._alive or not self._script.advance():
            return self._free(now_ns)
        if self._script.repeat != repeat:
            self._now = Progress()
        return self._prepare(now_ns)

    def _prepare(self, now_ns: int) -> list[Effect]:
        script, now = self._script, self._now
        self.state = "preparing"
        now.go, now.rtt_ns, now.cancel = 0, 0, ""
        now.nodes = tuple(self._alive)
        steps = self.plan.steps(script.repeat, script.phase)
        ends = self.plan.ends(script.repeat, script.phase)
        self._wait(self._alive, BARRIER_S + self._grace_s(ends), now_ns)
        effects: list[Effect] = []
        for node in self._alive:
            prepare = Prepare(
                run=self.run,
                node=node,
                phase=script.phase_id,
                end=ends[node],
                failed=now.failed,
                stopped=now.stopped,
                steps=steps[node],
            )
            effects += self._ask(("prepare", node), prepare, now_ns)
        return effects

    def _grace_s(self, ends: Mapping[str, tuple[str, ...]]) -> float:
        """Return the longest grace of the spawned steps that end now."""
        sources = (self.plan.source(step) for steps in ends.values() for step in steps)
        return max((source.grace_s for source in sources if source), default=0.0)

    def _on_ready(self, message: Ready, now_ns: int) -> list[Effect]:
        if self.state != "preparing" or message.phase != self._script.phase_id:
            return []
        self._outbox.answered(("prepare", message.node))
        self._now.rtt_ns = max(self._now.rtt_ns, message.rtt_ns)
        if not self._barrier.arrived(message.node):
            return []
        return self._start_phase(now_ns)

    def _on_refused(self, message: Refused, now_ns: int) -> list[Effect]:
        if self.state != "preparing" or message.phase != self._script.phase_id:
            return []
        if not self._outbox.answered(("prepare", message.node)):
            return []
        if message.step:
            what = self.plan.describe(message.step, message.node)
            self.findings.add("fail", f"{what}: {message.sentence}")
        else:
            what = f"{message.node} refused phase {message.phase}"
            self.findings.add("dirty" if self._script.in_reset else "error", f"{what}: {message.sentence}")
            self._script.last_repeat = True
        self._stop()
        if self._script.in_reset:
            self._now.nodes = tuple(node for node in self._now.nodes if node != message.node)
            return self._start_phase(now_ns) if self._barrier.arrived(message.node) else []
        return self._leave_phase(now_ns)

    # --- starting ---------------------------------------------------------------------------------------

    def _start_phase(self, now_ns: int) -> list[Effect]:
        now = self._now
        now.nodes = tuple(node for node in now.nodes if node in self._alive)
        if not now.nodes:
            return self._next_phase(now_ns)
        self.state = "starting"
        now.again_ns = 0
        now.go += 1
        now.deadline_ns = now_ns + START_NS
        message = StartPhase(
            run=self.run,
            phase=self._script.phase_id,
            go=now.go,
            nodes=now.nodes,
            lead_s=self.plan.trial.lead_s,
            max_rtt_ns=now.rtt_ns,
        )
        return self._ask("start", message, now_ns)

    def _on_committed(self, message: GoCommitted, now_ns: int) -> list[Effect]:
        if not self._is_present_go(message.phase, message.go):
            return []
        self._outbox.answered("start")
        record = PhaseStarted(
            t_ns=message.t0_ns,
            bound_ns=0,
            phase=message.phase,
            go=message.go,
            t0_ns=message.t0_ns,
            lead_ns=message.lead_ns,
        )
        return [Note(record), *self._run_phase(self._now.nodes, message.t0_ns, now_ns)]

    def _on_aborted(self, message: GoAborted, now_ns: int) -> list[Effect]:
        if not self._is_present_go(message.phase, message.go):
            return []
        self._outbox.answered("start")
        t, bound = self._fabric(now_ns)
        record = PhaseAborted(
            t_ns=t, bound_ns=bound, phase=message.phase, go=message.go, reasons=message.reasons
        )
        if message.started:
            names = ", ".join(message.started)
            self.findings.add(
                "invalid", f"phase {message.phase} started on {names} only: an abort came too late"
            )
            self._stop()
            self._script.last_repeat = True
            self._now.cancel = "hard"
            return [Note(record), *self._run_phase(message.started, 0, now_ns)]
        if self._now.cancel:
            return [Note(record), *self._leave_phase(now_ns)]
        if self._now.go < GO_ATTEMPTS:
            self._now.again_ns = now_ns + GO_PAUSES_NS[self._now.go - 1]
            return [Note(record)]
        whys = "; ".join(message.reasons.values())
        self.findings.add(
            "error", f"phase {message.phase} could not be started in {self._now.go} attempts: {whys}"
        )
        self._script.last_repeat = True
        self._stop()
        if self._script.in_reset:  # the others have to clean up all the same
            return [Note(record), *self._all_gone(list(message.reasons), "could not start its reset", now_ns)]
        return [Note(record), *self._leave_phase(now_ns)]

    def _is_present_go(self, phase: str, go: int) -> bool:
        return self.state == "starting" and (phase, go) == (self._script.phase_id, self._now.go)

    # --- running ----------------------------------------------------------------------------------------

    def _run_phase(self, nodes: tuple[str, ...], t0_ns: int, now_ns: int) -> list[Effect]:
        """Wait until the nodes have finished the phase, which some may have done already."""
        self.state = "running"
        self._t0_ns = t0_ns
        done = self.history.finished_nodes[self._script.phase_id]
        self._barrier = Barrier((node for node in nodes if node not in done), 0)
        self._now.deadline_ns = now_ns + self._phase_limit_ns()
        if self._barrier.is_complete:
            return self._end_phase(now_ns)
        return self._cancel(now_ns) if self._now.cancel else []

    def _phase_limit_ns(self) -> int:
        """Return how long the phase may take: the longest lane's limits, and some slack."""
        longest_s = 0.0
        for steps in self.plan.steps(self._script.repeat, self._script.phase).values():
            lanes: dict[str, float] = {}
            for step in steps:
                role = step.step.split("/")[2]
                lanes[role] = (
                    lanes.get(role, 0.0) + (step.timeout_s or 0.0) + step.grace_s + (step.at_s or 0.0)
                )
            longest_s = max([longest_s, *lanes.values()])
        return round(longest_s * S) + PHASE_SLACK_NS

    def _on_step_finished(self, node: str, end: StepFinished, now_ns: int) -> list[Effect]:
        self._check_step(node, end)
        if not end.failed:
            return self._free_if_read(node, now_ns) if self.state == "freeing" else []
        seconds = f" after {end.duration_ns / S:.1f} s" if end.duration_ns else ""
        last = self.history.last_line(node, end.step, end.attempt)
        line = f"{self.plan.describe(end.step, node)}: {end.message}{seconds}" + (
            f", last line: {last}" if last else ""
        )
        source = self.plan.source(end.step)
        in_reset = end.step.split("/")[1] == "reset"
        if in_reset:
            self.findings.add("dirty", line)
        elif end.reason == "lost":
            self.findings.add("error", line)
            self._script.last_repeat = True
        else:
            self.findings.add("fail", line)
        self._now.failed = True
        if in_reset or (source and source.on_fail == "continue" and end.reason != "lost"):
            return self._free_if_read(node, now_ns) if self.state == "freeing" else []
        self._stop()
        effects = self._cut_phase("soft", f"step {end.step} failed on {node}", now_ns)
        return effects or (self._free_if_read(node, now_ns) if self.state == "freeing" else [])

    def _check_step(self, node: str, end: StepFinished) -> None:
        lacking = self.history.lacking(node, end)
        if lacking:
            self.findings.add(
                "error", f"{self.plan.describe(end.step, node)}: output is incomplete: {lacking}"
            )
        if end.survivors:
            pids = ", ".join(map(str, end.survivors))
            self.findings.add(
                "dirty", f"{self.plan.describe(end.step, node)}: processes could not be killed: {pids}"
            )

    def _on_phase_finished(self, node: str, record: PhaseFinished, now_ns: int) -> list[Effect]:
        if self.state == "freeing":
            return self._free_if_read(node, now_ns)
        if self.state != "running" or record.phase != self._script.phase_id:
            return []
        self._outbox.answered(("cancel", node))
        return self._end_phase(now_ns) if self._barrier.arrived(node) else []

    def _end_phase(self, now_ns: int) -> list[Effect]:
        phase = self._script.phase_id
        meter = SkewMeter(self._t0_ns)
        for node, start in self.history.starts.pop(phase, []):
            meter.add(node, start)
        skew = meter.result
        limit_s = self.plan.trial.max_skew_s
        if skew is not None and limit_s is not None and skew.skew_ns > limit_s * S:
            self.findings.add(
                "invalid",
                f"phase {phase}: skew {skew.skew_ns / 1e6:.3f} ms (+- {skew.bound_ns / 1e6:.3f}) is over max_skew"
                f" {limit_s * 1e3:g} ms; {skew.latest_node} was the last",
            )
        t, bound = self._fabric(now_ns)
        record = PhaseEnded(
            t_ns=t,
            bound_ns=bound,
            phase=phase,
            failed=self._now.failed,
            skew_ns=skew.skew_ns if skew else None,
            skew_bound_ns=skew.bound_ns if skew else None,
            latest_node=skew.latest_node if skew else "",
        )
        return [Note(record), *self._next_phase(now_ns)]

    # --- trouble ----------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Let steps that want success not begin any more in this repeat."""
        self._now.failed = self._now.stopped = True

    def _cut_phase(self, how: Literal["soft", "hard"], why: str, now_ns: int) -> list[Effect]:
        """End the present phase, unless it is the reset."""
        if self._script.in_reset or (self._now.cancel == how or self._now.cancel == "hard"):
            return []
        if self.state == "assigning":
            self._script.skip_to("reset")
            return self._free(now_ns)
        if self.state == "preparing":
            return self._leave_phase(now_ns)
        if self.state not in ("starting", "running"):
            return []
        self._now.cancel = how
        self._why = why
        if self._now.again_ns:
            return self._leave_phase(now_ns)
        return self._cancel(now_ns) if self.state == "running" else []

    def _cancel(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for node in self._barrier.missing:
            message = Cancel(
                run=self.run,
                node=node,
                phase=self._script.phase_id,
                everything=self._now.cancel == "hard",
                sentence=self._why,
            )
            effects += self._ask(("cancel", node), message, now_ns)
        return effects

    def _leave_phase(self, now_ns: int) -> list[Effect]:
        """Go on without having started this phase."""
        for node in self._now.nodes:
            self._outbox.answered(("prepare", node))
        self._outbox.answered("start")
        self._now.again_ns = 0
        return self._next_phase(now_ns)

    def _on_node_lost(self, message: NodeLost, now_ns: int) -> list[Effect]:
        if message.node in self._alive and message.node not in self._silent:
            self._silent[message.node] = (now_ns + round(NODE_PATIENCE_S * S), message.sentence)
        return []

    def _on_node_back(self, message: NodeBack, now_ns: int) -> list[Effect]:
        if message.node not in self._alive:
            return []
        self._silent.pop(message.node, None)
        if message.works_on or self.state in ("opening", "assigning") or message.node in self._freed:
            return []
        return self._node_gone(
            message.node, f"{message.node} has restarted and lost its part of the run", now_ns
        )

    def _node_gone(self, node: str, why: str, now_ns: int) -> list[Effect]:
        """Go on without a node: what it had to do is void, the others collect and reset."""
        self._silent.pop(node, None)
        if node not in self._alive:
            return []
        del self._alive[node]
        for what in ("assign", "prepare", "cancel", "free"):
            self._outbox.answered((what, node))
        self.findings.add("error", f"{why} ({self._where()})")
        self._script.last_repeat = True
        self._stop()
        was_last = self._barrier.arrived(node)
        if self.state == "freeing":
            return self._close_if_free(now_ns)
        if self._script.in_reset and self.state == "preparing":
            return self._start_phase(now_ns) if was_last else []
        if self._script.in_reset and self.state == "starting" and self._now.go >= GO_ATTEMPTS:
            self._now.go, self._now.again_ns = 0, now_ns
            return []
        if self.state == "running" and was_last:
            return self._end_phase(now_ns)
        return self._cut_phase("soft", why, now_ns)

    def _where(self) -> str:
        """Say in which state of which phase the run is."""
        if self.state in ("preparing", "starting", "running"):
            return f"{self.state} phase {self._script.phase_id}"
        return self.state

    def _trial_timed_out(self, now_ns: int) -> list[Effect]:
        self._trial_is_late = True
        self.findings.add(
            "fail", f"the trial was not done within {self.plan.trial.timeout_s:g} s ({self._where()})"
        )
        self._stop()
        self._script.last_repeat = True
        return self._cut_phase("soft", "the trial's timeout is over", now_ns)

    @property
    def _trial_deadline_ns(self) -> int | None:
        timeout_s = self.plan.trial.timeout_s
        if timeout_s is None or self._trial_is_late or self.state in ("new", "freeing", "closing", "over"):
            return None
        return self.started_ns + round(timeout_s * S)

    def _state_timed_out(self, now_ns: int) -> list[Effect]:
        """The limit of the present state has passed: name who is missing, and go on."""
        missing = list(self._barrier.missing)
        if self.state in ("assigning", "preparing"):
            return self._all_gone(missing, "did not answer in time", now_ns)
        if self.state == "starting":
            return self.broker_gone(
                f"the broker did not decide about the go of phase {self._script.phase_id}"
            )
        if self.state == "closing":
            return self.broker_gone("the broker did not confirm the end of the run")
        quiet_ns = min((now_ns - self._heard_ns.get(node, 0) for node in missing), default=FREE_NS)
        if quiet_ns < FREE_NS:  # they still report: let them
            self._now.deadline_ns = now_ns + FREE_NS - quiet_ns
            return []
        what = "did not come free" if self.state == "freeing" else "did not finish the phase in time"
        return self._all_gone(missing, what, now_ns)

    def _all_gone(self, nodes: list[str], what: str, now_ns: int) -> list[Effect]:
        self._now.deadline_ns = now_ns + FREE_NS
        effects: list[Effect] = []
        for node in nodes:
            effects += self._node_gone(node, f"{node} {what}", now_ns)
        return effects

    # --- the end ----------------------------------------------------------------------------------------

    def _free(self, now_ns: int) -> list[Effect]:
        self.state = "freeing"
        self._outbox.clear()
        self._wait(self._alive, FREE_NS / S, now_ns)
        if not self._alive:
            return self._end(now_ns)
        effects: list[Effect] = []
        for node in self._alive:
            effects += self._ask(("free", node), Free(run=self.run, node=node), now_ns)
        return effects

    def _on_freed(self, message: Freed, now_ns: int) -> list[Effect]:
        if self.state != "freeing" or message.node not in self._alive:
            return []
        self._outbox.answered(("free", message.node))
        self._freed[message.node] = message
        return self._free_if_read(message.node, now_ns)

    def _free_if_read(self, node: str, now_ns: int) -> list[Effect]:
        """A node is done with when it is free and all of its records were read."""
        self._now.deadline_ns = now_ns + FREE_NS
        freed = self._freed.get(node)
        if freed is None or self.history.read_records[node, freed.incarnation] < freed.records:
            return []
        self._barrier.arrived(node)
        return self._close_if_free(now_ns)

    def _close_if_free(self, now_ns: int) -> list[Effect]:
        return self._end(now_ns) if self._barrier.is_complete else []

    def _end(self, now_ns: int) -> list[Effect]:
        self.state = "closing"
        self._now.deadline_ns = now_ns + CLOSE_NS
        t, bound = self._fabric(now_ns)
        verdict = self.findings.verdict
        return [Note(RunEnded(t_ns=t, bound_ns=bound, verdict=verdict, why=self.findings.whys))]

    def _close(self, now_ns: int) -> list[Effect]:
        """Everything was read back, to the verdict."""
        message = CloseRun(request=2, run=self.run, verdict=self.findings.verdict, result=self.result(self))
        return self._ask("close", message, now_ns)

    def _on_closed(self, message: RunClosed, now_ns: int) -> list[Effect]:
        return self._over() if self._outbox.answered("close") else []

    def _over(self) -> list[Effect]:
        self.state = "over"
        self._outbox.clear()
        self._silent.clear()
        return [Over()]

    # --- parts ------------------------------------------------------------------------------------------

    def _ask(self, key: object, message: Message, now_ns: int) -> list[Effect]:
        return [Tell(message) for message in self._outbox.ask(key, message, now_ns)]

    def _wait(self, nodes: Mapping[str, None], limit_s: float, now_ns: int) -> None:
        self._barrier = Barrier(nodes, now_ns + round(limit_s * S))
        self._now.deadline_ns = self._barrier.deadline_ns

    def _fabric(self, local_ns: int) -> tuple[int, int]:
        if self.clock is None:
            return 0, -1
        return local_ns + self.clock.offset_ns, self.clock.bound_ns


_HANDLERS: Final[Mapping[type, Callable[[Run, Any, int], list[Effect]]]] = {
    RunOpened: Run._on_opened,
    Denied: Run._on_denied,
    Assigned: Run._on_assigned,
    Ready: Run._on_ready,
    Refused: Run._on_refused,
    GoCommitted: Run._on_committed,
    GoAborted: Run._on_aborted,
    NodeLost: Run._on_node_lost,
    NodeBack: Run._on_node_back,
    Freed: Run._on_freed,
    RunClosed: Run._on_closed,
}
