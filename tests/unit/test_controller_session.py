"""The controller's shell over a connection that serves one run after another."""

import signal
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from fabric.controller.connection import Connection
from fabric.controller.effects import Effect, Over
from fabric.controller.run import Run
from fabric.controller.session import Session
from fabric.protocol.messages import Denied, Message

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Line:
    """Stands for a connection to a broker that says nothing by itself."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.loop = self
        self.numbers = iter(range(1, 100))
        self.up = False

    def on_signals(self, *_: object) -> None:
        """Take no signals."""

    def attach(self, handler: Any) -> None:
        """Note who is served."""
        self.handler = handler

    def now_ns(self) -> int:
        """Stand still."""
        return 0

    def send(self, _: Message) -> bool:
        """Lose it."""
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
