"""Whole runs from a seed: broker, agents and controller over links that lose and delay, with crashes.

What must hold in every order of events: a run ends; nothing starts twice; all nodes start a phase or none
does (or the verdict says so); the record log holds every record once and in order; output is complete.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest

from fabric.protocol.records import Output, StepFinished, StepReady, StepStarted
from fabric.trial.load import parse_trial
from tests.plans import plain_plan
from tests.simulation.sim_agent import SimAgent
from tests.simulation.sim_broker import SimBroker
from tests.simulation.sim_controller import SimController
from tests.simulation.world import MS, Network, S, World

RUN = "20260301-102207-ping-k3f9"
SEEDS = int(os.environ.get("FABRIC_SIMULATION_SEEDS", "40"))
TROUBLE_NS = 20 * S
LIMIT_NS = 400 * S

TRIAL = """
[trial]
name = "sim"
[matrix]
size = [1, 2]
[nodes]
a = ["n1", "n2"]
b = "n3"
[startup]
b = { spawn = "server", name = "server", ready.port = 7 }
[[run.a]]
cmd = "first"
[[run.a]]
wait = "100ms"
[[run.a]]
name = "flaky"
cmd = "second"
retries = 2
retry_on = "fail"
[[run.b]]
cmd = "third"
[[run.b]]
spawn = "daemon"
ready.cmd = "probe"
[[run.b]]
stop = "server"
[[collect.a]]
cmd = "gather"
when = "always"
[[collect.a]]
fetch = "*.log"
when = "always"
[reset]
a = "clean"
b = "clean"
"""


@dataclass
class Story:
    """What happens in one seed."""

    seed: int
    loss: float = 0.0
    delay_ns: tuple[int, int] = (100_000, 3 * MS)
    broker_crashes: int = 0
    agent_crashes: int = 0
    agent_stops: int = 0
    launcher_deaths: int = 0
    controller_dies: bool = False
    interrupts: int = 0
    failing: bool = False
    notes: list[str] = field(default_factory=list)


class Lab:
    """Everything together, with the invariants."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.world = World(story.seed)
        self.network = Network(self.world, story.loss, story.delay_ns, TROUBLE_NS)
        self.broker = SimBroker(self.world, self.network)
        text = TRIAL.replace('"flaky"', '"bad"') if story.failing else TRIAL
        self.agents = {
            name: SimAgent(self.world, self.network, self.broker, name, self.world.random.randint(0, 10**15))
            for name in ("n1", "n2", "n3")
        }
        self.world.run(lambda: self.world.now_ns > 0 and self._all_up(), LIMIT_NS)
        trial = parse_trial(text, "sim.toml")
        plan = plain_plan(trial, {}, ("startup", "run", "collect"), 1)
        self.controller = SimController(self.world, self.network, self.broker, plan, RUN)
        self.world.after_event.append(self.check_always)
        self._plan_trouble()

    def _all_up(self) -> bool:
        return all(agent.session.state == "up" for agent in self.agents.values())

    def _plan_trouble(self) -> None:
        random, story = self.world.random, self.story
        base_ns = self.world.now_ns
        for _ in range(story.broker_crashes):
            when_ns = base_ns + random.randint(0, 4 * S)
            self.world.at(when_ns, self.broker.crash)
            self.world.at(when_ns + random.randint(50 * MS, 3 * S), self.broker.start)
        for _ in range(story.agent_crashes):
            agent = random.choice(list(self.agents.values()))
            when_ns = base_ns + random.randint(0, 4 * S)
            self.world.at(when_ns, agent.crash)
            self.world.at(when_ns + random.randint(50 * MS, 15 * S), agent.start)
        for _ in range(story.agent_stops):
            agent = random.choice(list(self.agents.values()))
            when_ns = base_ns + random.randint(0, 4 * S)
            self.world.at(when_ns, agent.stop)
            self.world.at(when_ns + random.randint(50 * MS, 15 * S), agent.start)
        for _ in range(story.launcher_deaths):
            agent = random.choice(list(self.agents.values()))
            self.world.at(base_ns + random.randint(0, 4 * S), agent.lose_launcher)
        for _ in range(story.interrupts):
            self.world.at(base_ns + random.randint(0, 4 * S), self.controller.interrupt)
        if story.controller_dies:
            self.world.at(base_ns + random.randint(0, 4 * S), self.controller.kill)

    def run(self) -> None:
        """Run to the end and check what must hold then."""
        if self.story.controller_dies:
            done = self.world.run(lambda: self._closed() or self._never_opened(), LIMIT_NS)
        else:
            done = self.world.run(lambda: self.controller.over, LIMIT_NS)
        assert done, f"seed {self.story.seed}: the run hangs in {self.controller.run_machine.state}"
        self.world.run(self._all_shipped, LIMIT_NS)
        self.check_always()
        self.check_log()
        self.check_starts()
        if (
            self.controller.run_machine.findings.verdict in ("pass", "fail")
            and not self.story.controller_dies
        ):  # else what a broker published and then lost with its disk may have been read twice
            self.check_output()
            self.check_attempts()

    def _closed(self) -> bool:
        return RUN in self.broker.verdicts

    def _never_opened(self) -> bool:
        return RUN not in self.broker.facts and self.world.now_ns > TROUBLE_NS + 60 * S

    def _all_shipped(self) -> bool:
        return not any(agent.journals for agent in self.agents.values())

    # --- invariants -------------------------------------------------------------------------------------

    def check_always(self) -> None:
        """After every event: nothing was started twice."""
        for agent in self.agents.values():
            keys = [key for _, key in agent.starts]
            assert len(keys) == len(set(keys)), f"seed {self.story.seed}: started twice on {agent.name}"

    def check_log(self) -> None:
        """Every journal is in the record log once, in order, without a gap; the run's numbers too."""
        if RUN not in self.broker.logs:
            return
        number, nexts = 1, {}
        for entry in self.broker.logs[RUN].entries:
            head = entry.head
            assert head.number == number, f"seed {self.story.seed}: gap in the log"
            number += head.count
            source = (head.node, head.incarnation)
            assert head.first == nexts.get(source, 1), f"seed {self.story.seed}: {source} doubled or lost"
            nexts[source] = head.first + head.count

    def check_starts(self) -> None:
        """All nodes that have first steps in a phase started it, or none; or the verdict is about that."""
        verdict = self.controller.run_machine.findings.verdict
        if verdict not in ("pass", "fail") or self.story.controller_dies:
            return  # a controller that is dead has neither a verdict nor all records
        started: dict[str, set[str]] = {}
        for read in self.controller.reads:
            if isinstance(read.record, StepStarted) and read.record.go:
                started.setdefault(read.record.step.rsplit("/", 2)[0], set()).add(read.node)
        for phase, nodes in started.items():
            wanted = {"startup": {"n3"}, "collect": {"n1", "n2"}}.get(phase.split("/")[1], {"n1", "n2", "n3"})
            assert nodes == wanted, f"seed {self.story.seed}: phase {phase} started on {nodes} only"

    def check_attempts(self) -> None:
        """Attempts are counted from 1, and another one follows only where the one before was given up."""
        seed, verdict = self.story.seed, self.controller.run_machine.findings.verdict
        ends: dict[tuple[str, str, int], list[StepFinished]] = {}
        ready = {(read.node, read.record.step) for read in self.reads(StepReady)}
        for read in self.reads(StepFinished):
            ends.setdefault((read.node, read.record.step, read.incarnation), []).append(read.record)
        for (node, step, _), records in ends.items():
            assert [end.attempt for end in records] == list(range(1, len(records) + 1)), (
                f"seed {seed}: {step}"
            )
            assert all(end.retried for end in records[:-1]), f"seed {seed}: {step} on {node}"
            if verdict == "pass":
                assert not records[-1].retried, f"seed {seed}: {step} on {node}"
                is_awaited = step.endswith(("server", "b-2"))
                assert not is_awaited or (node, step) in ready, f"seed {seed}: {step} on {node}"

    def reads(self, kind: type) -> list[Any]:
        """Return what the controller has read of a kind."""
        return [read for read in self.controller.reads if isinstance(read.record, kind)]

    def check_output(self) -> None:
        """What the programs wrote is what the controller has read."""
        got: dict[tuple[str, str, int, int, str], bytes] = {}
        for read in self.controller.reads:
            if isinstance(read.record, Output):
                record = read.record
                key = (read.node, record.step, record.attempt, read.incarnation, record.stream)
                assert read.record.offset == len(got.get(key, b""))
                got[key] = got.get(key, b"") + bytes(read.data)
        for agent in self.agents.values():
            for (step, attempt, incarnation, stream), data in agent.written.items():
                place = (agent.name, step, attempt, incarnation, stream)
                assert got.get(place) == data, f"seed {self.story.seed}"


def verdict_of(story: Story) -> str:
    lab = Lab(story)
    lab.run()
    return lab.controller.run_machine.findings.verdict


@pytest.mark.parametrize("seed", range(3))
def test_a_quiet_lab_passes(seed: int) -> None:
    """Without trouble the verdict is pass, or every later word about trouble is worthless."""
    assert verdict_of(Story(seed)) == "pass"


def test_a_failing_step_fails_the_run() -> None:
    """And the run still ends, collects and resets."""
    assert verdict_of(Story(1, failing=True)) == "fail"


def test_lossy_links_change_no_verdict_but_time() -> None:
    """Lost messages are said again: the run passes, or its go could not be agreed on in time."""
    verdicts = [verdict_of(Story(seed, loss=0.1)) for seed in range(SEEDS)]
    assert set(verdicts) <= {"pass", "error", "invalid"}
    assert verdicts.count("pass") > SEEDS * 0.8


def test_broker_crashes_lose_and_double_nothing() -> None:
    """A broker that is killed and starts again is an event, not an end."""
    verdicts = [verdict_of(Story(seed, loss=0.02, broker_crashes=2)) for seed in range(SEEDS)]
    assert set(verdicts) <= {"pass", "error", "invalid"}
    assert verdicts.count("pass") > SEEDS * 0.5


def test_agent_crashes_end_the_run_as_error_and_lose_no_record() -> None:
    """An agent that was killed ships its journal in its next life."""
    verdicts = [verdict_of(Story(seed, loss=0.02, agent_crashes=1)) for seed in range(SEEDS)]
    assert set(verdicts) <= {"pass", "error", "invalid"}
    assert "error" in verdicts


def test_agents_that_are_stopped_end_the_run_as_error() -> None:
    """Whether they come back at once or late."""
    verdicts = [verdict_of(Story(seed, loss=0.02, agent_stops=1)) for seed in range(SEEDS)]
    assert set(verdicts) <= {"pass", "error", "invalid"}
    assert "error" in verdicts


def test_launchers_that_die_end_the_run_as_error_or_have_their_steps_tried_again() -> None:
    """A reset of which nobody knows whether it was done leaves a dirty node."""
    verdicts = [verdict_of(Story(seed, loss=0.02, launcher_deaths=1)) for seed in range(SEEDS)]
    assert set(verdicts) <= {"pass", "error", "fail", "invalid", "dirty"}
    assert {"pass", "error"} <= set(verdicts)


def test_a_dead_controller_leaves_no_open_run() -> None:
    """The leases clean up, and the broker closes the run."""
    for seed in range(SEEDS):
        verdict_of(Story(seed, loss=0.02, controller_dies=True))


def test_interrupts_end_every_run() -> None:
    """Ctrl-C once, twice or three times, at any moment."""
    for seed in range(SEEDS):
        verdict = verdict_of(Story(seed, loss=0.02, interrupts=1 + seed % 3))
        assert verdict in ("interrupted", "error", "invalid", "dirty", "pass")


def test_all_kinds_of_trouble_together() -> None:
    """The rare orders of events."""
    for seed in range(SEEDS):
        verdict_of(
            Story(
                seed,
                loss=0.05,
                broker_crashes=1,
                agent_crashes=1,
                interrupts=seed % 2,
                failing=bool(seed % 3),
            )
        )
