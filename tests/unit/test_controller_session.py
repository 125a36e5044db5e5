"""The controller's shell over a connection that serves one run after another."""

import signal
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fabric.controller.connection import Connection
from fabric.controller.effects import Effect, Over
from fabric.controller.entry import Entry, Read
from fabric.controller.measures import Measured
from fabric.controller.run import Run
from fabric.controller.session import PIECE, SHOW_NS, Session
from fabric.protocol.messages import Denied, Message, Replay, RunOpened
from fabric.protocol.records import Notice

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Line:
    """Stands for a connection to a broker that says nothing by itself."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.loop = self
        self.numbers = iter(range(1, 100))
        self.up = False
        self.instant_ns = 0
        self.turns = 0
        self.sent: list[Message] = []

    def on_signals(self, *_: object) -> None:
        """Take no signals."""

    def attach(self, handler: Any) -> None:
        """Note who is served."""
        self.handler = handler

    def now_ns(self) -> int:
        """Stand still, but for those who take their time."""
        return self.instant_ns

    def turn(self, _: int | None) -> int:
        """Have nothing."""
        self.turns += 1
        return self.instant_ns

    def subscribe(self, _: str) -> None:
        """Have no feed."""

    def send(self, message: Message) -> bool:
        """Note it."""
        self.sent.append(message)
        return True


class Script:
    """Stands for a run that is over at once, and notes what it is told."""

    run = "20261122-120000-exec-aaaa"

    def __init__(self) -> None:
        self.told: list[Message] = []

    def start(self, _: int) -> Sequence[Effect]:
        """Begin and end."""
        return [Over()]

    def receive(self, message: Message, _: int) -> Sequence[Effect]:
        """Note it."""
        self.told.append(message)
        return []

    def clock_changed(self, _: object) -> None:
        """Have no clock."""

    def read(self, _read: Read, _now_ns: int) -> Sequence[Effect]:
        """Go on."""
        return []

    def expire(self, _: int) -> Sequence[Effect]:
        """Wait for nothing."""
        return []

    deadline_ns = None
    desk = SimpleNamespace(belonging=SimpleNamespace(has=lambda _: True))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give the test runner its signals back."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def session(line: Line, script: Script) -> Session:
    return Session(cast("Connection", line), cast("Run", script), lambda _reads, _now_ns: ())


def test_a_session_that_is_over_hears_nothing_any_more() -> None:
    """It would say its last record again, into the run that uses the connection then."""
    line = Line()
    session(line, Script()).serve()
    assert line.handler is None


@pytest.mark.parametrize(("run", "count"), [("20261122-115959-exec-bbbb", 0), (Script.run, 1), ("", 1)])
def test_a_denial_concerns_the_run_that_it_names(run: str, count: int) -> None:
    """The answer to an earlier run's last record ended the present one as an error."""
    script = Script()
    denied = Denied(request=0, code="closed", sentence="it is not open", run=run)
    session(Line(), script).on_message(denied, 0)
    assert len(script.told) == count


def test_what_takes_long_to_write_lets_others_have_their_turn() -> None:
    """A node sends thousands of files in a turn: Ctrl-C was not heard for minutes, and the lease ran out."""
    line, shown = Line(), []

    def show(reads: Sequence[Read], _: int) -> Sequence[Measured]:
        shown.extend(read.number for read in reads)
        line.instant_ns += SHOW_NS // 4 * bool(reads)
        return ()

    made = Session(cast("Connection", line), cast("Run", Script()), show)
    made.on_message(RunOpened(request=1, run=Script.run, nodes=()), 0)
    note = Notice(t_ns=1, bound_ns=0, level="info", message="")
    made.on_entry(Entry(Script.run, 1, "n", (note,) * (10 * PIECE), b""), 0)
    turns = 0
    while len(shown) < 10 * PIECE:
        before = line.instant_ns
        made._turn()
        assert line.instant_ns - before <= 2 * SHOW_NS
        turns += 1
    assert turns > 2
    assert shown == [*range(1, 10 * PIECE + 1)]
    made._turn()
    last = line.sent[-1]
    assert isinstance(last, Replay), "it has waited with asking for more"
    assert last.number == 10 * PIECE + 1
