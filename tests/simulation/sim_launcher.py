"""A node's launcher, /proc and files, in memory: what an executor asks of them, and what they say to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.effects import (
    Arm,
    Bring,
    Drop,
    Effect,
    End,
    Hold,
    Look,
    Release,
    StopTransfer,
    Transfer,
)
from agents.executor import Executor
from agents.step_run import Exit, Start
from fabric.protocol.messages import Step
from fabric.protocol.records import Output, Stream
from tests.simulation.world import MS

if TYPE_CHECKING:
    from tests.simulation.sim_agent import SimAgent

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


@dataclass
class Process:
    """A program."""

    key: str
    step: Step
    state: str = "armed"
    release: int = 0  # counts releases and holds, so that an old alarm does nothing

    @property
    def run(self) -> str:
        return self.key.split("|", maxsplit=1)[0]

    @property
    def attempt(self) -> int:
        return int(self.key.split("|")[2])

    @property
    def is_probe(self) -> bool:
        return self.key.count("|") > 2


class SimLauncher:
    """Says what it says some time after it was asked, and nothing once it has died or its agent has."""

    def __init__(self, agent: "SimAgent") -> None:
        self.agent, self.world = agent, agent.world
        self.life = agent.life
        self.processes: dict[str, Process] = {}
        self.is_dead = False

    def die(self) -> None:
        """Be gone, with all that it has started."""
        self.is_dead = True
        self.processes.clear()

    def die_alone(self) -> None:
        """End if no agent is left: the grace is over."""
        if not self._is_there:
            self.die()

    def do(self, effect: Effect) -> None:  # noqa: C901 - one case for each effect
        """Do what an executor asks for."""
        random = self.world.random
        match effect:
            case Arm(key, step):
                self.processes[key] = Process(key, step)
                self._later(1 * MS, key, lambda executor: executor.armed(key, self.agent.local_ns))
            case Release(keys, t0_ns):
                for key in keys:
                    self._release(key, t0_ns)
            case Hold(keys):
                for key in keys:
                    self._hold(key)
            case Drop(key):
                self.processes.pop(key, None)
            case End(key, signal, _):
                self._later(2 * MS, key, lambda executor: self._over(executor, key, signal))
            case Look(key):
                what = "it listens" if random.random() < 0.3 else ""
                self._later(
                    1 * MS, key, lambda executor: executor.looked(key, what, "nothing", self.agent.local_ns)
                )
            case Transfer(key) | Bring(key):
                self.agent.transfers[key] = isinstance(effect, Bring)
                self._move(random.randint(1, 300) * MS, key, stopped=False)
            case StopTransfer(key):
                self._move(1 * MS, key, stopped=True)

    def end_streams(self) -> None:
        """It has died: the agent reads what is in the pipes to their end."""
        for process in list(self.processes.values()):
            self.agent.tell(
                process.run, lambda executor, process=process: self._end_streams(executor, process)
            )
        self.processes.clear()

    # --- programs ---------------------------------------------------------------------------------------

    def _release(self, key: str, t0_ns: int) -> None:
        process = self.processes.get(key)
        if process is None:
            return  # this is another launcher than the one that armed it
        process.release += 1
        turn = process.release
        delay_ns = max(0, t0_ns - self.agent.local_ns) if t0_ns else 0
        self.world.after(delay_ns, lambda: self._start(key, turn))

    def _hold(self, key: str) -> None:
        process = self.processes.get(key)
        if process is None:
            return
        ok = process.state == "armed"
        process.release += 1
        self._later(0, key, lambda executor: executor.held(key, ok, self.agent.local_ns))

    def _start(self, key: str, turn: int) -> None:
        """Let a program go, whatever has become of the agent."""
        process = self.processes.get(key)
        if process is None or process.state != "armed" or process.release != turn:
            return
        process.state = "running"
        self.agent.starts.append((self.world.now_ns, key))
        start = Start(1, self.agent.local_ns, "exec")
        self._later(0, key, lambda executor: executor.started(key, start, self.agent.local_ns))
        self._chatter(key, self.world.random.randint(0, 4))

    def _chatter(self, key: str, left: int) -> None:
        """Write a few times, then end, unless it is a spawned step."""
        process = self.processes.get(key)
        if process is None:
            return
        pause_ns = self.world.random.randint(1, 300) * MS
        if left and not process.is_probe:

            def write(_: Executor) -> list[Effect]:
                self._write(process, "stdout", self.world.random.randbytes(self.world.random.randint(1, 9)))
                self._chatter(key, left - 1)
                return []

            self._later(pause_ns, key, write)
        elif process.step.verb == "cmd":
            self._later(pause_ns, key, lambda executor: self._over(executor, key, None))

    def _write(self, process: Process, stream: Stream, data: bytes) -> None:
        step = process.step.step
        place = (step, process.attempt, self.agent.incarnation, stream)
        done = self.agent.written.get(place, b"")
        self.agent.written[place] = done + data
        output = Output(
            t_ns=0, bound_ns=-1, step=step, attempt=process.attempt, stream=stream, offset=len(done),
            size=len(data),
        )  # fmt: skip
        self.agent.append(process.run, output, data)

    def _over(self, executor: Executor, key: str, signal: int | None) -> list[Effect]:
        process, now_ns = self.processes.pop(key, None), self.agent.local_ns
        if process is None:
            return []
        effects = executor.exited(key, Exit(self._code(process, signal), signal, 0, 0, 0, now_ns), now_ns)
        effects += executor.ended(key, (), False, now_ns)
        return effects + self._end_streams(executor, process)

    def _code(self, process: Process, signal: int | None) -> int | None:
        """Return how a program ends: of those that are flaky the first attempts fail, of probes many."""
        if signal:
            return None
        step = process.step.step
        fails = process.is_probe or ("flaky" in step and process.attempt < process.step.attempts)
        return int("bad" in step or (fails and self.world.random.random() < 0.5))

    def _end_streams(self, executor: Executor, process: Process) -> list[Effect]:
        key = process.key
        effects: list[Effect] = []
        if executor.steps.get(key) is None:
            return effects  # it was dropped, and its pipes were closed
        for stream in STREAMS:
            size = 0
            if not process.is_probe:
                place = (process.step.step, process.attempt, self.agent.incarnation, stream)
                size = len(self.agent.written.get(place, b""))
                mark = Output(
                    t_ns=0, bound_ns=-1, step=process.step.step, attempt=process.attempt, stream=stream,
                    offset=size, size=0,
                )  # fmt: skip
                self.agent.append(process.run, mark, b"")
            effects += executor.stream_ended(key, stream, size, self.agent.local_ns)
        return effects

    # --- files ------------------------------------------------------------------------------------------

    def _move(self, delay_ns: int, key: str, *, stopped: bool) -> None:
        """Say that a transfer is over; it is the agent's, and outlives a launcher."""

        def event() -> None:
            if self._is_there:
                self._moved(key, stopped=stopped)

        self.world.after(delay_ns, event)

    @property
    def _is_there(self) -> bool:
        return self.agent.alive and self.agent.life == self.life

    def _moved(self, key: str, *, stopped: bool) -> None:
        is_brought = self.agent.transfers.pop(key, None)
        if is_brought is None:
            return
        run, now_ns = key.split("|", maxsplit=1)[0], self.agent.local_ns
        if is_brought:
            self.agent.tell(run, lambda executor: executor.brought(key, now_ns))
        else:
            self.agent.tell(run, lambda executor: executor.transferred(key, stopped, "", now_ns))

    # --- time -------------------------------------------------------------------------------------------

    def _later(self, delay_ns: int, key: str, call: Callable[[Executor], list[Effect]]) -> None:
        """Tell the executor of a program something after a while, if the program is still there."""

        def event() -> None:
            if self._is_there and self.agent.launcher is self and key in self.processes:
                self.agent.tell(self.processes[key].run, call)

        self.world.after(delay_ns, event)
