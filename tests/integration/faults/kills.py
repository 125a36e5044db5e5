"""Short runs with numbered output; random processes are killed at random moments, and nothing may be lost."""

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from click import echo

from tests.integration.faults.case import Tail, program_in
from tests.integration.faults.lab import FabricRun, Lab
from tests.integration.faults.printing import Audit, Pieces, Stream, Witness, started
from tests.integration.faults.processes import until

LANES: Final = 3
"""Runs at one time, each on two nodes of its own."""

LINES: Final = 10_000
"""Of each stream and node: four seconds of output."""

KILLS: Final = 20
"""In each round."""

SPAN_S: Final = 6.0
"""Kills fall into the first seconds of a run: it starts, prints and is over in them."""

OPEN: Final = 0.9
"""Part of the rounds in which nobody is killed before the runs are open."""

LEASE_S: Final = 2.0
"""Of the runs: so soon the nodes of one whose controller was killed are of use again."""

WITHIN_S: Final = 300.0
"""A run is over in 20 s where nobody else wants the processors."""

VICTIMS: Final = ("broker", "agent", "launcher", "controller", "tail")
STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")

_TRIAL: Final = """
[trial]
name = "{name}"

[nodes]
one = "{one}"
two = "{two}"

[run]
one = {{ name = "work-one", cmd = ["{python}", "-S", "{program}", "{files}/one", "{lines}", "end"] }}
two = {{ name = "work-two", cmd = ["{python}", "-S", "{program}", "{files}/two", "{lines}", "end"] }}

[reset]
one = "true"
"""


class Lane:
    """Two nodes, and the run that is on them in this round."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.nodes = {"one": f"n{number}a", "two": f"n{number}b"}
        self._number = number

    def start(self, round_number: int) -> None:
        """Start a run."""
        self.name = f"round{round_number}-{self._number}"
        self.files = self.lab.directory / f"files-{self.name}"
        self.files.mkdir()
        text = _TRIAL.format(
            name=self.name,
            python=sys.executable,
            program=program_in(self.lab.directory),
            files=self.files,
            lines=LINES,
            **self.nodes,
        )
        self.run: FabricRun = self.lab.run(text, "--quiet", "--lease", str(LEASE_S), name=self.name)
        self.tail: Tail | None = None
        self._tails = 0

    @property
    def run_id(self) -> str:
        """Id of the run; nothing while it has none."""
        found = [path.name for path in self.run.output.glob("*") if path.name != "latest"]
        return found[0] if found else ""

    def follow(self) -> None:
        """Start a tail, or another one, if there is a run yet."""
        if self.tail is not None:
            self.tail.end()
        self._tails += 1
        self.tail = Tail(self.lab, self.run_id, f"tail{self._tails}-{self.name}") if self.run_id else None

    def audit(self) -> "Audited":
        """Hold what is stored, and what a tail has shown, against what was printed."""
        found = Audited()
        if self.run_id:
            self._audit_bundle(self.lab.directory / "again" / self.run_id / "out" / "1" / "run", found)
            if self.tail is not None:
                self.tail.wait_over()
                self._audit_tail(found)
        for role in self.nodes:
            count = started(self.files / role)
            found.note(f"{self.name}: the step of {role} was started {count} times" if count > 1 else "")
        return found

    def remove(self) -> None:
        """Remove what takes room."""
        for path in (self.files, self.run.output, self.lab.directory / "again"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.lab.directory.glob(f"*{self.name}*"):
            path.unlink()

    def _audit_bundle(self, out: Path, found: "Audited") -> None:
        for role, node in self.nodes.items():
            witness = Witness(self.files / role)
            for stream in STREAMS:
                path = out / node / f"work-{role}.{stream}"
                lines = path.read_text(errors="replace").splitlines() if path.exists() else []
                audit = Audit(stream, lines, witness)
                found.lines += len(lines)
                found.lost += audit.lost
                found.doubled += audit.doubled
                found.note(f"{self.name}: {stream} of {role}: {audit.problem}" if audit.problem else "")

    def _audit_tail(self, found: "Audited") -> None:
        """What comes from a node when the run is over is in no tail: it may end anywhere, but has no gaps."""
        assert self.tail is not None
        events = [event for event in self.tail.events() if event["type"] == "output"]
        for role, node in self.nodes.items():
            for stream in STREAMS:
                pieces = Pieces(stream)
                for event in events:
                    if (event["node"], event["stream"]) == (node, stream):
                        pieces.take(event["offset"], event["size"], event["text"])
                problem = pieces.finish(Witness(self.files / role), whole=False)
                found.lost += pieces.lost_bytes
                found.doubled += pieces.doubled_bytes
                found.note(f"{self.name}: {stream} of {role} in a tail: {problem}" if problem else "")


class Audited:
    """Sums of audits, and what was wrong."""

    def __init__(self) -> None:
        self.lines = 0
        self.lost = 0
        self.doubled = 0
        self.problems: list[str] = []

    def note(self, problem: str) -> None:
        """Take in a problem, if it is one."""
        if problem:
            self.problems.append(problem)

    def add(self, other: "Audited") -> None:
        """Add another one."""
        self.lines += other.lines
        self.lost += other.lost
        self.doubled += other.doubled
        self.problems += other.problems


class Killer:
    """Kills somebody, and has somebody else take the place."""

    def __init__(self, lab: Lab, chance: random.Random) -> None:
        self._lab = lab
        self._chance = chance
        self.kills: Counter[str] = Counter()

    def kill(self, lane: Lane) -> None:
        """Kill a random process of a run, or of the lab."""
        victim = self._chance.choice(VICTIMS)
        if self._is_done(victim, lane):
            self.kills[victim] += 1

    def _is_done(self, victim: str, lane: Lane) -> bool:
        if victim == "broker":
            self._lab.kill_broker()
            self._lab.start_broker()
            return True
        if victim == "controller":
            was_there = lane.run.process.poll() is None
            lane.run.end()
            return was_there
        if victim == "tail":
            was_there = lane.tail is not None
            lane.follow()
            return was_there
        agent = self._lab.agents[self._chance.choice(list(lane.nodes.values()))]
        if victim == "agent":
            agent.kill()
            agent.start()
            return True
        launchers = agent.launchers
        for pid in launchers:
            os.kill(pid, signal.SIGKILL)
        return bool(launchers)


def kill_at_random(directory: Path, kills: int, seed: int, limit_s: float) -> int:
    """Kill until enough were killed or the time is over; print what was found, return the exit code."""
    chance = random.Random(seed)
    until_s = time.monotonic() + limit_s
    lab, total = Lab(directory), Audited()
    killer = Killer(lab, chance)
    try:
        lab.start_broker()
        lanes = [Lane(lab, number) for number in range(1, LANES + 1)]
        lab.start_agents(*(node for lane in lanes for node in lane.nodes.values()))
        rounds = 0
        while killer.kills.total() < kills and time.monotonic() < until_s:
            rounds += 1
            _round(rounds, lab, lanes, killer, chance)
            lab.bundles([lane.run_id for lane in lanes if lane.run_id], directory / "again")
            found = Audited()
            for lane in lanes:
                found.add(lane.audit())
            for lane in lanes:
                lane.remove()
            total.add(found)
            for problem in found.problems:
                echo(f"BROKEN in round {rounds}: {problem[:1500]}")
            if rounds % 2 == 0:
                echo(_sum(rounds, killer, total))
        echo(_sum(rounds, killer, total))
        lab.wait_free(*lab.agents)
    finally:
        lab.close()
    return 1 if total.problems or killer.kills.total() < kills else 0


def _sum(rounds: int, killer: Killer, total: Audited) -> str:
    kinds = ", ".join(f"{count} {victim}" for victim, count in sorted(killer.kills.items()))
    return (
        f"{killer.kills.total()} kills ({kinds}) in {rounds * LANES} runs: "
        f"{total.lines} lines, {total.lost} lost, {total.doubled} doubled, {len(total.problems)} problems"
    )


def _round(number: int, lab: Lab, lanes: list[Lane], killer: Killer, chance: random.Random) -> None:
    """Do one run in each lane, with kills at random moments."""
    for lane in lanes:
        lane.start(number)
    # Sometimes from the first moment on, mostly when the runs are open: a busy machine would see no output.
    if chance.random() < OPEN:
        until(lambda: all(lane.run_id or lane.run.process.poll() is not None for lane in lanes), "runs")
    begun_s = time.monotonic()
    moments = sorted(
        ((chance.uniform(0.2, SPAN_S), chance.choice(lanes)) for _ in range(KILLS)),
        key=lambda one: one[0],
    )
    for moment_s, lane in moments:
        time.sleep(max(0.0, begun_s + moment_s - time.monotonic()))  # it is the moment that is random
        for one in lanes:
            if one.tail is None:
                one.follow()
        killer.kill(lane)
    for lane in lanes:
        lane.run.wait(WITHIN_S)
    # A run whose controller was killed ends by its lease.
    until(
        lambda: all(node["state"] == "free" for node in lab.nodes().values()),
        lambda: f"free nodes in round {number}: {[(n['name'], n['state']) for n in lab.nodes().values()]}",
        WITHIN_S,
    )
