"""The controller's shell: one loop over the broker's connection and the user's signals."""

import secrets
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from fabric.controller.connection import Connection
from fabric.controller.effects import Effect, Note, Over, Tell
from fabric.controller.entry import Entry, Read
from fabric.controller.fileserver import FileServer
from fabric.controller.measures import Measured
from fabric.controller.notes import Notes
from fabric.controller.pace import Pace
from fabric.controller.reader import Ask, Deliver, RunReader
from fabric.controller.reader import Effect as ReaderEffect
from fabric.controller.run import Run
from fabric.controller.sources import LocalFile
from fabric.errors import ConnectionRefused, StoreError
from fabric.protocol.messages import (
    Acknowledged,
    Beacon,
    Denied,
    FileRequest,
    Message,
    Probe,
    ProbeReply,
    ReplayEnd,
    Resend,
    RunOpened,
    Welcome,
)
from fabric.timing.offset import Exchange
from fabric.timing.timekeeper import Timekeeper, contradicted

Show = Callable[[Sequence[Read], int], Iterable[Measured]]

SHOW_NS: Final = 1_000_000_000
"""What was read is shown and written for so long in a turn; the rest waits for the next one, and nothing more
is asked for meanwhile: Ctrl-C and the broker must not wait for records of which each takes long."""

PIECE: Final = 64
"""Records that are shown at once: one that brings a file may take a millisecond."""

_LEAVE: Final = 3
"""Ctrl-C so often, and not even what was read is written."""


_OLDER: Final = (
    "the broker's store was put back to an earlier state: it lacks records of this run that it had"
)


class Outlet(Protocol):
    """Takes what is shown, and is asked how far it has come."""

    @property
    def has_room(self) -> bool:
        """Whether more is to be read."""

    @property
    def is_empty(self) -> bool:
        """Whether all of it was taken."""

    @property
    def is_gone(self) -> bool:
        """Whether nobody takes any more."""


@dataclass(frozen=True, slots=True)
class Reluctance:
    """Why not all is read as fast as it comes."""

    outlet: Outlet
    """Reading waits for it."""

    hurry: Callable[[int], Sequence[Effect]]
    """Called when what it has not taken a while after Ctrl-C is not read any more."""


class Session:
    """Carries a run out.

    Args:
        connection: To the broker; it serves this session from now on.
        run: The machine, not started.
        show: Called with records as they are read, and the instant; returns the metrics that they bring.
        show_deadline_ns: Says when to call it though nothing was read.
        files: That nodes may ask for, by SHA-256.
        reluctance: Without one all is read as fast as it comes.
    """

    def __init__(
        self,
        connection: Connection,
        run: Run,
        show: Show,
        show_deadline_ns: Callable[[], int | None] = lambda: None,
        *,
        files: Mapping[str, LocalFile] | None = None,
        reluctance: Reluctance | None = None,
    ) -> None:
        self._connection = connection
        self._run = run
        self._show = show
        self._show_deadline_ns = show_deadline_ns
        self._files = FileServer(run.run, files or {}, connection.send)
        self._reader = RunReader(run.run, requests=connection.numbers)
        # Above every epoch of a broker, whose own records of a run have the same source.
        self._notes = Notes(run.run, (1 << 48) + secrets.randbelow(1 << 48))
        self._reluctance = reluctance
        self._pace = Pace()
        self._time = Timekeeper(connection.now_ns())
        run.clock_changed(self._time.clock)
        self._opened = False
        self._over = False
        self._interrupts = 0
        self._reads: list[Read] = []
        self._is_behind = False  # with showing what was read

    def serve(self) -> None:
        """Run to the verdict.  Ctrl-C is heard up to three times; after the verdict it changes nothing."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            signal.signal(number, signal.SIG_IGN)  # what the loop gives back when it is closed
        self._connection.loop.on_signals(signals, lambda _: self._interrupted())
        self._connection.attach(self)
        self._do(self._run.start(self._connection.now_ns()))
        while not self._over:
            self._turn()
        self._flush()
        self._files.close()
        self._connection.attach(None)  # it may serve another run, and what still comes is not for that one
        while self._reads and self._interrupts < _LEAVE:
            with suppress(ConnectionRefused):
                self._connection.turn(self._connection.now_ns())
            self._flush()
        if self._reads:
            self._run.findings.add("interrupted", "not all that was reported has been written")

    def _turn(self) -> None:
        try:
            now_ns = self._connection.turn(self._deadline_ns())
        except ConnectionRefused as error:
            self._do(self._run.broker_gone(str(error)))
            return
        self._do(self._run.expire(now_ns))
        self._read(self._reader.expire(now_ns))
        self._keep_pace(now_ns)
        self._files.work(now_ns)
        if self._connection.up:
            self._ask_time(now_ns)
            self._append(now_ns)
            if late := self._notes.overdue(now_ns):
                self._do(self._run.broker_gone(late))
        self._flush()
        self._catch_up(now_ns)

    def _deadline_ns(self) -> int | None:
        times = [self._run.deadline_ns, self._reader.deadline_ns, self._notes.deadline_ns]
        times += [self._files.deadline_ns, self._pace.deadline_ns if self._reluctance else None]
        if self._connection.up:
            times.append(self._time.deadline_ns)
        times += [self._show_deadline_ns(), 0 if self._is_behind else None]
        return min((time for time in times if time is not None), default=None)

    def _interrupted(self) -> None:
        now_ns = self._connection.now_ns()
        self._interrupts += 1
        self._pace.interrupted(now_ns)
        self._do(self._run.interrupt(now_ns))

    def _keep_pace(self, now_ns: int) -> None:
        if self._reluctance is None:
            return
        outlet = self._reluctance.outlet
        if outlet.is_gone and not self._pace.was_interrupted:
            self._interrupted()  # who read it has seen enough
        is_current = self._reader.is_live and outlet.is_empty
        match self._pace.decide(now_ns, has_room=outlet.has_room, is_current=is_current):
            case "hurry":
                self._do(self._reluctance.hurry(now_ns))
                self._read(self._reader.hurry(now_ns))
            case "pause":
                self._reader.pause()
            case "read" if not self._is_behind:
                self._read(self._reader.resume(now_ns))

    def _flush(self) -> None:
        """Show what was read, for so long as a turn has for that; also if it is nothing, for time goes by."""
        until_ns = self._connection.now_ns() + SHOW_NS
        reads, self._reads = self._reads, []
        for at in range(0, len(reads) or 1, PIECE):
            if self._pace.hurried:
                return
            if at and self._connection.now_ns() >= until_ns:
                self._reads = reads[at:] + self._reads
                return
            self._show_piece(reads[at : at + PIECE])

    def _show_piece(self, reads: Sequence[Read]) -> None:
        try:
            for measured in self._show(reads, self._connection.now_ns()):
                self._do(self._run.measured(measured, self._connection.now_ns()))
        except StoreError as error:
            self._reader.skim()  # output has nowhere to go; what is stored for the run may be gigabytes
            self._do(self._run.bundle_failed(str(error), self._connection.now_ns()))

    def _catch_up(self, now_ns: int) -> None:
        """Ask for nothing more while what was read is not shown."""
        was_behind, self._is_behind = self._is_behind, bool(self._reads)
        if self._is_behind:
            self._reader.pause()
        elif was_behind:
            self._read(self._reader.resume(now_ns))

    # --- what comes (see Handler) -----------------------------------------------------------------------

    def on_up(self, _welcome: Welcome, now_ns: int) -> None:
        """Say again what is unanswered, and read on."""
        self._notes.restart(ask=self._opened)
        self._time.begin_burst(now_ns)
        self._ask_time(now_ns)
        self._do(self._run.connected(now_ns))
        if self._opened:
            self._read(self._reader.connected(now_ns))

    def on_down(self, _sentence: str, now_ns: int) -> None:
        """Wait; the link comes back, or says that it does not."""
        self._run.disconnected(now_ns)
        self._time.stop()
        self._reader.disconnected()

    def on_entry(self, entry: Entry, now_ns: int) -> None:
        """Take records of the feed or of a replay."""
        if entry.run == self._run.run:
            self._read(self._reader.entry(entry, now_ns))

    def on_message(self, message: Message, now_ns: int) -> None:
        """Take everything else."""
        match message:
            case ProbeReply():
                self._take_time(message, self._connection.now_ns())
            case Acknowledged():
                self._notes.acknowledged(message)
            case Resend():
                if not self._notes.resend(message):
                    self._do(self._run.broker_gone(_OLDER))
            case Beacon():
                self._read(self._reader.beacon(message, now_ns))
            case ReplayEnd():
                self._read(self._reader.replay_end(message, now_ns))
            case Denied(run=run) if run not in ("", self._run.run):
                pass  # of an earlier run over this connection
            case FileRequest():
                self._files.ask(message)
            case RunOpened():
                self._open(now_ns)
                self._do(self._run.receive(message, now_ns))
            case _:
                self._do(self._run.receive(message, now_ns))

    def _open(self, now_ns: int) -> None:
        if not self._opened:
            self._opened = True
            self._connection.subscribe(self._run.run)
            self._read(self._reader.connected(now_ns))

    # --- effects ----------------------------------------------------------------------------------------

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(message):
                    self._connection.send(message)
                case Note(record):
                    self._notes.add(record)
                case Over():
                    self._over = True
        if self._connection.up:
            self._append(self._connection.now_ns())

    def _append(self, now_ns: int) -> None:
        for append in self._notes.take(now_ns, hold=self._run.is_starting):
            self._connection.send(append)

    def _read(self, effects: Sequence[ReaderEffect]) -> None:
        for effect in effects:
            match effect:
                case Ask(replay):
                    self._connection.send(replay)
                case Deliver(reads):
                    has = self._run.desk.belonging.has
                    self._reads += [read for read in reads if read.is_whole and has(read)]
                    now_ns = self._connection.now_ns()
                    for read in reads:
                        self._do(self._run.read(read, now_ns))

    # --- time -------------------------------------------------------------------------------------------

    def _ask_time(self, now_ns: int) -> None:
        if self._time.expire(now_ns) == "ask":
            self._connection.send(Probe(t1_ns=self._connection.now_ns()))

    def _take_time(self, reply: ProbeReply, now_ns: int) -> None:
        exchange = Exchange(reply.t1_ns, reply.t2_ns, reply.t3_ns, now_ns)
        learnt = self._time.answered(reply.epoch, exchange)
        if learnt.contradiction is not None:
            sentence = contradicted("the controller", learnt.contradiction)
            self._do(self._run.desk.notice(sentence, now_ns))
        self._ask_time(now_ns)
