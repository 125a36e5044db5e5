"""The agent's hands: what executors ask for is done here, and they are told what came of it."""

import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from agents.broken_disk import refusal_of
from agents.effects import (
    Arm,
    Bring,
    Check,
    Drop,
    Effect,
    End,
    Hold,
    Look,
    RefreshClock,
    Release,
    Report,
    Send,
    Ship,
    StopTransfer,
    Transfer,
)
from agents.journal.transfer import REFUSALS
from agents.launcher.events import AdoptedStep, Ended
from agents.launcher.program import CannotStartError
from agents.launching import Arming, Call, Launching, Patience, environment, run_of
from agents.looking import Looking
from agents.memo import Context
from agents.parts import Part
from agents.pipes import Pipes
from agents.policing import Policing, together
from agents.probe_pipes import ProbePipes
from agents.removal import scratch_of
from agents.transfers import Transfers
from fabric.clock import Clock
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.protocol.messages import Assign, Message, Prepare, Refused, Step
from fabric.protocol.records import Record, Stream

log = get_logger()


class Hands:
    """Launcher, pipes and files of all runs.

    Args:
        loop: Of the agent.
        clock: The local monotonic one.
        node: Name of this one.
        state_dir: Of the agent.
        life: Its incarnation.
        parts: The runs, which come and go.
        patience: With the launcher, and of the launcher.
        arming: How it prepares and keeps an instant.
        say: Sends to the broker, if that is possible now.
        refresh_clock: Begins a burst of probes.
        fabric_now: Returns fabric time and its bound.
        exchange: Returns what a next life is to know of the clock, as `agents.memo.Change` has it.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        node: str,
        state_dir: Path,
        parts: Mapping[str, Part],
        *,
        life: int = 1,
        patience: Patience,
        arming: Arming,
        say: Callable[[Message], bool],
        refresh_clock: Callable[[], None],
        fabric_now: Callable[[], tuple[int, int]],
        exchange: Callable[[], tuple[int, ...]] = tuple,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._parts = parts
        self._say = say
        self._refresh_clock = refresh_clock
        self._exchange = exchange
        self._state_dir = state_dir
        self._looking = Looking(state_dir)
        self.policing = Policing(arming.policy)
        self._effects: deque[Effect] = deque()
        self._is_busy = False
        self.pipes = Pipes(
            self._watch, fabric_now, self._stream_ended, is_heard=self._is_heard, heard=self._wrote
        )
        self._probes = ProbePipes(self._watch, self._wrote, self._stream_ended)
        self.transfers = Transfers(
            node,
            state_dir,
            send=say,
            stamp=fabric_now,
            life=life,
            transferred=self._transferred,
            brought=self._brought,
            guard=None if arming.policy.is_open else self.policing,
        )
        self.launching = Launching(
            loop,
            state_dir,
            patience=patience,
            arming=arming,
            armed=self._armed,
            tell=self.tell,
            tree_ended=self._tree_ended,
            died=self._launcher_died,
        )

    def refuses(self, message: Message) -> bool:
        """Say no to a message that wants what the policy of this node forbids; return whether it does."""
        if not isinstance(message, Assign | Prepare):
            return False
        known = dict(message.secrets)
        scratch = scratch_of(self._state_dir, message.run)
        refusal = self.policing.refusal(message, scratch, lambda step: environment(step, known))
        refusal = refusal or self._unkept(message)
        if refusal is None:
            return False
        log.warning("run_refused", run=message.run, why=refusal.sentence)
        self._say(refusal)
        return True

    def _unkept(self, message: Message) -> Refused | None:
        """Return the message that says that nothing could be kept of a phase; None if it could.

        A full disk has room for words still, or again in a moment.  A reset is done in any case.
        """
        part = self._parts.get(message.run) if isinstance(message, Prepare) else None
        if part is None or not isinstance(message, Prepare) or message.phase.endswith("/reset"):
            return None
        why = refusal_of(self._state_dir)
        if not why:
            return None
        node, said = part.executor.assign.node, f"its state directory {self._state_dir}: {why}"
        return Refused(run=message.run, node=node, phase=message.phase, step="", sentence=said)

    def tell(self, key: str, call: Call) -> None:
        """Tell the executor of an attempt's run something, and do what it asks for."""
        if (part := self._parts.get(run_of(key))) is not None:
            self.drive(part, call(part.executor))

    def stood_still(self, ns: int, now_ns: int) -> None:
        """Blame nobody for this process' own silence, and let people know: figures may be wrong by it."""
        log.warning("agent_stood_still", seconds=round(ns / 1e9, 1))
        self.launching.postpone(ns, now_ns)
        for part in [part for part in self._parts.values() if not part.shipping]:
            node = part.executor.assign.node
            said = f"the agent on {node} stood still for {ns / 1e9:.0f} s, perhaps with its whole machine"
            self.drive(part, part.executor.notice(said, now_ns))

    def drive(self, part: Part, effects: list[Effect]) -> None:
        """Do what the executor of a part asks for, after all that the next life has to know is kept.

        Records are appended before anything else is done: a death leaves all that follows from an input, or
        nothing that the next life cannot do itself.  What the executor asks for when it hears what came of an
        effect is done after all that it asked for before: an answer that comes at once may take back what
        stands behind it.
        """
        records = tuple(effect.record for effect in effects if isinstance(effect, Report))
        part.save_or_wait()
        self._write_down(part, records)
        for record in records:
            part.journal.append(record)
        self._effects.extend(effect for effect in effects if not isinstance(effect, Report))
        if not self._is_busy:
            self._is_busy = True
            try:
                while self._effects:
                    self._do(self._effects.popleft())
            finally:
                self._is_busy = False

    def _write_down(self, part: Part, records: tuple[Record, ...]) -> None:
        launcher, clock = self.launching.client.name, self._exchange()
        part.write_down(Context(launcher, clock, part.journal.appended, records))

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self._say(message)
            case RefreshClock():
                self._refresh_clock()
            case Ship(run, dirty):
                part = self._parts[run]
                part.shipping, part.dirty = True, dirty
                part.save_or_wait()  # from here on no secret is wanted any more, but by a dirty node
            case Check(run, phase):
                self._check(run, phase, effect)
            case Look(key, step, pid):
                self._look(key, step, pid)
            case Transfer(key, step):
                part = self._parts[run_of(key)]
                self.transfers.begin(key, step, part.journal, part.scratch)
            case StopTransfer(key):
                self.transfers.stop(key)
            case Bring(key, step):
                part = self._parts[run_of(key)]
                self.transfers.bring(key, step, part.journal, part.scratch)
            case _:
                self._do_with_launcher(effect)

    # --- the launcher -----------------------------------------------------------------------------------

    def _do_with_launcher(self, effect: Effect) -> None:
        client = self.launching.client
        match effect:
            case Arm(key, step):
                self._arm(key, step)
            case Release(keys, t0_ns):
                client.release(keys, t0_ns)
            case Hold(keys):
                client.hold(keys)
            case Drop(key):
                client.drop(key)
                self.pipes.drop(key)
                self._probes.drop(key)
            case End(key, signal, grace_s):
                client.end(key, signal, grace_s)

    def _arm(self, key: str, step: Step) -> None:
        part = self._parts[run_of(key)]
        env = self._environment(part, step)
        try:
            real = self._real_files(part, step, env)
        except (CannotStartError, OSError) as error:
            lacks = isinstance(error, OSError) and error.errno in {None, *REFUSALS}
            why, now_ns = str(error), self._clock.now_ns()
            self.tell(key, lambda executor: executor.arm_failed(key, why, now_ns, lacks=lacks))
            return
        tails = ("", "")
        if not is_probe(key):
            tails = part.journal.tail_prefixes(step.step, int(key.split("|")[2]))
        self.launching.arm(key, step, part.scratch, tails, env=env, real=real)

    def _real_files(self, part: Part, step: Step, env: Mapping[str, str]) -> tuple[str, str]:
        """Return which files the launcher is to execute and to read, if that is not its own matter.

        Raises:
            CannotStartError: If the step must not be started, or it is known here that it cannot be.
            OSError: If that cannot be looked at, or nobody can start it.
        """
        if self.launching.why_none:
            raise OSError(f"there is no launcher: {self.launching.why_none}")
        unknown = sorted(set(step.secrets.values()) - part.executor.secrets.keys())
        if unknown:
            raise CannotStartError(f"its secret {unknown[0]} is not known here")
        if taken := self._looking.taken_port(step, part.executor.run):
            raise CannotStartError(taken)
        return self.policing.held(step, part.scratch, env)

    def _armed(self, key: str, fds: dict[Stream, int], now_ns: int) -> None:
        part = self._parts.get(run_of(key))
        if part is None or (attempt := part.executor.steps.get(key)) is None:
            for fd in fds.values():
                os.close(fd)
            return
        if is_probe(key):
            self._probes.open(key, fds, part.mask)
        else:
            self.pipes.open(key, attempt.step, attempt.attempt, part.journal, fds, mask=part.mask)
        self.drive(part, part.executor.armed(key, now_ns))

    def adopted(self, step: AdoptedStep) -> None:
        """A program of an earlier life was taken over, unless its executor does not know it."""
        executor = self._parts[run_of(step.key)].executor
        if executor.steps.get(step.key) is None and not self.pipes.has(step.key):
            self.launching.client.drop(step.key)
        for event in step.events:
            if isinstance(event, Ended):
                self._tree_ended(step.key, event.survivors)

    def _tree_ended(self, key: str, survivors: tuple[int, ...]) -> None:
        if survivors:
            self.pipes.give_up(key)
            self._probes.give_up(key)
        self._note_drained(key)

    def _stream_ended(self, key: str, stream: Stream, size: int) -> None:
        now_ns = self._clock.now_ns()
        self.tell(key, lambda executor: executor.stream_ended(key, stream, size, now_ns))
        self._note_drained(key)

    def _note_drained(self, key: str) -> None:
        """Let the launcher forget a step whose end is known here: until then a next life asks for it."""
        part = self._parts.get(run_of(key))
        step = part.executor.steps.get(key) if part is not None else None
        if step is not None and not step.tree_ended:
            return
        if not self.pipes.has(key) and not self._probes.has(key):
            self.launching.drained(key)

    def _launcher_died(self, why: str) -> None:
        for part in list(self._parts.values()):
            self.drive(part, part.executor.launcher_died(why, self._clock.now_ns()))

    # --- output -----------------------------------------------------------------------------------------

    def _watch(self, fd: int, wanted: bool) -> None:
        if wanted:
            self._loop.add(fd, self._readable(fd))
        else:
            self._loop.remove(fd)

    def _readable(self, fd: int) -> Callable[[int], None]:
        def read(_: int) -> None:
            if not self._probes.readable(fd):
                self.pipes.readable(fd)

        return read

    def _is_heard(self, key: str) -> bool:
        part = self._parts.get(run_of(key))
        return part is not None and part.executor.reads_output(key)

    def _wrote(self, key: str, stream: Stream, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        self.tell(key, lambda executor: executor.wrote(key, stream, data, now_ns))

    # --- looks and files --------------------------------------------------------------------------------

    def _check(self, run: str, phase: str, check: Check) -> None:
        part = self._parts[run]
        problems = (
            (one.step.step, self._looking.why_not(one, run, self._environment(part, one.step), part.scratch))
            for one in check.wanted
        )
        try:
            found = [(step, why) for step, why in problems if why]
            refusal = (found[0][0], together(found, is_whole=False)) if found else None
        except OSError as error:
            refusal = ("", f"its steps cannot be looked at: {error}")
        self.drive(part, part.executor.checked(phase, refusal, self._clock.now_ns()))

    def _environment(self, part: Part, step: Step) -> dict[str, str]:
        return environment(step, part.executor.secrets)

    def _look(self, key: str, step: Step, pid: int) -> None:
        where = self._parts[run_of(key)].scratch / (step.dir or "")
        try:
            what, seen = self._looking.shows_ready(key, step, pid, where)
        except OSError as error:
            what, seen = "", f"but it cannot be looked at: {error}"
        now_ns = self._clock.now_ns()
        self.tell(key, lambda executor: executor.looked(key, what, seen, now_ns))

    def _transferred(self, key: str, failed: bool, message: str, lost: str) -> None:
        now_ns = self._clock.now_ns()
        self.tell(key, lambda executor: executor.transferred(key, failed, message, now_ns, lost))

    def _brought(self, key: str, lost: str) -> None:
        now_ns = self._clock.now_ns()
        self.tell(key, lambda executor: executor.brought(key, now_ns, lost))


def is_probe(key: str) -> bool:
    """Whether a key names a command that shows whether a step is ready, not an attempt at a step."""
    return key.count("|") > 2  # noqa: PLR2004 - run, step, attempt
