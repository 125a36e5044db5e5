"""PURE.  What this node does for one run: phases, steps, and the end of both.

It is told what came from the network (`receive`), what the launcher saw (`armed` ... `ended`), what came
of looks and files (`checked`, `looked` ... `brought`), that a stream was read to its end (`stream_ended`) and
that time went by (`expire`); it returns effects.  All instants are nanoseconds of the local monotonic clock;
records carry fabric time as it is known at their instant.

An input changes what it is about.  What follows for lanes, phase and run is found by `_what_follows`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from agents import checks, going, preparing
from agents.effects import Check, Effect, RefreshClock, Report, Send
from agents.lanes import Lanes
from agents.parting import LOCAL_RESET, Parting
from agents.phase import PhasePart
from agents.stamp import Stamp
from agents.step_run import NANOSECONDS, Done, Exit, Start, StepRun
from agents.steps import Steps
from fabric.protocol.messages import (
    Abandon,
    Abort,
    Assign,
    Assigned,
    Cancel,
    Free,
    Go,
    Message,
    PhaseDone,
    Prepare,
)
from fabric.protocol.records import Notice, PhaseFinished, Stream
from fabric.timing.offset import Known

BEGIN_NS: Final = 20_000_000
"""So long after t0 a phase has begun here, whether or not the launcher has told of a start."""

Follow = Callable[[int], list[Effect]]


class Executor:
    """A node's part of one run."""

    def __init__(self, assign: Assign, *, needs_reset: bool = False) -> None:
        """Take a part of a run; with ``needs_reset`` one that an earlier life of the agent has left.

        Raises:
            DecodeError: If a step of its reset is none.
        """
        preparing.check(assign.reset)
        self.assign = assign
        self.run = assign.run
        self._stamp = Stamp()
        self.lanes = Lanes(assign.run, self._stamp)
        self.parting = Parting(self.lanes, self._stamp, needs_reset=needs_reset)

    @property
    def is_led(self) -> bool:
        """Whether it still does what the controller says."""
        return self.parting.is_led

    @property
    def needs_reset(self) -> bool:
        """Whether a next life of the agent has to reset: something has begun, or may at once."""
        part = self.phase
        return self.parting.needs_reset or (part is not None and part.is_close_to_begin)

    @property
    def secrets(self) -> Mapping[str, str]:
        """All that were told for this run, by name: what is printed of them is masked."""
        return self.assign.secrets

    @property
    def phase(self) -> PhasePart | None:
        """The present phase, or the last one."""
        return self.lanes.part

    @property
    def steps(self) -> Steps:
        """The attempts that live here."""
        return self.lanes.steps

    def reads_output(self, key: str) -> bool:
        """Whether `wrote` is to be told what this attempt writes."""
        step = self.steps.get(key)
        if step is None or step.probe or self.lanes.is_heard(step):
            return step is not None
        return bool(step.readiness and step.readiness.reads_output and not step.ending)

    # --- inputs -----------------------------------------------------------------------------------------

    def receive(self, message: Message, now_ns: int) -> list[Effect]:
        """Take a message that names this run."""
        handler = _HANDLERS.get(type(message))
        return self._settled(handler(self, message, now_ns), now_ns) if handler else []

    def clock_changed(self, epoch: int, clock: Known) -> None:
        """Use this clock for reports and the next go; ``epoch`` is 0 if it is not of the present broker."""
        self._stamp.epoch, self._stamp.clock = epoch, clock

    def clock_refreshed(self, now_ns: int) -> list[Effect]:
        """The burst of probes that a prepare asked for was answered."""
        if self.phase is not None:
            self.phase.clock_is_fresh = True
        return self._settled([], now_ns)

    def checked(self, phase: str, refusal: tuple[str, str] | None, now_ns: int) -> list[Effect]:
        """The steps of a phase were looked at; ``refusal`` is the one that cannot be done, and why."""
        part = self.phase
        if part is None or part.phase != phase or part.state != "preparing":
            return []
        part.is_checked = True
        return self._settled(self._refuse(part, *refusal) if refusal else [], now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        part = self.phase
        if part is not None and part.state == "scheduled":
            # What the agent does itself has its own deadline; of programs the launcher tells.  At t0 itself
            # this process would only take the processor from those that start, if there are any here.
            starts_programs = any(not step.is_own for step in part.currents())
            times = [self.steps.deadline_ns, part.t0_local_ns + BEGIN_NS * starts_programs]
            return min(time for time in times if time is not None)
        return self.steps.deadline_ns

    def expire(self, now_ns: int) -> list[Effect]:
        """Begin the phase whose t0 has come; do what is due for its steps."""
        effects = self._begin_if_due(now_ns)
        return self._settled(effects + self.lanes.expire(now_ns), now_ns)

    def unheard(self, since_ns: int, now_ns: int) -> list[Effect]:
        """Nothing was heard of the broker since then: do what ``on_lost`` says when the lease has ended."""
        is_due = self.is_led and now_ns - since_ns >= self.assign.lease_s * NANOSECONDS
        return self._settled(self.parting.unheard(self.assign, since_ns, now_ns), now_ns) if is_due else []

    def lease_ended(self, why: str, now_ns: int, *, at_once: bool = False) -> list[Effect]:
        """Nobody leads this part any more; what runs ends ``at_once``, whatever `on_lost` says."""
        return self._settled(self.parting.alone(self.assign, why, now_ns, at_once=at_once), now_ns)

    def notice(self, message: str, now_ns: int) -> list[Effect]:
        """Let people know of something that is as it should be."""
        t, bound = self._stamp.fabric(now_ns)
        return [Report(self.run, Notice(t_ns=t, bound_ns=bound, level="info", message=message))]

    # --- what the launcher saw --------------------------------------------------------------------------

    def armed(self, key: str, now_ns: int) -> list[Effect]:
        """Its process waits for the release."""
        step, part = self.steps.get(key), self.phase
        if step is None or step.state != "arming":
            return []
        step.state = "armed"
        if part is not None and key in part.arming:
            part.arming.discard(key)
            return self._settled([], now_ns)
        return going.release_in_turn(part, step, now_ns)

    def arm_failed(self, key: str, sentence: str, now_ns: int, *, lacks: bool = False) -> list[Effect]:
        """It cannot be started: program, user or directory is wrong; or the node ``lacks`` what it takes."""
        step, part = self.steps.get(key), self.phase
        if step is None:
            return []
        if part is not None and key in part.arming:
            part.arming.discard(key)
            if not part.is_reset:
                self.steps.forget(step)
                return self._settled(self._refuse(part, *checks.blame(step, sentence, lacks=lacks)), now_ns)
        return self.start_failed(key, sentence, now_ns, lacks=lacks)

    def started(self, key: str, start: Start, now_ns: int) -> list[Effect]:
        """Its program runs."""
        step = self.steps.get(key)
        if step is None:
            return []
        part = self.phase
        is_first = part is not None and part.state == "scheduled" and part.lane_of(step) is not None
        effects = self._begin(part, now_ns) if part is not None and is_first else []
        return self._settled(effects + self.lanes.started(step, start, now_ns), now_ns)

    def start_failed(self, key: str, sentence: str, now_ns: int, *, lacks: bool = False) -> list[Effect]:
        """The release came to nothing: its program could not be executed."""

        def take(step: StepRun) -> None:
            step.not_started, step.lost = ("", sentence) if lacks else (sentence, "")
            step.tree_ended = True

        return self._begin_if_due(now_ns) + self._told(key, take, now_ns)

    def held(self, key: str, ok: bool, now_ns: int) -> list[Effect]:
        """Say whether a release was taken back (``ok``), or came too early for that."""
        step, part = self.steps.get(key), self.phase
        if part is None or part.state != "holding" or key not in part.arming:
            return []
        answer = going.take_held(part, key, step, self._stamp, ok=ok)
        if answer is None:
            return []
        effects: list[Effect] = [Send(answer)]
        if answer.started:
            # Where all have started all the same, the go stands: nothing of it must be left behind.
            effects += going.release_firsts(part)
            effects += self._begin(part, now_ns)
        return self._settled(effects, now_ns)

    def exited(self, key: str, end: Exit, now_ns: int) -> list[Effect]:
        """Its program has ended; the tree and the streams may live on for a moment."""

        def take(step: StepRun) -> None:
            step.exit = end

        return self._told(key, take, now_ns)

    def ended(self, key: str, survivors: tuple[int, ...], pipe_held: bool, now_ns: int) -> list[Effect]:
        """Nothing of its tree is left, but for ``survivors``."""

        def take(step: StepRun) -> None:
            step.tree_ended, step.survivors, step.pipe_held = True, survivors, pipe_held

        return self._told(key, take, now_ns)

    def stream_ended(self, key: str, stream: Stream, size: int, now_ns: int) -> list[Effect]:
        """All ``size`` bytes of the stream are in the journal."""

        def take(step: StepRun) -> None:
            step.sizes[stream] = size

        return self._told(key, take, now_ns)

    def launcher_died(self, why: str, now_ns: int) -> list[Effect]:
        """All that it had started was killed.  There is a new one: what is reset is armed again with it."""
        part = self.phase
        prepared = part if part is not None and part.state in ("preparing", "ready", "holding") else None
        effects = self.lanes.disarm_firsts(prepared) if prepared else []
        if prepared and not prepared.is_reset:
            effects += self._refuse(prepared, "", why)
        for step in self.steps:
            if not step.is_own and not (step.exit and step.tree_ended):
                step.lost, step.tree_ended = step.lost or why, True
                effects += self.lanes.finish_if_over(step, now_ns)
        if prepared and prepared.is_reset:
            effects += self.lanes.arm_firsts(prepared)
        return self._settled(effects, now_ns)

    def _told(self, key: str, take: Callable[[StepRun], None], now_ns: int) -> list[Effect]:
        """Let an attempt take in what was seen of it, and report its end if that was the last of it."""
        step = self.steps.get(key)
        if step is None:
            return []
        take(step)
        return self._settled(self.lanes.finish_if_over(step, now_ns), now_ns)

    # --- output, looks and files ------------------------------------------------------------------------

    def wrote(self, key: str, stream: Stream, data: bytes, now_ns: int) -> list[Effect]:
        """An attempt of which that is wanted (`reads_output`) has written these bytes."""
        step = self.steps.get(key)
        return self._settled(self.lanes.wrote(step, stream, data, now_ns), now_ns) if step else []

    def looked(self, key: str, what: str, seen: str, now_ns: int) -> list[Effect]:
        """Say ``what`` shows that a step is ready; or, if that is "", what was ``seen`` instead."""
        step = self.steps.get(key)
        return self._settled(self.lanes.looked(step, what, seen, now_ns), now_ns) if step else []

    def transferred(self, key: str, failed: bool, message: str, now_ns: int, lost: str = "") -> list[Effect]:
        """A put or a fetch is over; ``lost`` says why if that is not its own fault."""

        def take(step: StepRun) -> None:
            step.done = step.done or Done(failed, message, now_ns)
            step.lost = step.lost or lost

        return self._told(key, take, now_ns)

    def brought(self, key: str, now_ns: int, lost: str = "") -> list[Effect]:
        """The files that the metrics of a step want are in the journal, as far as they can be had."""

        def take(step: StepRun) -> None:
            step.files = "brought"
            step.lost = step.lost or lost

        return self._told(key, take, now_ns)

    # --- what the network says --------------------------------------------------------------------------

    def _on_assign(self, message: Assign, now_ns: int) -> list[Effect]:
        if problem := preparing.malformed(message.reset):
            return [preparing.refused(message, "", "", problem)]
        if self.is_led:
            # Another cell's reset may be another one.
            self.assign = replace(message, secrets={**self.secrets, **message.secrets})
        return [Send(Assigned(run=self.run, node=message.node))]

    def _on_prepare(self, message: Prepare, now_ns: int) -> list[Effect]:
        part = self.phase
        if not self.is_led:
            why = self.parting.abandoned or "the run is over on this node"
            return [preparing.refused(self.assign, message.phase, "", why)]
        if message.secrets:
            self.assign = replace(self.assign, secrets={**self.secrets, **message.secrets})
        if self.lanes.is_past(message.phase):
            return []  # it was under way for long; what it asks for has been here
        if part is not None and part.is_for(message):
            return self._answer(part, now_ns)
        if part is not None and part.state in ("scheduled", "running", "holding"):
            # The controller has given that phase up, and no word of it came through.  It asks again.
            return self.lanes.cancel(part, now_ns, everything=True)
        if problem := preparing.malformed(message.steps):
            return [preparing.refused(self.assign, message.phase, "", problem)]
        effects = self.steps.drop_armed()
        part = self.lanes.take_up(PhasePart.prepared(message))
        for step in self.steps:
            if step.step.step in message.end:
                part.ending.add(step.key)
                effects += self.steps.end(step, "stopped")
        if refusal := checks.impossible(part):
            return effects + self._refuse(part, *refusal)
        effects += [*self.lanes.arm_firsts(part), RefreshClock(self.run)]
        part.is_checked = part.is_reset  # which does what can be done
        return effects if part.is_checked else [*effects, Check(self.run, part.phase, checks.wanted(part))]

    def _on_go(self, message: Go, now_ns: int) -> list[Effect]:
        return going.take_go(self.phase, message, self._stamp, now_ns)

    def _on_abort(self, message: Abort, now_ns: int) -> list[Effect]:
        return going.take_abort(self.phase, message, self._stamp)

    def _on_cancel(self, message: Cancel, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.phase != message.phase or part.state in ("done", "refused"):
            return []
        return self.lanes.cancel(part, now_ns, everything=message.everything)

    # --- what follows -----------------------------------------------------------------------------------

    def _settled(self, effects: list[Effect], now_ns: int) -> list[Effect]:
        """Return the effects with those of all that follows."""
        while (follow := self._what_follows()) is not None:
            effects = effects + follow(now_ns)
        return effects

    def _what_follows(self) -> Follow | None:
        """Return what is to be done now in the state that is reached; each changes that state."""
        part = self.phase
        if part is not None:
            part.ending.intersection_update(self.steps.keys if part.ending else ())
            if part.state == "preparing" and part.is_prepared:
                return self._be_ready
            if part.state == "running" and part.can_move:
                return lambda now_ns: self.lanes.move_on(part, now_ns)
            if part.state == "running" and part.is_idle:
                return self._finish_phase
        return self.parting.what_follows(self.assign)

    def _be_ready(self, now_ns: int) -> list[Effect]:
        part = self.phase
        assert part is not None
        part.state = "ready"
        if part.phase == LOCAL_RESET:
            return going.release_firsts(part) + self._begin(part, now_ns)
        return self._answer(part, now_ns)

    def _answer(self, part: PhasePart, now_ns: int) -> list[Effect]:
        return preparing.answer(self.assign, part, self._stamp, now_ns)

    def _refuse(self, part: PhasePart, step: str, sentence: str) -> list[Effect]:
        part.state, part.refusal = "refused", (step, sentence)
        return [*self.steps.drop_armed(), preparing.refused(self.assign, part.phase, step, sentence)]

    def _begin_if_due(self, now_ns: int) -> list[Effect]:
        part = self.phase
        if part is None or part.state != "scheduled" or now_ns < part.t0_local_ns:
            return []
        return self._begin(part, now_ns)

    def _begin(self, part: PhasePart, now_ns: int) -> list[Effect]:
        self.parting.phase_begins(part)
        return self.lanes.begin(part, now_ns)

    def _finish_phase(self, now_ns: int) -> list[Effect]:
        part = self.phase
        assert part is not None
        part.state = "done"
        self.parting.phase_done(part)
        t, bound = self._stamp.fabric(now_ns)
        record = PhaseFinished(t_ns=t, bound_ns=bound, phase=part.phase, failed=part.has_failed)
        done = PhaseDone(run=self.run, node=self.assign.node, phase=part.phase, failed=part.has_failed)
        return [Report(self.run, record), *([Send(done)] if self.is_led else [])]


_HANDLERS: Final[Mapping[type, Callable[[Executor, Any, int], list[Effect]]]] = {
    Assign: Executor._on_assign,  # noqa: SLF001 - its own table
    Prepare: Executor._on_prepare,  # noqa: SLF001
    Go: Executor._on_go,  # noqa: SLF001
    Abort: Executor._on_abort,  # noqa: SLF001
    Cancel: Executor._on_cancel,  # noqa: SLF001
    Free: lambda self, _message, now_ns: self.parting.free(self.assign, now_ns),
    Abandon: lambda self, message, now_ns: self.parting.alone(self.assign, message.sentence, now_ns),
}
