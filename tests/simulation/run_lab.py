"""Whole runs: broker, agents and controller over links that lose, delay and are cut, with deaths of all.

What must hold in every order of events: a run ends; nothing starts twice; all nodes start a phase or none
does (or the verdict says so); a node resets once; the record log holds every record once and in order, and
what a reader has read of it stays so; output is complete; a run that resumes another does what is left.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from fabric.controller.plan import RunPlan
from fabric.controller.takeover import Key, Source, Survey, taken
from fabric.protocol.records import Output, StepFinished, StepReady, StepStarted
from fabric.trial.load import parse_trial
from tests.plans import kept, plain_plan
from tests.simulation.sim_agent import SimAgent
from tests.simulation.sim_broker import SimBroker
from tests.simulation.sim_controller import SimController
from tests.simulation.troubles import NODES, OF_NODES, Story, Trouble
from tests.simulation.world import Cut, Network, S, World

RUN = "20260301-102207-ping-k3f9"
RESUMED = "20260301-112207-ping-k3fa"
TROUBLE_NS = 20 * S
LIMIT_NS = 400 * S
SHIPPED_NS = 200 * S
"""So long after its end what is left of a run may be under way: a cut, and the leases of all."""

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


SMALL = """
[trial]
name = "sim"
[nodes]
a = "n1"
b = "n2"
[[startup.b]]
spawn = "server"
ready.port = 7
[[run.a]]
name = "flaky"
cmd = "first"
[[run.b]]
cmd = "second"
[reset]
a = "clean"
b = "clean"
"""


@cache
def plan_of(failing: bool, goes_on: bool, small: bool, resumed: bool) -> RunPlan:
    text = SMALL if small else TRIAL
    if resumed and small:
        text = text.replace("[nodes]", "[matrix]\nsize = [1, 2]\n[nodes]")
    if failing:
        text = text.replace('"flaky"', '"bad"')
    if goes_on:
        text = text.replace('name = "sim"', 'name = "sim"\non_lost = "continue"')
    phases = ("startup", "run") if small else ("startup", "run", "collect")
    return kept(plain_plan(parse_trial(text, "sim.toml"), {}, phases, 1))


@dataclass
class Told:
    """One run of a lab: the first, or the one that resumes it."""

    run: str
    controller: SimController
    kinds: set[str]  # of trouble while it went on
    checked: int = 0  # reads

    @property
    def verdict(self) -> str:
        return str(self.controller.run_machine.findings.verdict)

    def reads(self, kind: type) -> list[Any]:
        """Return what the controller has read of a kind."""
        return [read for read in self.controller.reads if isinstance(read.record, kind)]


class Lab:
    """Everything together, with the invariants."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.nodes = NODES[:2] if story.small else NODES
        self.world = World(story.seed)
        self.network = Network(self.world, story.loss, story.delay_ns, TROUBLE_NS)
        self.broker = SimBroker(self.world, self.network)
        self.agents = {
            name: SimAgent(self.world, self.network, self.broker, name, self.world.random.randint(0, 10**15))
            for name in self.nodes
        }
        self.world.run(lambda: self.world.now_ns > 0 and self._all_up(), LIMIT_NS)
        self.plan = plan_of(story.failing, story.goes_on, story.small, story.again is not None)
        self._checked_starts = dict.fromkeys(self.nodes, 0)
        self._starters: dict[str, dict[str, str]] = {name: {} for name in self.nodes}  # launchers, by key
        self.runs: list[Told] = []
        self.world.after_event.append(self.check_always)
        self._begin(RUN, self.plan, story.troubles)

    def _begin(self, run: str, plan: RunPlan, troubles: tuple[Trouble, ...]) -> None:
        number = len(self.runs) + 1
        self.controller = SimController(self.network, self.broker, plan, run, number)
        self.runs.append(Told(run, self.controller, {trouble.kind for trouble in troubles}))
        hit = {trouble.target for trouble in troubles if trouble.kind == "agent_kill"}
        for name, agent in self.agents.items():
            agent.keeps_memo = name in hit
        for trouble in troubles:
            self._plan(trouble)

    def _all_up(self) -> bool:
        return all(agent.session.state == "up" for agent in self.agents.values())

    def _plan(self, trouble: Trouble) -> None:
        begin_ns = self.world.now_ns + trouble.at_ns
        end_ns = begin_ns + trouble.lasts_ns
        agent = self.agents.get(trouble.target)
        match trouble.kind:
            case "cut":
                self._cut(trouble, begin_ns, end_ns)
            case "kill" | "power":
                die = self.broker.crash if trouble.kind == "kill" else self.broker.lose_power
                self.world.at(begin_ns, partial(self._if_alive, die))
                self.world.at(end_ns, self._revive_broker)
            case "interrupt":
                self.world.at(begin_ns, self.controller.interrupt)
            case "controller_death":
                self.world.at(begin_ns, self.controller.kill)
            case "broker_pause":
                self.world.at(begin_ns, lambda: self.broker.pause(end_ns))
            case "controller_pause":
                self.world.at(begin_ns, lambda: self.controller.pause(end_ns))
            case _ if agent is not None:
                self._plan_for(agent, trouble, begin_ns, end_ns)
            case _:
                pass  # of a node that a small lab has not

    def _plan_for(self, agent: SimAgent, trouble: Trouble, begin_ns: int, end_ns: int) -> None:
        kind = trouble.kind
        strikes = {
            "launcher_death": agent.lose_launcher,
            "agent_kill": lambda: agent.kill(trouble.acts),
            "agent_stop": agent.stop,
            "agent_pause": lambda: agent.pause(end_ns),
            "node_power": agent.lose_power,
            "echo": lambda: self.broker.say_again(agent.name),
            "revoke": lambda: self.broker.revoke(agent.name),
        }
        self.world.at(begin_ns, strikes[kind])
        if end_ns > begin_ns and kind != "agent_pause":
            self.world.at(end_ns, partial(self._revive, agent))

    def _revive(self, agent: SimAgent) -> None:
        """Start an agent again; one that stands still dies when it goes on, so not before."""
        if self.world.now_ns < agent.away_until_ns:
            self.world.at(agent.away_until_ns + 1, partial(self._revive, agent))
        elif not agent.alive:
            agent.start()

    def _if_alive(self, die: Any) -> None:
        if self.broker.alive:
            die()

    def _revive_broker(self) -> None:
        if not self.broker.alive:
            self.broker.start()

    def _cut(self, trouble: Trouble, begin_ns: int, end_ns: int) -> None:
        name = trouble.target.rstrip("<>")
        peer = name if name == "operator" else f"node:{name}#"
        if ">" in trouble.target:
            self.network.cuts.append(Cut(peer, "broker", begin_ns, end_ns, trouble.keeps))
        if "<" in trouble.target:
            self.network.cuts.append(Cut("broker", peer, begin_ns, end_ns, trouble.keeps))

    def run(self) -> str:
        """Run to the end, check what must hold then, and return the verdict."""
        self._run_out()
        if self.story.again is not None and RUN in self.broker.verdicts:
            plan = self._remaining()
            if plan is not None:
                self.network.lossless_after_ns = self.world.now_ns + TROUBLE_NS
                self._begin(RESUMED, plan, self.story.again)
                self._run_out()
        self.world.run(self._is_at_rest, self.world.now_ns + SHIPPED_NS)
        self.check_always()
        self.check_shipped()
        for told in self.runs:
            self._check(told)
        return self.runs[-1].verdict

    def _check(self, told: Told) -> None:
        self.check_log(told)
        self.check_resets(told)
        if "controller_death" in told.kinds:
            return  # a controller that is dead has neither a verdict nor all records
        if told.verdict in ("pass", "fail"):
            self.check_starts(told)
            self.check_output(told)
            self.check_attempts(told)
            self.check_results(told)

    def _run_out(self) -> None:
        """Let the present run come to its end."""
        limit_ns = self.world.now_ns + LIMIT_NS
        if "controller_death" in self.runs[-1].kinds:
            begun_ns = self.world.now_ns
            done = self.world.run(lambda: self._closed() or self._never_opened(begun_ns), limit_ns)
        else:
            done = self.world.run(lambda: self.controller.over, limit_ns)
        assert done, f"the run hangs in {self.controller.run_machine.state}"

    def _closed(self) -> bool:
        return self.runs[-1].run in self.broker.verdicts

    def _never_opened(self, begun_ns: int) -> bool:
        is_late = self.world.now_ns > begun_ns + TROUBLE_NS + 60 * S
        return self.runs[-1].run not in self.broker.facts and is_late

    def _remaining(self) -> RunPlan | None:
        """Return what is left to do of the first run, as `fabric.controller.resuming` finds it out."""
        planned = self.plan.repeats
        sources = taken([Source(RUN, frozenset(self._found(RUN)))], planned)
        if sum(len(source.repeats) for source in sources) == len(planned):
            return None
        return replace(self.plan, resumes=sources or (Source(RUN, frozenset()),))

    def _found(self, run: str) -> set[Key]:
        """Return the repeats of a run that have their results, by the durable part of its log."""
        survey, log = Survey(), self.broker.logs.get(run)
        for entry in log.entries[: log.durable] if log else ():
            for record in entry.batch.records:
                survey.take(record)
        return survey.found

    def _is_at_rest(self) -> bool:
        """Whether everything is stored, and nobody has anything to undo."""
        if not all(agent.alive for agent in self.agents.values()):
            return False
        executors = [one for agent in self.agents.values() for one in agent.executors.values()]
        return not any(self._unshipped().values()) and not any(one.needs_reset for one in executors)

    def _unshipped(self) -> dict[str, list[tuple[str, int]]]:
        """Return the journals that are left; from a node whose key was revoked nothing is taken any more."""
        keys = self.broker.keys
        return {name: list(one.journals) for name, one in self.agents.items() if not keys[name].revoked_ns}

    # --- invariants -------------------------------------------------------------------------------------

    def check_always(self) -> None:
        """After every event: nothing was started twice, and what was read is what is stored."""
        for name, agent in self.agents.items():
            while self._checked_starts[name] < len(agent.starts):
                launcher, key = agent.starts[self._checked_starts[name]]
                # A reset that ended with its launcher is done again by the next life of its agent, alone.
                is_again = "0/reset/" in key and self._starters[name].get(key) != launcher
                assert is_again or key not in self._starters[name], f"{key} started twice on {name}"
                self._starters[name][key] = launcher
                self._checked_starts[name] += 1
        told = self.runs[-1] if self.runs else None
        while told is not None and told.checked < len(told.controller.reads):
            number = told.controller.reads[told.checked].number
            told.checked += 1
            assert number == told.checked, f"record {number} was read as number {told.checked}"

    def check_log(self, told: Told) -> None:
        """Every journal is in the record log once, in order, without a gap; the run's numbers too."""
        if told.run not in self.broker.logs:
            return
        number, nexts = 1, {}
        stored: list[tuple[str, int, int]] = []
        for entry in self.broker.logs[told.run].entries:
            head = entry.head
            assert head.number == number, "gap in the log"
            number += head.count
            source = (head.node, head.incarnation)
            assert head.first == nexts.get(source, 1), f"{source} doubled or lost"
            nexts[source] = head.first + head.count
            stored += [(*source, head.first + at) for at in range(head.count)]
        for at, read in enumerate(told.controller.reads):
            assert (read.node, read.incarnation) == stored[at][:2], (
                f"record {at + 1} is another than was read"
            )

    def check_shipped(self) -> None:
        """What nodes have reported is stored, whatever became of the run."""
        left = self._unshipped()
        assert not any(left.values()), f"not stored: {left}"

    def check_resets(self, told: Told) -> None:
        """A node resets once in each cell that it began; if its agent has died, it resets last of all."""
        if "interrupt" in told.kinds:
            return  # the third one does without
        troubles = (*self.story.troubles, *(self.story.again or ()))
        hurt = {trouble.target for trouble in troubles if trouble.kind in OF_NODES}
        gone = set()  # they go on for a day with what is spawned, for they may only know that nobody answers
        if self.story.goes_on:
            gone = {name for name in hurt if self.broker.keys[name].revoked_ns is not None}
        for name in (hurt - gone) & set(self.nodes) if told.verdict != "dirty" else ():
            keys = [key.split("|") for _, key in self.agents[name].starts if key.startswith(told.run)]
            order = ["/reset/" in key[1] for key in keys if len(key) == 3]
            assert not order or order[-1], f"{name} was not reset"
        for name in set(self.nodes) - hurt:
            steps = [key.split("|")[1] for key in self._starters[name] if key.startswith(told.run)]
            resets = sorted(cell_of(step) for step in steps if "/reset/" in step)
            begun = sorted({cell_of(step) for step in steps})
            assert resets == begun, f"{name} began {begun} and reset {resets}"

    def check_starts(self, told: Told) -> None:
        """All nodes that have first steps in a phase started it, or none; or the verdict is about that."""
        started: dict[str, set[str]] = {}
        for read in told.reads(StepStarted):
            if read.record.go:
                started.setdefault(read.record.step.rsplit("/", 2)[0], set()).add(read.node)
        for phase, nodes in started.items():
            wanted = self._wanted(phase.split("/")[1])
            assert nodes == wanted, f"phase {phase} started on {nodes} only"

    def _wanted(self, phase: str) -> set[str]:
        """Return the nodes that have steps in a phase."""
        some = {"startup": {"n2"} if self.story.small else {"n3"}, "collect": {"n1", "n2"}}
        return some.get(phase, set(self.nodes))

    def check_attempts(self, told: Told) -> None:
        """Attempts are counted from 1, and another one follows only where the one before was given up."""
        ends: dict[tuple[str, str, int], list[StepFinished]] = {}
        ready = {(read.node, read.record.step) for read in told.reads(StepReady)}
        for read in told.reads(StepFinished):
            ends.setdefault((read.node, read.record.step, read.incarnation), []).append(read.record)
        for (node, step, _), records in ends.items():
            assert [end.attempt for end in records] == list(range(1, len(records) + 1)), step
            assert all(end.retried for end in records[:-1]), f"{step} on {node}"
            if told.verdict == "pass":
                assert not records[-1].retried, f"{step} on {node}"
                is_awaited = step.endswith(("server", "b-2"))
                assert not is_awaited or (node, step) in ready, f"{step} on {node}"

    def check_output(self, told: Told) -> None:
        """What the programs wrote is what the controller has read."""
        got: dict[tuple[str, str, int, str], bytes] = {}
        for read in told.reads(Output):
            record = read.record
            key = f"{told.run}|{record.step}|{record.attempt}"
            place = (read.node, key, read.incarnation, record.stream)
            assert record.offset == len(got.get(place, b"")), f"{place} has a gap"
            got[place] = got.get(place, b"") + bytes(read.data)
        for agent in self.agents.values():
            for (key, incarnation, stream), data in agent.written.items():
                if key.startswith(told.run):
                    place = (agent.name, key, incarnation, stream)
                    assert got.get(place) == data, f"output of {place} is not whole"

    def check_results(self, told: Told) -> None:
        """A run that came to its end has the result of each repeat, and did none that it took over."""
        mine, plan = self._found(told.run), told.controller.run_machine.desk.plan
        had = {key for source in plan.resumes for key in source.repeats}
        planned = {(repeat.cell.number, repeat.number) for repeat in plan.repeats}
        assert not mine & had, f"{sorted(mine & had)} were done again"
        assert mine | had == planned, f"{sorted(planned - mine - had)} have no result"


def cell_of(step: str) -> str:
    """Return the cell of a step; there is one repeat."""
    cell, dot, _ = step.partition("/")[0].partition(".")
    return cell if dot else "1"


def play(story: Story) -> str:
    """Return the verdict of a story, having checked all of it."""
    return Lab(story).run()
