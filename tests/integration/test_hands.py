"""A node's executor with real hands: launcher, pipes, journal and /proc, but no broker."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.dirty import DirtyRuns
from agents.executor import Executor
from agents.hands import Hands
from agents.journal import Journal
from agents.launching import Arming, Patience
from agents.parts import Part
from fabric.clock import MonotonicClock
from fabric.loop import Loop
from fabric.protocol.codec import decode
from fabric.protocol.messages import Batch, Go, Message, Prepare, ReadyWhen, Refused, Step
from fabric.protocol.records import PhaseFinished, Record, StepFinished, StepReady
from fabric.timing.offset import Estimate
from tests.unit.scripted_node import RUN, assign, step

LIMIT_S = 20.0
MS = 1_000_000


class Bench:
    """One node's part of a run, whose messages are kept here and whose records are in a journal."""

    def __init__(self, directory: Path) -> None:
        self.clock = MonotonicClock()
        self.loop = Loop(self.clock)
        self.sent: list[Message] = []
        self.records: list[Record] = []
        parts: dict[str, Part] = {}
        self.hands = Hands(
            self.loop,
            self.clock,
            "lab1",
            directory,
            parts,
            patience=Patience(),
            arming=Arming(),
            say=self._say,
            refresh_clock=lambda: None,
            fabric_now=lambda: (self.clock.now_ns(), 0),
        )
        scratch = directory / "scratch"
        scratch.mkdir()
        self.journal = Journal.create(directory, RUN, 1)
        self.executor = Executor(assign())
        self.part = parts[RUN] = Part(
            self.executor, self.journal, scratch, DirtyRuns(directory, lambda: (0, 0))
        )
        self.executor.clock_changed(1, Estimate(0, 0, 0))

    def _say(self, message: Message) -> bool:
        self.sent.append(message)
        return True

    def begin(self, *steps: Step) -> None:
        """Prepare a phase; if it is not refused, start it."""
        prepare = Prepare(
            run=RUN, node="lab1", phase="1/run", end=(), failed=False, stopped=False, env={}, steps=steps
        )
        self.hands.drive(self.part, self.executor.receive(prepare, self.clock.now_ns()))
        self.hands.drive(self.part, self.executor.clock_refreshed(self.clock.now_ns()))
        self.until(lambda: bool(self.sent))
        if not isinstance(self.sent[-1], Refused):
            t0_ns = self.clock.now_ns() + 20 * MS
            go = Go(run=RUN, phase="1/run", go=1, epoch=1, t0_ns=t0_ns)
            self.hands.drive(self.part, self.executor.receive(go, self.clock.now_ns()))

    def until(self, condition: Any) -> None:
        """Turn until something holds, or fail."""
        end_ns = self.clock.now_ns() + round(LIMIT_S * 1000 * MS)
        while not condition():
            assert self.clock.now_ns() < end_ns, "it did not come in time"
            deadline_ns = self.executor.deadline_ns
            now_ns = self.loop.turn(end_ns if deadline_ns is None else deadline_ns)
            self.hands.drive(self.part, self.executor.expire(now_ns))
            self._read()

    def _read(self) -> None:
        while shipment := self.journal.next_batch():
            batch = decode(shipment.batch)
            assert isinstance(batch, Batch)
            self.records += batch.records

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    def is_over(self) -> bool:
        return bool(self.of(PhaseFinished))

    def close(self) -> None:
        self.hands.launching.quit()
        self.journal.close()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


SERVE = """
import socket, sys, time
time.sleep(0.1)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("serving", flush=True)
time.sleep(60)
"""


SERVE_UDP = """
import socket, sys, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


def server(port: int, **changes: Any) -> Step:
    argv = (sys.executable, "-c", SERVE, str(port))
    return step("a-1", **({"verb": "spawn", "timeout_s": None, "argv": argv} | changes))


def test_a_refusal_names_all_that_a_look_has_found(bench: Bench) -> None:
    """Who mends one thing and starts again, to be told of the next one, does so a second time at most."""
    bench.begin(step("a-1"), step("a-2", user="no-such-user"), step("b-1"), step("b-2", user="nor-this"))
    refused = bench.sent[-1]
    assert isinstance(refused, Refused)
    assert refused.step == "1/run/a/a-2"
    assert refused.sentence == (
        "there is no user 'no-such-user' on this node; step b-2: there is no user 'nor-this' on this node"
    )


def test_a_port_is_seen_when_the_step_listens_and_nobody_connects(bench: Bench) -> None:
    """A connection would be the first client of a server that may take only one."""
    port = free_port()
    bench.begin(server(port, ready=ReadyWhen(port=port)), step("a-2"))
    bench.until(bench.is_over)
    (ready,) = bench.of(StepReady)
    assert f"on tcp 127.0.0.1:{port} listens" in ready.what
    assert [end.step for end in bench.of(StepFinished)] == ["1/run/a/a-2"]


def test_a_udp_port_is_seen_too(bench: Bench) -> None:
    """Many servers of measurements have no other."""
    port = free_port()
    bench.begin(server(port, argv=(sys.executable, "-c", SERVE_UDP, str(port)), ready=ReadyWhen(port=port)))
    bench.until(bench.is_over)
    assert f"on udp 127.0.0.1:{port}" in bench.of(StepReady)[0].what


@pytest.mark.parametrize("place", [1, 2])
def test_a_port_that_another_has_already_is_refused_with_its_owner(bench: Bench, place: int) -> None:
    """The server of yesterday would make the step look ready, and the client talk to the wrong one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        before = [step("a-0", verb="wait", argv=(), wait_s=9.0)] if place > 1 else []
        bench.begin(*before, server(port, ready=ReadyWhen(port=port)))
        refused = bench.sent[-1]
    assert isinstance(refused, Refused)
    assert f"port {port}, which is to show it ready, is taken already: pid " in refused.sentence
    assert f"127.0.0.1:{port}" in refused.sentence


def test_another_steps_listener_does_not_show_a_step_ready(bench: Bench) -> None:
    """Two roles of one node may want the same port; the second has not got it."""
    port = free_port()
    sleeper = step(
        "b-1", verb="spawn", timeout_s=None, argv=("sleep", "60"), ready=ReadyWhen(port=port, within_s=1.5)
    )
    bench.begin(server(port, ready=ReadyWhen(port=port)), sleeper)
    bench.until(bench.is_over)
    (end,) = bench.of(StepFinished)
    assert (end.step, end.reason) == ("1/run/b/b-1", "not_ready")
    assert "which is another step's" in end.message


def test_a_line_and_a_file_show_a_step_ready(bench: Bench) -> None:
    """The line is read as it comes, and is in the journal all the same."""
    line = step(
        "a-1", verb="spawn", timeout_s=None, argv=("sh", "-c", "echo one; sleep 0.1; echo two >&2; sleep 60"),
        ready=ReadyWhen(log="^two$"),
    )  # fmt: skip
    file = step(
        "b-1", verb="spawn", timeout_s=None, argv=("sh", "-c", "sleep 0.1; touch here; sleep 60"),
        ready=ReadyWhen(file="here"),
    )  # fmt: skip
    bench.begin(line, file)
    bench.until(bench.is_over)
    assert sorted(ready.what.split()[0] for ready in bench.of(StepReady)) == ["file", "its"]


def test_a_command_shows_a_step_ready_and_leaves_nothing(bench: Bench) -> None:
    """It runs in the step's directory, with its variables, and its output is not the step's."""
    command = ("sh", "-c", 'sleep 300 & echo "$word"; test -e here')
    spawned = step(
        "a-1", verb="spawn", timeout_s=None, argv=("sh", "-c", "sleep 0.3; touch here; sleep 60"),
        env={"word": "not yet"}, ready=ReadyWhen(cmd=command),
    )  # fmt: skip
    bench.begin(spawned)
    bench.until(bench.is_over)
    bench.until(lambda: len(bench.executor.steps.keys) == 1)
    assert bench.of(StepReady)[0].what.endswith("test -e here` succeeded")
    assert not bench.of(StepFinished)


def test_the_sentence_of_a_step_that_is_not_ready_has_the_commands_last_line(bench: Bench) -> None:
    """What it says is stored nowhere else."""
    when = ReadyWhen(cmd=("sh", "-c", "echo no leader yet >&2; exit 4"), within_s=0.5)
    bench.begin(step("a-1", verb="spawn", timeout_s=None, argv=("sleep", "60"), ready=when))
    bench.until(bench.is_over)
    (end,) = bench.of(StepFinished)
    assert "did not succeed within 0.5 s (exit 4, its last line: no leader yet)" in end.message


def test_stop_and_wait_with_real_processes(bench: Bench) -> None:
    """The stop is done when the other step has ended, by its own signal."""
    spawned = step(
        "a-1", verb="spawn", timeout_s=None, signal=2,
        argv=("sh", "-c", "trap 'exit 3' INT; echo up; while :; do sleep 0.05; done"),
        ready=ReadyWhen(log="up"),
    )  # fmt: skip
    wait = step("a-2", verb="wait", argv=(), wait_s=0.2)
    stop = step("a-3", verb="stop", argv=(), target="1/run/a/a-1")
    bench.begin(spawned, wait, stop)
    began_s = time.monotonic()
    bench.until(bench.is_over)
    assert time.monotonic() - began_s >= 0.2
    ends = {end.step.rpartition("/")[2]: end for end in bench.of(StepFinished)}
    assert (ends["a-1"].reason, ends["a-1"].exit_code, ends["a-1"].failed) == ("stopped", 3, False)
    assert ends["a-3"].message == "ended a-1: exit 3"
    assert not bench.of(PhaseFinished)[0].failed


def test_each_attempt_has_its_own_output(bench: Bench) -> None:
    """Bytes of two attempts in one stream would be nobody's."""
    again = "if test -e here; then echo second; else touch here; echo first; exit 1; fi"
    bench.begin(step("a-1", argv=("sh", "-c", again), attempts=2, retry_on="fail"))
    bench.until(bench.is_over)
    ends = [(end.attempt, end.retried, end.stdout_bytes) for end in bench.of(StepFinished)]
    assert ends == [(1, True, 6), (2, False, 7)]


def test_what_is_certainly_wrong_with_a_later_step_is_refused(bench: Bench) -> None:
    """Before anything has started."""
    wait = step("a-1", verb="wait", argv=(), wait_s=9.0)
    bench.begin(wait, step("a-2", argv=("no-such-program",)))
    refused = bench.sent[-1]
    assert isinstance(refused, Refused)
    assert (refused.step, "no-such-program" in refused.sentence) == ("1/run/a/a-2", True)


def test_an_unknown_user_of_any_step_is_refused(bench: Bench) -> None:
    """No step makes users; who does has another phase for it."""
    bench.begin(step("a-1"), step("a-2", user="nobody-of-that-name"))
    assert isinstance(bench.sent[-1], Refused)
    assert "nobody-of-that-name" in bench.sent[-1].sentence


def test_a_launcher_keeps_a_step_until_its_end_is_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the agent died between its last byte and its end, the next one would find neither."""
    steps, unknown = bench.executor.steps, []
    monkeypatch.setattr(
        bench.hands.launching,
        "drained",
        lambda key: unknown.append((one := steps.get(key)) is not None and not one.tree_ended),
    )
    bench.begin(step("a-1", argv=("/bin/sh", "-c", "exec >&- 2>&-; sleep 0.1")))
    bench.until(bench.is_over)
    assert unknown == [False]
