"""Cells of the matrix that are done together: each run comes to its moment, then all faults strike."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.launching import Patience
from tests.integration.faults.case import Case, Tail, make_big
from tests.integration.faults.cells import Cell, Stage, expected
from tests.integration.faults.judge import Judge, Outcome
from tests.integration.faults.lab import Agent, Lab
from tests.integration.faults.network import Cut, Network, Place
from tests.integration.faults.processes import spent_s, until

HOLD_S: Final = 7.0
"""How long something is stopped or cut off: over the silences (5 s), below a run's patience (10 s)."""

BUSY_S: Final = HOLD_S / 2
"""Processor time that an agent may take meanwhile; one that prints takes a fifth of it."""

WITHIN_S: Final = 120.0
"""From the fault to the end of the last run, on a machine that has more to do."""

_PATIENCE: Final = Patience()
PATIENCE_S: Final = (_PATIENCE.lease_s, _PATIENCE.grace_s, _PATIENCE.silence_s)
"""Of agents and launchers with each other, as it is if nobody says anything."""

LEFT_BYTES: Final = 1_000_000
"""Most that an agent has on its disk when all is over: keys and nothing else."""

IN_TURN: Final[tuple[Stage, ...]] = ("prepare", "armed", "reset", "run", "go", "fetch")
"""Moments that last come first, then those that are over soon."""

PLACES: Final[dict[str, Place]] = {
    "broker": "broker",
    "agent": "victims",
    "controller": "operators",
    "tail": "readers",
}


class Bench:
    """A lab for batches: agents that are used again, and a tail that sees all runs."""

    def __init__(self, directory: Path, network: Network | None = None) -> None:
        self.lab = Lab(directory, network=network, patience_s=PATIENCE_S)
        self.network = network
        self.digest = make_big(directory / "big")
        self._outcomes: dict[Cell, Outcome] = {}
        self._begun: set[Cell] = set()
        self._retired = 0
        self._suffix: dict[str, str] = {}  # of nodes that others have taken the place of

    def open(self) -> None:
        """Start the broker, and the tail that is to survive everything."""
        self.lab.start_broker()
        self.tail = Tail(self.lab, "", "tail")

    def close(self) -> None:
        """End everything; a process or a file that is left is an error."""
        try:
            if hasattr(self, "tail"):
                self.tail.end()
        finally:
            self.lab.close()

    def outcome(self, cell: Cell, together: Sequence[Sequence[Cell]]) -> Outcome:
        """Return what becomes of a cell, which is done with those that it stands together with."""
        if cell not in self._outcomes:
            (cells,) = [cells for cells in together if cell in cells]
            assert not self._begun.intersection(cells), "see the first cell of this batch"
            self._begun.update(cells)
            self._outcomes.update((outcome.cell, outcome) for outcome in self.do(cells))
        return self._outcomes[cell]

    def do(self, cells: Sequence[Cell]) -> list[Outcome]:
        """Do cells at the same time."""
        batch = Batch(self, [self._case(number, cell) for number, cell in enumerate(cells, 1)])
        return batch.do()

    def retire(self, agent: Agent, run: str) -> None:
        """Use another node in its place from now on: this one is dirty by a run."""
        agent.end()
        agent.dirty = run
        self._retired += 1
        self._suffix[agent.name] = f"r{self._retired}"

    def _case(self, number: int, cell: Cell) -> Case:
        return Case(self.lab, cell, self._agent(f"v{number}", "victims"), self._agent(f"o{number}", "others"))

    def _agent(self, name: str, place: Place) -> Agent:
        while suffix := self._suffix.get(name, ""):
            name += suffix
        agent = self.lab.agents.setdefault(name, Agent(self.lab, name))
        agent.place = place
        return agent


class Batch:
    """Some cells, each on nodes of its own."""

    def __init__(self, bench: Bench, cases: list[Case]) -> None:
        self._bench = bench
        self._lab = bench.lab
        self._cases = cases
        self._outcomes = {case.cell: Outcome(case.cell) for case in cases}
        self._done: set[tuple[str, str]] = set()  # faults that happen to all at once
        self._heals: list[Callable[[], None]] = []
        self._repairs: list[Callable[[], None]] = []  # when the runs are over

    def do(self) -> list[Outcome]:
        """Bring all to their moment, strike, heal, wait, judge."""
        new = [agent for case in self._cases for agent in (case.victim, case.other) if agent.process is None]
        self._lab.start_agents(*(agent.name for agent in new))
        for case in self._cases:
            case.start()
        for case in sorted(self._cases, key=lambda case: IN_TURN.index(case.cell.stage)):
            case.reach()
            if case.cell.victim == "tail" and not case.tails:
                case.follow()
        self._strike()
        return self._end()

    def _strike(self) -> None:
        for case in self._cases:
            if case.is_late:
                self._outcomes[case.cell].problems.append("it came too late: its moment was over")
        self._struck_s = time.monotonic()
        for case in self._cases:
            self._hit(case)
        for case in self._cases:
            if not case.is_ended_in_reset:
                case.go_on()
        if any(case.cell.fault == "stop" or case.cell.cut for case in self._cases):
            self._hold()
        for heal in self._heals:
            heal()
        for case in self._cases:
            case.finish()
            if case.is_ended_in_reset and not case.cell.is_for_good:
                case.victim.wait_joined()
                case.go_on()

    def _hold(self) -> None:
        """Let the faults last, in which no agent has so much to do that it would keep others from it."""
        before_s = {
            agent.name: spent_s(agent.pid) for case in self._cases for agent in (case.victim, case.other)
        }
        time.sleep(HOLD_S)  # no wait for anything: this is how long the fault lasts
        for case in self._cases:
            for agent in (case.victim, case.other):
                took_s = spent_s(agent.pid) - before_s[agent.name]
                if took_s > BUSY_S:
                    problem = f"{agent.name} took {took_s:.1f} s of a processor in {HOLD_S:g} s of the fault"
                    self._outcomes[case.cell].problems.append(problem)

    def _end(self) -> list[Outcome]:
        self._wait()
        for repair in self._repairs:
            repair()
        for case in self._cases:
            case.go_on()
            for tail in case.tails:
                tail.wait_over()
        states = self._states()
        judges = [Judge(case, self._outcomes[case.cell]) for case in self._cases]
        again = [judge.case.run_id for judge in judges if judge.needs_again]
        if again:
            self._lab.bundles(again, self._lab.directory / "again")
        for judge in judges:
            case, outcome = judge.case, judge.outcome
            self._bench.tail.wait_shown("run_ended", run=case.run_id)
            judge.judge(self._bench.digest)
            judge.shown(self._bench.tail.events(case.run_id))
            judge.state(states[case.victim.name])
            outcome.problems += self._left(case)
            if states[case.victim.name] != "free":
                self._bench.retire(case.victim, case.run_id)
            case.remove()
        return list(self._outcomes.values())

    def _wait(self) -> None:
        """Wait for the ends of all runs, and note when each came."""
        waiting = list(self._cases)

        def are_over() -> bool:
            for case in [case for case in waiting if self._is_over(case)]:
                self._outcomes[case.cell].seconds = time.monotonic() - self._struck_s
                waiting.remove(case)
            return not waiting

        try:
            until(are_over, "the ends of runs", WITHIN_S)
        except AssertionError:
            for case in waiting:
                self._outcomes[case.cell].problems.append(f"no end within {WITHIN_S:g} s")
                case.run.end()

    def _is_over(self, case: Case) -> bool:
        if case.cell[:2] == ("controller", "kill"):  # the broker ends its run
            return f"run={case.run_id} verdict=" in self._lab.log("broker")
        return case.run.process.poll() is not None

    def _states(self) -> dict[str, str]:
        """Return how the victims' nodes stand, when they stand as they should or the wait is over."""
        wanted = {case.victim.name: expected(case.cell, case.victim.name).state for case in self._cases}
        found: dict[str, str] = {}

        def are_so() -> bool:
            for name, node in self._lab.nodes().items():
                found[name] = "dirty" if node["dirty_run"] and node["state"] == "free" else node["state"]
            return all(found[name] == state for name, state in wanted.items())

        with suppress(AssertionError):  # the judge says which is not, and how it is
            until(are_so, "nodes as they should be", 30.0)
        return found

    def _left(self, case: Case) -> list[str]:
        """Return what takes room on the disks of the nodes, though the run is over."""
        problems = []
        for agent in (case.victim, case.other):
            try:
                until(lambda agent=agent: agent.size() < LEFT_BYTES, "room", 10.0)  # type: ignore[misc]
            except AssertionError:
                problems.append(f"{agent.name} keeps {agent.size()} bytes")
        return problems

    # --- what happens -----------------------------------------------------------------------------------

    def _hit(self, case: Case) -> None:
        cell = case.cell
        if cell.cut or cell.victim == "broker":  # one link, one broker: it happens to all of them at once
            if cell[:2] in self._done:
                return
            self._done.add(cell[:2])
        if cell.cut:
            self._cut(PLACES[cell.victim], cell.cut)
        elif cell.fault.startswith("stop"):
            self._stop(case)
        else:
            self._kill(case)

    def _cut(self, place: Place, how: str) -> None:
        network = self._bench.network
        assert network is not None
        ways: dict[str, Cut] = {"link": "link", "both": "both", "in": "in", "out": "out"}
        network.cut(place, ways[how])
        self._heals.append(lambda: network.heal(place))

    def _stop(self, case: Case) -> None:
        pid = self._pid(case)
        os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                assert case.cell.is_for_good, f"{case.cell.name}: it has ended while it was stopped"

        (self._repairs if case.cell.is_for_good else self._heals).append(go_on)

    def _kill(self, case: Case) -> None:
        match case.cell.victim:
            case "broker":
                self._lab.kill_broker()
                self._heals.append(self._lab.start_broker)
            case "agent":
                case.victim.kill()
                (self._repairs if case.cell.is_for_good else self._heals).append(case.victim.start)
            case "launcher":
                os.kill(case.victim.launcher, signal.SIGKILL)
            case "controller":
                case.run.end()
            case "tail":
                case.tails.pop(0).end()
                self._heals.append(case.follow)

    def _pid(self, case: Case) -> int:
        match case.cell.victim:
            case "broker":
                assert self._lab.broker is not None
                return self._lab.broker.pid
            case "agent":
                return case.victim.pid
            case "launcher":
                return case.victim.launcher
            case "controller":
                return case.run.process.pid
            case "tail":
                return case.tails[0].process.pid
