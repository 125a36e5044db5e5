"""The agent's shell: one loop, the connection to the broker, and the runs.  It decides nothing."""

import random
from typing import Final

from agents import inheriting
from agents import session as ss
from agents.awaiting import Awaiting
from agents.dirty import DirtyRuns
from agents.disks import Disks
from agents.executor import Executor
from agents.facts import addresses, facts, facts_of_now
from agents.hands import Hands
from agents.hello import About, hello
from agents.identity import Identity
from agents.journal import FULL_PAUSE_S, Journal
from agents.launching import Arming, Patience
from agents.leaving import Leaving
from agents.owed import Owed
from agents.parting import ANSWERED
from agents.parts import Part, drop_cleanings, refused
from agents.recovery import LeftPart, left_parts, unreadable_resets
from agents.removal import remove_leftovers
from agents.shipping import Shipper
from agents.sockets import Sockets
from agents.state import AgentState
from agents.tidying import Tidying
from agents.timekeeping import Timekeeping
from fabric.clock import MonotonicClock
from fabric.config import Address
from fabric.errors import DecodeError, FabricError, UsageError
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.protocol.limits import BEAT_S, SILENCE_S
from fabric.protocol.messages import (
    Acknowledged,
    Assign,
    Beat,
    Clean,
    Done,
    FilePart,
    Forget,
    Goodbye,
    Message,
    Probe,
    Rejected,
    Resend,
    RotateNode,
)
from fabric.protocol.records import Notice
from fabric.timing.offset import Contradiction
from fabric.timing.timekeeper import contradicted
from fabric.urgency import Urgency

log = get_logger()

S: Final = 1_000_000_000
STILL_NS: Final = round(SILENCE_S * S)
"""Between two turns, which begin each second: this process was stopped, or its machine stood still."""


class Node:
    """One agent, from its connection to its end.

    Args:
        state: Its locked state directory.
        identity: Its name and keys, and the broker's key.
        broker: Where the broker is.
        labels: That the node bears.
        announced: Addresses by network.
        patience: With the launcher, of the launcher, and with a full disk.
        arming: How the launcher prepares and keeps an instant.
    """

    def __init__(
        self,
        state: AgentState,
        identity: Identity,
        broker: Address,
        *,
        labels: tuple[str, ...],
        announced: dict[str, str],
        patience: Patience,
        arming: Arming,
    ) -> None:
        self._state = state
        self._identity = identity
        self._broker = broker
        self._about = About(
            name=identity.value.name,
            labels=labels,
            addresses=addresses(announced, broker.host, broker.port),
            facts=facts(),
        )
        self._clock = MonotonicClock()
        self.loop = Loop(self._clock)
        self.loop.on_turn(Urgency(lambda: any(part.awaits_start for part in self._parts.values())).turned)
        self._sockets = Sockets(self.loop, broker, self._clock, self._heard, self._writable)
        self._awaiting = Awaiting(broker, identity.value.name, self._clock, self.loop.wake)
        self._session = ss.Session(identity.value.name, identity.secret, random.random, self._clock.now_ns())
        self._shipper = Shipper(self._sockets.ship)
        self._parts: dict[str, Part] = {}
        self._owed = Owed(state.directory, self._begin_reset)
        self._time = Timekeeping(self._session, self._clock)
        self._dirty = DirtyRuns(state.directory, self._time.now)
        self._unsaid_hello: Message | None = None
        self._stopping = ""
        self.hands_over = False
        self._refusal = self._way_out = ""  # for good
        self._beat_ns = 0
        self._turned_ns = 0
        self._resume_ns: int | None = None
        self._hands = Hands(
            self.loop,
            self._clock,
            identity.value.name,
            state.directory,
            self._parts,
            life=state.incarnation,
            patience=patience,
            arming=arming,
            say=self._sockets.say,
            refresh_clock=self._refresh_clock,
            fabric_now=self._time.now,
            exchange=self._time.exchange,
        )
        name, say = self._about.name, self._sockets.say
        its = (state, self._parts, self._dirty, self._hands)
        self._tidying = Tidying(*its, node=name, clock=self._clock, say=say)
        those = (state, self._parts, self._shipper, self._tidying)
        self._leaving = Leaving(
            *those, owed=self._owed, hands=self._hands, node=name, clock=self._clock, say=say
        )
        self._disks = Disks(self._hands.pipes, self._time.now, self._hands.tell, patience.disk_s)

    # --- life -------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Work until `stop`.

        Raises:
            FabricError: If the broker refuses this node for good.
        """
        self._recover()
        self._turned_ns = self._clock.now_ns()
        while not self._stopping:
            self._turn()
        self._leave()
        if self._refusal:
            # To be started again helps only where the reason may pass.
            raise (UsageError if self._way_out else FabricError)(self._refusal, self._way_out)

    @property
    def status(self) -> str:
        """What it does, for people."""
        runs = f", runs: {' '.join(self._parts)}" if self._parts else ""
        is_up = self._session.state == "up"
        return f"{'connected to' if is_up else 'waits for'} the broker at {self._broker}{runs}"

    def stop(self, why: str, *, hands_over: bool = False) -> None:
        """Let `serve` return after this turn; with ``hands_over`` all goes on: a next life comes at once."""
        self._stopping = self._stopping or why
        self.hands_over = hands_over

    def _turn(self) -> None:
        now_ns = self.loop.turn(self._deadline_ns())
        still_ns, self._turned_ns = now_ns - self._turned_ns, now_ns
        if still_ns > STILL_NS:
            self._session.postpone(still_ns, now_ns)
            self._hands.stood_still(still_ns, now_ns)
        self._session_do(self._session.expire(now_ns))
        self._awaiting.expire(now_ns)
        for part in list(self._parts.values()):
            due_ns = part.executor.deadline_ns
            if due_ns is not None and now_ns >= due_ns:
                self._hands.drive(part, part.executor.expire(now_ns))
            if self._session.state != "up":
                self._hands.drive(part, part.executor.unheard(self._session.heard_ns, now_ns))
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + round(BEAT_S * S)
            self._hands.launching.beat(now_ns)
            self._owed.begin()
            if not self._parts:
                self._owed.keep_room()
                self._hands.launching.renew()
        if self._resume_ns is not None and now_ns >= self._resume_ns:
            self._resume_ns = None
            self._hands.pipes.resume()
        self._hands.transfers.work(now_ns)
        self._disks.look(self._parts.values(), now_ns)
        self._tidying.look()
        self._ship(now_ns)
        if self._refusal and all(part.shipping for part in self._parts.values()):
            self.stop("refused")  # the sentence is what `serve` raises

    def _deadline_ns(self) -> int:
        times = [self._session.deadline_ns, self._beat_ns, self._shipper.deadline_ns]
        times += [part.executor.deadline_ns for part in self._parts.values()]
        if self._resume_ns is None and self._hands.pipes.has_paused:
            self._resume_ns = self._clock.now_ns() + round(FULL_PAUSE_S * S)
        times += [self._resume_ns, self._hands.transfers.deadline_ns, self._awaiting.deadline_ns]
        return min(time for time in times if time is not None)

    def _leave(self) -> None:
        """End what runs, keep what is not shipped for the next life, say goodbye; or leave all to it."""
        log.info("agent_stopped", why=self._stopping, runs=len(self._parts), hands_over=self.hands_over)
        if self.hands_over:
            self._hands.launching.leave()
        else:
            self._hands.launching.quit()
            self._hands.transfers.close()
        now_ns = self._clock.now_ns()
        if self._session.state == "up":
            self._shipper.push(now_ns)
            if not self.hands_over:
                self._sockets.say(Goodbye(sentence=self._stopping))
        self._sockets.close()
        for part in self._parts.values():
            part.close()
        for journal in self._shipper.journals:
            journal.close()
        self.loop.close()

    # --- after a restart ---------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Go on with what the last life had, or ship what earlier ones left and do resets that they owe."""
        now_ns, root = self._clock.now_ns(), self._state.directory
        drop_cleanings(root)
        journals = Journal.recover(root)
        runs = inheriting.begin(
            journals, self._parts, self._hands, self._time, self._dirty, root=root, now_ns=now_ns
        )
        for journal in journals:
            self._shipper.add(journal)
        left = [journal for journal in journals if journal.run not in runs]
        self._dirty.add_unreadable(unreadable_resets(left))
        self._owed.begin(left_parts(left))
        remove_leftovers(root, lambda run: self._is_busy(run) or self._dirty.has(run))
        log.info("journals_recovered", count=len(journals))

    def _begin_reset(self, left: LeftPart) -> None:
        executor = Executor(left.assign, needs_reset=left.needs_reset)
        executor.parting.dirty = self._dirty.why(executor.run)  # it stays so, unless its reset is done here
        part = self._open_part(left.assign, executor)
        self._hands.drive(part, part.executor.lease_ended(left.why, self._clock.now_ns()))

    def _is_busy(self, run: str) -> bool:
        return run in self._parts or self._owed.has(run)

    # --- the broker -------------------------------------------------------------------------------------

    def _heard(self, message: Message, now_ns: int) -> None:
        if self._heard_of_key(message, now_ns):
            return
        self._session_do(self._session.receive(message, now_ns))
        match message:
            case Acknowledged():
                if self._shipper.acknowledged(message, now_ns) is not None:
                    self._hands.pipes.resume()
            case Resend():
                self._shipper.resend(message)
            case Clean():
                self._tidying.ask(message, is_busy=self._is_busy)
            case FilePart():
                self._hands.transfers.take(message, now_ns)
            case Forget():
                self._leaving.forget(message)
            case Rejected() if self._parts or not self._refusal:  # else `serve` ends with it at once
                self._awaiting.refused(message, now_ns)
            case _:
                self._heard_of_run(message, now_ns)

    def _heard_of_key(self, message: Message, now_ns: int) -> bool:
        """Renew the key of this node, or take another one; return whether that begins the connection anew."""
        match message:
            case RotateNode(overlap_s=overlap_s):
                self._sockets.say(self._identity.renew(overlap_s))
                return False
            case Done():
                is_new = self._identity.renewed()
            case Rejected(code="revoked"):
                is_new = self._identity.revoked()
            case _:
                return False
        if is_new:
            self._awaiting.renews(enrols=self._identity.secret is not None)
            self._session_do(self._session.use(self._identity.secret, now_ns))
        return is_new

    def _heard_of_run(self, message: Message, now_ns: int) -> None:
        run = getattr(message, "run", None)
        if run is None or self._hands.refuses(message):
            return
        part = self._parts.get(run)
        if part is None and isinstance(message, Assign) and not self._leaving.refuses(message):
            try:
                part = self._open_part(message, Executor(message))
            except (OSError, DecodeError) as error:
                self._sockets.say(refused(message, self._state, error))
        if part is not None:
            self._hands.drive(part, part.executor.receive(message, now_ns))
        elif isinstance(message, ANSWERED):
            self._leaving.say_freed(run)

    def _session_do(self, effects: list[ss.SessionEffect]) -> None:  # noqa: C901, PLR0912 - a case for each
        for effect in effects:
            match effect:
                case ss.Connect():
                    self._sockets.connect(self._identity.value)
                case ss.Disconnect():
                    self._awaiting.left()
                    self._unsaid_hello = None
                    self._sockets.disconnect()
                    self._shipper.restart()
                case ss.Say(message):
                    self._say_or_wait(message)
                case ss.SayHello():
                    self._say_or_wait(self._hello())
                case ss.SayBeat():
                    if not self._sockets.say(Beat(clock=self._time.told())):
                        self._session_do(self._session.unsent(self._clock.now_ns()))
                        return
                case ss.AskTime():
                    self._sockets.say(Probe(t1_ns=self._clock.now_ns()))
                case ss.OpenStreams(welcome):
                    self._refusal = ""  # of a broker that was restored, and knows the key again
                    self._awaiting.joined(welcome)
                    self._identity.reached(self._broker)
                    if not self._sockets.open_streams(welcome):
                        self._session_do(self._session.broken(self._clock.now_ns()))
                        return
                    self._sockets.say(self._identity.unfinished())
                    self._clock_changed(burst_done=False)
                case ss.ClockChanged(burst_done):
                    self._clock_changed(burst_done=burst_done)
                case ss.ClockContradicted(found):
                    self._clock_contradicted(found)
                case ss.KeyEnrolled():
                    self._identity.enrolled()
                case ss.GiveUp():
                    self._give_up(effect)

    def _give_up(self, refused: ss.GiveUp) -> None:
        """End when nothing is left to undo here; journals stay for a next life that is let in."""
        self._refusal, self._way_out = refused.sentence, ""
        if refused.is_revoked:
            kept = f"what could not be sent is kept in {self._state.directory}"
            self._way_out = f"`fabric keys invite --role node --name {self._about.name}` prints how; {kept}"
        for part in list(self._parts.values()):
            now_ns, at_once = self._clock.now_ns(), refused.is_revoked
            self._hands.drive(part, part.executor.lease_ended(refused.sentence, now_ns, at_once=at_once))

    def _say_or_wait(self, message: Message) -> None:
        """Send; a hello that has to wait for the connection goes out as soon as it stands."""
        if self._sockets.say(message):
            self._session.hello_sent()
        elif self._session.state == "joining":
            self._unsaid_hello = message

    def _writable(self) -> None:
        if (message := self._unsaid_hello) is not None:
            self._unsaid_hello = None
            self._say_or_wait(message)

    def _hello(self) -> Message:
        now = self._hands.policing.facts() | facts_of_now(self._state.directory)
        return hello(self._about, self._state, self._shipper, self._parts, dirty=self._dirty, now=now)

    def _clock_changed(self, *, burst_done: bool) -> None:
        for part in list(self._parts.values()):
            part.executor.clock_changed(self._time.epoch, self._time.known)
            if burst_done:
                self._hands.drive(part, part.executor.clock_refreshed(self._clock.now_ns()))

    def _clock_contradicted(self, found: Contradiction) -> None:
        t_ns, bound_ns = self._time.now()
        sentence = contradicted(self._identity.value.name, found)
        log.warning("clock_contradicted", gap_ns=found.gap_ns, hint=sentence)
        for part in self._parts.values():
            part.journal.append(Notice(t_ns=t_ns, bound_ns=bound_ns, level="warning", message=sentence))

    def _refresh_clock(self) -> None:
        self._session_do(self._session.refresh_clock(self._clock.now_ns()))

    # --- runs -------------------------------------------------------------------------------------------

    def _open_part(self, assign: Assign, executor: Executor) -> Part:
        part = self._parts[assign.run] = Part.open(self._state, executor, self._dirty)
        self._shipper.add(part.journal)
        executor.clock_changed(self._time.epoch, self._time.known)
        log.info("run_assigned", run=assign.run)
        return part

    def _ship(self, now_ns: int) -> None:
        if self._session.state != "up":
            return
        if self._shipper.push(now_ns):
            self.loop.wake()
        self._leaving.look()
