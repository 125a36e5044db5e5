"""An agent dies between any two things that it does, and the next life goes on: nothing twice, or never.

The world has a launcher that outlives agents, a journal, a memo, and a controller that says again what is
not answered.  Each thing that the agent does to one of them may be its last one.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from agents import takeover
from agents.effects import Arm, Check, Drop, Effect, End, Hold, RefreshClock, Release, Report, Send
from agents.executor import Executor
from agents.launcher.events import AdoptedStep, Ended, Exited, Started, StepEvent
from agents.memo import FORMAT, Context, Head, Scribe
from agents.remembered import Memo
from fabric.protocol.codec import pack
from fabric.protocol.messages import Abort, Aborted, Confirm, Go, Message, Prepare, Ready
from fabric.protocol.records import Notice, PhaseFinished, Record, StepFinished, StepStarted, Stream
from fabric.timing.offset import Estimate
from tests.unit.scripted_node import MS, OFFSET_NS, RUN, assign, step

LAUNCHER = "42.1"
STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


class Death(Exception):  # noqa: N818 - it is no error
    """Of the agent."""


@dataclass
class Program:
    """What the launcher has of an attempt."""

    key: str
    planned_ns: int | None = None
    is_ending: bool = False
    reports: list[StepEvent] = field(default_factory=list)

    @property
    def is_armed(self) -> bool:
        return not self.reports

    def adopted(self) -> AdoptedStep:
        state = "armed" if self.is_armed else "ended" if isinstance(self.reports[-1], Ended) else "running"
        return AdoptedStep(
            self.key, 7, state, -1, -1, False, tuple(self.reports), self.planned_ns, self.is_ending
        )  # type: ignore[arg-type]


class World:
    """All that outlives an agent."""

    def __init__(self, *deaths: int) -> None:
        self.now_ns = 1000 * MS
        self.programs: dict[str, Program] = {}
        self.starts: Counter[str] = Counter()
        self.records: list[Record] = []
        self.ended: set[tuple[str, Stream]] = set()  # streams whose end the journal has
        self.memo: list[bytes] = []
        self.said: list[Message] = []
        self.deaths = deque(deaths)
        self.done = 0

    def act(self) -> None:
        """The agent is about to do something."""
        self.done += 1
        if self.deaths and self.done >= self.deaths[0]:
            self.deaths.popleft()
            self.done = 0
            raise Death

    def pass_to(self, now_ns: int) -> None:
        """Let the launcher release what is due, and what runs end."""
        self.now_ns = max(self.now_ns, now_ns)
        for program in self.programs.values():
            if program.is_armed and program.planned_ns is not None and program.planned_ns <= self.now_ns:
                self.start(program)
            elif len(program.reports) == 1:
                code = int("flaky" in program.key and program.key.endswith("|1"))
                program.reports.append(Exited(program.key, code, None, 0.0, 0.0, 0, self.now_ns))
                program.reports.append(Ended(program.key, (), False, False))

    def start(self, program: Program) -> None:
        self.starts[program.key] += 1
        program.planned_ns = None
        program.reports.append(Started(program.key, 7, self.now_ns, "release", self.now_ns))


class Life:
    """One of the agents: what agents.hands does, in small."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scribe = Scribe()
        self.effects: deque[Effect] = deque()
        self.heard: Counter[str] = Counter()
        self.is_busy = False
        known = {key: program.adopted() for key, program in world.programs.items()}
        if world.memo:
            memo = Memo.read(world.memo)
            world.records += memo.records[max(0, len(world.records) - memo.appended) :]
            self.executor = memo.executor(assign(), needs_reset=False)
        else:
            self.executor = Executor(assign())
        self.executor.clock_changed(1, Estimate(OFFSET_NS, 50_000, 100_000))
        if world.memo:
            assert takeover.why_not(self.executor, known) == ""
            self.heard.update({key: len(step.events) for key, step in known.items()})
            self.drive(takeover.take_over(self.executor, known, world.now_ns))
            for key in known:
                if self.executor.steps.get(key) is None:
                    world.act()
                    del world.programs[key]

    def drive(self, effects: list[Effect]) -> None:
        records = tuple(effect.record for effect in effects if isinstance(effect, Report))
        self.write_down(records)
        for record in records:
            self.world.act()
            self.world.records.append(record)
        self.effects.extend(effect for effect in effects if not isinstance(effect, Report))
        if not self.is_busy:
            self.is_busy = True
            while self.effects:
                self.world.act()
                self.do(self.effects.popleft())
            self.is_busy = False

    def write_down(self, records: tuple[Record, ...]) -> None:
        context = Context(LAUNCHER, (), len(self.world.records), records)
        self.world.act()
        if not self.scribe._marks and not self.scribe._part:
            head = pack(Head(format=FORMAT, software="0"))
            self.world.memo = [head, *map(pack, self.scribe.whole(self.executor, context))]
        elif (change := self.scribe.changed(self.executor, context)) is not None:
            self.world.memo.append(pack(change))

    def do(self, effect: Effect) -> None:  # noqa: C901 - a case for each
        world, executor = self.world, self.executor
        match effect:
            case Arm(key):
                assert key not in world.programs, "armed twice"
                world.programs[key] = Program(key)
                world.act()
                self.drive(executor.armed(key, world.now_ns))
            case Release(keys, t0_ns):
                for key in keys:
                    program = world.programs[key]
                    assert program.is_armed, "released twice"
                    program.planned_ns = t0_ns
                world.pass_to(world.now_ns)
            case Hold(keys):
                for key in keys:
                    is_held = world.programs[key].is_armed
                    world.programs[key].planned_ns = None
                    self.drive(executor.held(key, is_held, world.now_ns))
            case Drop(key):
                del world.programs[key]
            case End(key):
                world.programs[key].is_ending = True
            case RefreshClock():
                self.drive(executor.clock_refreshed(world.now_ns))
            case Check(_, phase):
                self.drive(executor.checked(phase, None, world.now_ns))
            case Send(message):
                world.said.append(message)
            case _:
                raise AssertionError(effect)

    def turn(self) -> None:
        """Hear what the launcher has to tell, and read pipes to their end."""
        world, executor = self.world, self.executor
        self.drive(executor.expire(world.now_ns))
        for key, program in list(world.programs.items()):
            while (seen := self.heard[key]) < len(program.reports):
                self.heard[key] += 1
                self.drive(self.take(key, program.reports[seen]))
            if program.reports and isinstance(program.reports[-1], Ended):
                self.drain(key)

    def take(self, key: str, event: StepEvent) -> list[Effect]:
        now_ns = self.world.now_ns
        match event:
            case Started():
                return self.executor.started(key, takeover.start_of(event), now_ns)
            case Exited():
                return self.executor.exited(key, takeover.exit_of(event), now_ns)
            case _:
                return self.executor.ended(key, (), False, now_ns)

    def drain(self, key: str) -> None:
        for stream in STREAMS:
            self.world.act()
            self.world.ended.add((key, stream))
            self.drive(self.executor.stream_ended(key, stream, 0, self.world.now_ns))
        self.world.act()
        del self.world.programs[key]

    def hear(self, message: Message) -> None:
        self.drive(self.executor.receive(message, self.world.now_ns))


class Controller:
    """Takes a node through its phases, and says again what is not answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.go = 0

    def do(self, life: Life, phase: str, *labels: str, end: tuple[str, ...] = ()) -> None:
        """Have a phase done; may be called again after a death."""
        world = self.world
        steps = tuple(_step(label, phase) for label in labels)
        prepare = Prepare(
            run=RUN, node="lab1", phase=phase, end=end, failed=False, stopped=False, steps=steps
        )
        for _ in range(60):
            if any(isinstance(record, PhaseFinished) and record.phase == phase for record in world.records):
                return
            started = any(
                isinstance(record, StepStarted) and phase in record.step for record in world.records
            )
            if not started and not self._has(Ready, phase):
                life.hear(prepare)
            elif not started and not self._has(Confirm, phase, self.go):
                self._start(life, phase)
            world.pass_to(world.now_ns + 30 * MS)
            life.turn()
        raise AssertionError(f"{phase} is not over: {life.executor.phase}")

    def _start(self, life: Life, phase: str) -> None:
        """Try a go; one before that is not confirmed is taken back, for all or none start."""
        if self.go:
            life.hear(Abort(run=RUN, phase=phase, go=self.go))
            if self._has(Aborted, phase, self.go):
                (answer,) = [said for said in self.world.said if isinstance(said, Aborted)][-1:]
                if answer.started:
                    return
        self.go += 1
        t0_ns = self.world.now_ns + OFFSET_NS + 20 * MS
        life.hear(Go(run=RUN, phase=phase, go=self.go, epoch=1, t0_ns=t0_ns))

    def _has(self, kind: type, phase: str, go: int | None = None) -> bool:
        return any(
            isinstance(said, kind) and said.phase == phase and (go is None or said.go == go)  # type: ignore[attr-defined]
            for said in self.world.said
        )


def _step(label: str, phase: str) -> object:
    verb = "spawn" if label.startswith("s") else "cmd"
    return step(label, phase, verb=verb, attempts=2, retry_on="fail", may_exit=True)


def lived(*deaths: int) -> World:
    """Return the world after all is done."""
    world = World(*deaths)
    controller = Controller(world)
    life: Life | None = None
    while True:
        try:
            life = life or Life(world)
            controller.do(life, "1/run", "a-1", "a-2", "b-flaky", "b-2", "s-1")  # type: ignore[arg-type]
            controller.do(life, "1/reset", "r-1")
        except Death:
            life = None
            world.now_ns += 5 * MS
            continue
        return world


def check(world: World) -> None:
    """Every attempt began and ended once, and every phase."""
    wanted = {"1/run/a/a-1|1", "1/run/a/a-2|1", "1/run/b/b-flaky|1", "1/run/b/b-flaky|2", "1/run/b/b-2|1"}
    wanted |= {"1/run/s/s-1|1", "1/reset/r/r-1|1"}
    assert world.starts == Counter(f"{RUN}|{name}" for name in wanted)
    for kind in (StepStarted, StepFinished):
        told = [f"{record.step}|{record.attempt}" for record in world.records if isinstance(record, kind)]
        assert sorted(told) == sorted(wanted), kind
    assert {end.reason for end in world.records if isinstance(end, StepFinished)} == {"exited"}
    phases = [record.phase for record in world.records if isinstance(record, PhaseFinished)]
    assert phases == ["1/run", "1/reset"]
    assert not world.programs


def actions() -> int:
    world = lived()
    check(world)
    assert not any(isinstance(record, Notice) for record in world.records)
    return world.done


def test_a_death_after_any_action_changes_nothing() -> None:
    """All of them: what is forgotten shows as a step that starts twice, or never ends."""
    for moment in range(1, actions() + 1):
        world = lived(moment)
        check(world)
        assert not world.deaths


@pytest.mark.parametrize("second", [2, 13])
def test_a_death_while_it_takes_over_changes_nothing(second: int) -> None:
    """The next but one life goes on from what the next one had written down."""
    for moment in range(1, actions() + 1, 4):
        check(lived(moment, second))
