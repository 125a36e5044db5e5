"""A node's launcher, in memory: it outlives its agent, and tells the next one what it has seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from agents.effects import Arm, Drop, Effect, End, Hold, Release
from agents.executor import Executor
from agents.launcher.events import AdoptedStep, Ended, Exited, Started, StepEvent
from agents.takeover import exit_of, start_of
from fabric.protocol.messages import Step
from fabric.protocol.records import Stream
from tests.simulation.world import MS

if TYPE_CHECKING:
    from tests.simulation.sim_agent import SimAgent

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
ARMING_NS = 1 * MS
IPC_NS = 100_000
"""What it says is heard so much later."""


@dataclass
class Process:
    """A program."""

    key: str
    step: Step
    incarnation: int  # of the journal that has its output
    state: Literal["arming", "armed", "running", "exited", "ended"] = "arming"
    planned_ns: int | None = None  # when its release is planned, 0: at once
    plan: int = 0  # counts releases and holds, so that an old alarm does nothing
    is_ending: bool = False
    is_closed: bool = False  # nobody writes into its pipes any more
    events: list[StepEvent] = field(default_factory=list)
    unread: dict[Stream, bytes] = field(default_factory=dict)
    """What is in its pipes."""

    @property
    def run(self) -> str:
        return self.key.split("|", maxsplit=1)[0]

    @property
    def attempt(self) -> int:
        return int(self.key.split("|")[2])

    @property
    def is_probe(self) -> bool:
        return self.key.count("|") > 2

    @property
    def adopted(self) -> AdoptedStep:
        """What an agent that has just come is told of it."""
        return AdoptedStep(
            key=self.key,
            pid=1,
            state=self.state,
            stdout_fd=-1,
            stderr_fd=-1,
            has_tail=False,
            events=tuple(self.events),
            planned_ns=self.planned_ns,
            is_ending=self.is_ending,
        )


class SimLauncher:
    """Does at once what it is told; says what comes of it a little later, if that agent lives then."""

    def __init__(self, agent: "SimAgent") -> None:
        self.agent, self.world = agent, agent.world
        agent.launchers += 1
        self.name = f"{agent.name}'s launcher {agent.launchers}"
        self.life = agent.life  # of the agent that it hears
        self.processes: dict[str, Process] = {}
        self.is_dead = False

    def die(self) -> None:
        """Be gone, with all that it has started."""
        self.is_dead = True
        self.processes.clear()

    def end(self) -> None:
        """End all that it has started, and itself; what is in the pipes goes into files."""
        if not self.is_dead:
            for process in self.processes.values():
                for stream, data in process.unread.items():
                    self.agent.disk.keep_tail(process, stream, data)
            self.die()

    def end_alone(self, life: int) -> None:
        """End if no agent has come after this one: the grace is over."""
        if self.life == life:
            self.end()

    def adopt(self) -> None:
        """Have an agent again."""
        self.life = self.agent.life

    def do(self, effect: Effect) -> None:
        """Do what an agent asks for."""
        match effect:
            case Arm(key, step):
                self._arm(key, step)
            case Release(keys, t0_ns):
                for key in keys:
                    self._plan(key, t0_ns)
            case Hold(keys):
                for key in keys:
                    self._hold(key)
            case Drop(key):
                self.processes.pop(key, None)
            case End(key, signal, _):
                self._end(key, signal)

    def drained(self, key: str) -> None:
        """Forget a program that has ended, and whose pipes were read to their end."""
        process = self.processes.get(key)
        if process is not None and process.state == "ended":
            del self.processes[key]

    # --- programs ---------------------------------------------------------------------------------------

    def _arm(self, key: str, step: Step) -> None:
        assert key not in self.processes, f"{key} is armed again"
        run = key.split("|", maxsplit=1)[0]
        process = self.processes[key] = Process(key, step, self.agent.own[run].incarnation)
        self._after(ARMING_NS, process, self._armed)

    def _armed(self, process: Process) -> None:
        process.state = "armed"
        self._tell(lambda agent: agent.armed(process))

    def _plan(self, key: str, t0_ns: int) -> None:
        process = self.processes.get(key)
        if process is None:
            return  # this is another launcher than the one that armed it
        assert process.state == "armed", f"{key} is released, and {process.state}"
        process.planned_ns, process.plan = t0_ns, process.plan + 1
        delay_ns = max(0, t0_ns - self.agent.local_ns) if t0_ns else 0
        self._after(delay_ns, process, partial(self._start, plan=process.plan))

    def _hold(self, key: str) -> None:
        process = self.processes.get(key)
        if process is None:
            return
        ok = process.state == "armed"
        process.planned_ns, process.plan = None, process.plan + 1
        self._tell_executor(process, lambda executor, now_ns: executor.held(key, ok, now_ns))

    def _start(self, process: Process, plan: int) -> None:
        """Let a program go, whatever has become of the agent."""
        if process.state != "armed" or process.plan != plan:
            return
        process.state = "running"
        now_ns = self.agent.local_ns
        self.agent.starts.append((self.name, process.key))
        event = Started(process.key, 1, now_ns, "exec", now_ns)
        process.events.append(event)
        self._tell_executor(
            process, lambda executor, now_ns: executor.started(process.key, start_of(event), now_ns)
        )
        self._chatter(process, self.world.random.randint(0, 4))

    def _chatter(self, process: Process, left: int) -> None:
        """Write a few times, then end, unless it is a spawned step."""
        pause_ns = self.world.random.randint(1, 300) * MS
        if left and not process.is_probe:
            self._after(pause_ns, process, partial(self._write, left=left))
        elif process.step.verb == "cmd":
            self._after(pause_ns, process, partial(self._exit, signal=None))

    def _write(self, process: Process, left: int) -> None:
        if process.state != "running":
            return
        data = self.world.random.randbytes(self.world.random.randint(1, 9))
        place = (process.key, process.incarnation, "stdout")
        self.agent.written[place] = self.agent.written.get(place, b"") + data
        process.unread["stdout"] = process.unread.get("stdout", b"") + data
        self.agent.readable(process)
        self._chatter(process, left - 1)

    def _end(self, key: str, signal: int) -> None:
        process = self.processes.get(key)
        if process is not None and process.state != "ended":
            assert process.state != "arming", f"{key} is ended before it is armed"
            process.is_ending = True
            process.plan += 1
            self._after(2 * MS, process, partial(self._exit, signal=signal))

    def _exit(self, process: Process, signal: int | None) -> None:
        if process.state not in ("armed", "running"):
            return
        process.state, process.is_closed, key = "exited", True, process.key
        event = Exited(key, self._code(process, signal), signal, 0, 0, 0, self.agent.local_ns)
        process.events.append(event)
        self._tell_executor(process, lambda executor, now_ns: executor.exited(key, exit_of(event), now_ns))
        self.agent.readable(process)
        self._after(self.world.random.choice((0, 0, 5 * MS)), process, self._ended)

    def _ended(self, process: Process) -> None:
        process.state = "ended"
        process.events.append(Ended(process.key, (), pipe_rest=False, had_rest=False))
        self._tell(lambda agent: agent.tree_ended(process))

    def _code(self, process: Process, signal: int | None) -> int | None:
        """Return how a program ends: of those that are flaky the first attempts fail, of probes many."""
        if signal:
            return None
        step = process.step.step
        fails = process.is_probe or ("flaky" in step and process.attempt < process.step.attempts)
        return int("bad" in step or (fails and self.world.random.random() < 0.5))

    # --- time, and the agent ----------------------------------------------------------------------------

    def _after(self, delay_ns: int, process: Process, call: Callable[[Process], None]) -> None:
        def event() -> None:
            if self.processes.get(process.key) is process:
                call(process)

        self.world.after(delay_ns, event)

    def _tell_executor(self, process: Process, call: Callable[[Executor, int], list[Effect]]) -> None:
        self._tell(lambda agent: agent.tell(process.run, call))

    def _tell(self, call: Callable[["SimAgent"], None]) -> None:
        """Tell the agent something; if it dies meanwhile, nobody hears it."""
        agent, life = self.agent, self.life

        def event() -> None:
            if agent.alive and agent.life == life and agent.launcher is self:
                call(agent)

        if agent.alive and agent.life == life:
            self.world.after(IPC_NS, event)
