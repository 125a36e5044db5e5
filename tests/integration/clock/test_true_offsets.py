"""Agents in time namespaces: the true offset of each clock is known, and has to be within what is stated.

A time namespace shifts CLOCK_MONOTONIC of all in it by a number of seconds.  All processes are on one
machine, so the broker's fabric time minus the clock of a node is the broker's own offset minus that shift.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agents.launcher import tree
from fabric.config import parse_url
from tests.integration.clock.relay import Relay
from tests.integration.faults.lab import PATIENCE_S, Agent, FabricRun, Lab
from tests.integration.faults.processes import BOUND_S, until

S: Final = 1_000_000_000
DAY_S: Final = 86_400

SHIFTS_S: Final = {"near": 0, "days": 40 * DAY_S, "back": -100, "slow": 3 * DAY_S + 7}
"""By node.  ``slow`` is behind the relay; ``back`` needs a machine that is up for longer than that."""

THERE_S, BACK_S, JITTER_S = 0.002, 0.020, 0.003

FLOAT_S: Final = 2e-6
"""Instants in JSON are floats: of a time since 1970 they are exact to less than this."""

PYTHON: Final = f"{sys.executable} -I -S -c"

TRIAL: Final = f"""
[trial]
name = "clocks"
repeat = 3

[nodes]
all = "near,days,back,slow"

[run]
all = '{PYTHON} "import time; print(time.monotonic_ns())"'
"""

FLOOD: Final = f"""
[trial]
name = "flood"
repeat = 2

[nodes]
all = "near,days,back,slow"
loud = "near,days"

[startup]
loud = {{ spawn = "yes 0123456789012345678901234567890 | head -c 20000000; exec sleep 600" }}

[run]
all = '{PYTHON} "import time; print(time.monotonic_ns())"'
"""


class ShiftedAgent(Agent):
    """An agent with a clock of its own."""

    shift_s = 0
    url = ""

    def start(self) -> None:
        """Start it in a time namespace."""
        shift = ("--monotonic", self.shift_s, "--boottime", self.shift_s)
        enter = ("unshare", "--time", *shift, "--fork", "--kill-child") if self.shift_s else ()
        words = (
            self.url or self.lab.url,
            "--join",
            self.lab.token,
            "--name",
            self.name,
            "--addr",
            "=127.0.0.1",
        )
        limits = ("--state-dir", self.state, "--launcher-patience", *PATIENCE_S)
        self.process = self.lab.spawn(self.name, (*enter, sys.executable, "-m", "agents", *words, *limits))

    @property
    def pid(self) -> int:
        """Of the agent itself, which is the child of who made its namespace."""
        assert self.process is not None
        return tree.children(self.process.pid)[0] if self.shift_s else self.process.pid

    def end(self) -> None:
        """End it as its user does."""
        assert self.process is not None
        os.kill(self.pid, signal.SIGTERM)
        assert self.process.wait(BOUND_S) == 0, self._said()


class KnownLab(Lab):
    """A lab whose broker has written down its clock."""

    def start_broker(self) -> None:
        read_fd, write_fd = os.pipe()
        script = Path(__file__).parent / "known_broker.py"
        words = ("--listen", self.url, "--state-dir", self.directory / "broker", "--announce-fd", write_fd)
        known = self.directory / "offset"
        self.broker = self.spawn("broker", (sys.executable, script, known, *words), fds=(write_fd,))
        os.close(write_fd)
        with os.fdopen(read_fd) as announcement:
            line = announcement.readline()
        assert line, self.log("broker")
        said = json.loads(line)
        self.url, self.token = said["url"], said["join"]
        self.offset_ns = int(known.read_text())

    def true_offset_ns(self, node: str) -> int:
        """Return fabric time minus the clock of a node."""
        return self.offset_ns - SHIFTS_S[node] * S


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnownLab]:
    """Agents with clocks that are seconds to days apart, one of them behind a slow and lopsided path."""
    tried = subprocess.run(
        ["unshare", "--time", "--monotonic", "-100", "--fork", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no time namespace can be made here: {tried.stderr.decode().strip()}")
    made, relay = KnownLab(tmp_path_factory.mktemp("clocks")), None
    try:
        made.start_broker()
        port = parse_url(made.url).port
        ports = tuple(range(port, port + 4))
        relay = Relay("127.0.0.2", ports, there_s=THERE_S, back_s=BACK_S, jitter_s=JITTER_S)
        for name, shift_s in SHIFTS_S.items():
            agent = made.agents[name] = ShiftedAgent(made, name)
            agent.shift_s = shift_s
            agent.url = f"tcp://127.0.0.2:{port}" if name == "slow" else ""
            agent.start()
        for agent in made.agents.values():
            agent.wait_joined()
        yield made
    finally:
        made.close()
        if relay is not None:
            relay.close()


@pytest.fixture(scope="module")
def ran(lab: KnownLab) -> FabricRun:
    """A run of three repeats on all nodes."""
    run = lab.run(TRIAL)
    assert run.wait() == 0, run.end_of_said()
    return run


def events(run: FabricRun, *types: str) -> list[dict[str, Any]]:
    """Return what a run has reported of these types."""
    lines = (run.bundle / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] in types]


def clocks(lab: KnownLab) -> dict[str, dict[str, Any]]:
    """Return what each node says of its clock, all of them."""
    found: dict[str, dict[str, Any]] = {}

    def have_all() -> bool:
        found.update({name: node["clock"] for name, node in lab.nodes().items()})
        return all(found.get(name) for name in SHIFTS_S)

    until(have_all, lambda: str(found))
    return found


def check_clocks(lab: KnownLab) -> dict[str, dict[str, Any]]:
    """See that all that nodes say of their clocks is true."""
    found = clocks(lab)
    for name, clock in found.items():
        assert clock["bound_ns"] >= 0
        assert abs(clock["offset_ns"] - lab.true_offset_ns(name)) <= clock["bound_ns"], name
    return found


def check_starts(lab: KnownLab, run: FabricRun) -> dict[str, int]:
    """See that every start of a run is told within its bound; return how many there were, by node."""
    began_s = run.result["started"]
    counts = dict.fromkeys(SHIFTS_S, 0)
    for event in events(run, "step_started"):
        true_s = event["local"] + lab.true_offset_ns(event["node"]) / S
        error_s = abs(began_s + event["t"] - true_s)
        assert event["bound"] > 0, event
        assert error_s <= event["bound"] + FLOAT_S, event
        counts[event["node"]] += 1
    return counts


def test_what_nodes_say_of_their_clocks_is_true(lab: KnownLab) -> None:
    """Days apart, and over a path of which one way takes ten times the other."""
    found = check_clocks(lab)
    slow = found["slow"]
    assert slow["rtt_ns"] >= (THERE_S + BACK_S) * S
    assert slow["bound_ns"] < 5 * slow["rtt_ns"]
    off_ns = slow["offset_ns"] - lab.true_offset_ns("slow")
    assert abs(off_ns) > (BACK_S - THERE_S) / 4 * S, "the path was lopsided, so half its round trip is wrong"


def test_every_start_is_told_within_its_bound(lab: KnownLab, ran: FabricRun) -> None:
    """The headline promise, by clocks of which nobody but this test knows the truth."""
    assert check_starts(lab, ran) == dict.fromkeys(SHIFTS_S, 3)
    check_clocks(lab)


def test_the_skew_is_within_its_bound(ran: FabricRun) -> None:
    """And so is what is told of a whole phase: it is the true skew, give or take the bound."""
    starts: dict[int, list[float]] = {}
    for event in events(ran, "step_started"):
        starts.setdefault(event["repeat"], []).append(event["local"] - SHIFTS_S[event["node"]])
    for phase in ran.result["phases"]:
        found = starts[phase["repeat"]]
        assert abs(phase["skew_s"] - (max(found) - min(found))) <= phase["skew_bound_s"] + FLOAT_S


def test_bounds_hold_while_the_broker_is_flooded_with_output(lab: KnownLab) -> None:
    """Answers wait in queues then: bounds become wider, and stay true."""
    run = lab.run(FLOOD)
    assert run.wait() == 0, run.end_of_said()
    assert all(check_starts(lab, run).values())
    starts = [event["t"] for event in events(run, "step_started") if event["phase"] == "run"]
    loud = [event["t"] for event in events(run, "output") if event["phase"] == "startup"]
    assert any(min(loud) < start < max(loud) for start in starts), "the flood was over before"
    check_clocks(lab)


def test_programs_and_records_agree_on_the_time(lab: KnownLab, ran: FabricRun) -> None:
    """A program that prints its clock has started after its record says so, and before that it has ended."""
    began_s = ran.result["started"]
    found = events(ran, "step_started", "step_finished")
    spans = {(event["type"], event["repeat"], event["node"]): event for event in found}
    for name in SHIFTS_S:
        for repeat in (1, 2, 3):
            said = ran.out(repeat, "run", name, "all-1.stdout")
            true_s = (int(said) + lab.true_offset_ns(name)) / S - began_s
            first, last = spans["step_started", repeat, name], spans["step_finished", repeat, name]
            assert first["t"] - first["bound"] - FLOAT_S <= true_s <= last["t"] + last["bound"] + FLOAT_S


def test_the_clocks_are_shown(lab: KnownLab) -> None:
    """A line for each node, with its kernel's view."""
    done = lab.command("nodes", "--clock")
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split()[:4] == ["NODE", "STATE", "BOUND", "ROUND"]
    assert [line.split()[0] for line in lines] == sorted(SHIFTS_S)
    assert all("synchronised" in line for line in lines)
