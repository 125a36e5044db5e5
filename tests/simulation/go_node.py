"""A node of a go: the executor, and a launcher that spins before t0 as the real one does."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.effects import Arm, Check, Drop, Effect, End, Hold, RefreshClock, Release, Report, Send
from agents.executor import Executor
from agents.launcher.waiting import EARLY_NS
from agents.step_run import Exit, Start
from fabric.protocol.messages import Assign, Message
from fabric.timing.offset import Estimate
from tests.simulation.go_links import Link, Turns
from tests.simulation.world import MS, World

if TYPE_CHECKING:
    from tests.simulation.go_lab import GoLab

IPC_NS = (20_000, 300_000)


@dataclass
class Process:
    """What a launcher holds."""

    key: str
    t0_ns: int | None = None  # local; None: not scheduled
    started: bool = False
    turn: int = 0


class GoNode:
    """One node, its links and its clock."""

    def __init__(self, lab: "GoLab", name: str, up: Link, down: Link) -> None:
        self.lab, self.name, self.up, self.down = lab, name, up, down
        self.world: World = lab.world
        random = self.world.random
        self.turns, self.launcher = Turns(self.world), Turns(self.world)
        self.skew_ns = random.randrange(10**15)
        self.bound_ns = random.choice((10_000, 200_000, 2 * MS))
        self.error_ns = random.randint(-self.bound_ns, self.bound_ns)
        self.executor = Executor(Assign(run=lab.run_id, node=name, on_lost="stop", lease_s=20.0, reset=()))
        self.processes: dict[str, Process] = {}
        self.starts: list[tuple[str, int, int]] = []  # phase, instant, planned; in world time
        self.aborts: list[tuple[str, int, int]] = []  # phase, go, instant at which the executor took it
        self._orders: deque[Effect] = deque()
        self._told_ns = 0  # when the launcher's last word comes
        self._alarm_ns: int | None = None
        self.know_clock()

    @property
    def local_ns(self) -> int:
        """Its monotonic clock."""
        return self.world.now_ns + self.skew_ns

    def know_clock(self) -> None:
        """Learn fabric time of the present life of the broker, as far as it can be known."""
        offset_ns = self.lab.broker.offset_ns - self.skew_ns + self.error_ns
        rtt_ns = self.up.base_ns + self.down.base_ns
        estimate = Estimate(offset_ns, self.bound_ns, rtt_ns, rtt_ns)
        self.executor.clock_changed(self.lab.broker.epoch, estimate)

    def hear(self, message: Message) -> None:
        """Take a message."""
        self.turns.take(lambda: self._take(message))

    def _take(self, message: Message) -> None:
        if message.kind == "abort":
            self.aborts.append((message.phase, message.go, self.world.now_ns))  # type: ignore[attr-defined]
        self._do(self.executor.receive(message, self.local_ns))

    def die(self) -> None:
        """Agent and launcher end, and with them all programs."""
        self.turns.die()
        self.launcher.die()

    # --- the agent --------------------------------------------------------------------------------------

    def _tell(self, call: Callable[[Executor], list[Effect]]) -> None:
        """Let the launcher say something; it takes a moment to be heard."""
        at_ns = max(self.world.now_ns + self.world.random.randrange(*IPC_NS), self._told_ns + 1)
        self._told_ns = at_ns
        self.world.at(at_ns, lambda: self.turns.take(lambda: self._do(call(self.executor))))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message):
                    self.lab.from_node(self, message)
                case Report(_, record):
                    self.lab.record(self, record)
                case RefreshClock():
                    self.world.after(
                        2 * self.bound_ns + 1, lambda: self._told(lambda: self.executor.clock_refreshed)
                    )
                case Check(_, phase):
                    self._do(self.executor.checked(phase, None, self.local_ns))
                case _:
                    self._orders.append(effect)
                    delay_ns = self.world.random.randrange(*IPC_NS)
                    self.world.after(delay_ns, lambda: self.launcher.take(self._work))
        self._rearm()

    def _told(self, method: Callable[[], Callable[[int], list[Effect]]]) -> None:
        self.turns.take(lambda: self._do(method()(self.local_ns)))

    def _rearm(self) -> None:
        deadline_ns = self.executor.deadline_ns
        if deadline_ns is None:
            return
        at_ns = max(deadline_ns - self.skew_ns, self.world.now_ns + 1)
        if self._alarm_ns is not None and self._alarm_ns <= at_ns:
            return
        self._alarm_ns = at_ns

        def ring() -> None:
            if self._alarm_ns == at_ns:
                self._alarm_ns = None
                self._told(lambda: self.executor.expire)

        self.world.at(at_ns, ring)

    # --- the launcher -----------------------------------------------------------------------------------

    def _work(self) -> None:
        """Do what was ordered, in its order; what is due is released before, and spun for if it is near."""
        while self._orders:
            if self._is_spinning():
                self.world.after(100_000, lambda: self.launcher.take(self._work))
                return
            self._obey(self._orders.popleft())

    def _obey(self, order: Effect) -> None:
        match order:
            case Arm(key):
                self.processes[key] = Process(key)
                self._tell(lambda executor: executor.armed(key, self.local_ns))
            case Release(keys, t0_ns):
                for key in keys:
                    self._schedule(key, t0_ns or self.local_ns)
            case Hold(keys):
                for key in keys:
                    self._hold(key)
            case Drop(key):
                self.processes.pop(key, None)
            case End(key):
                self._end(key, 15)
            case _:
                raise AssertionError(order)

    def _is_spinning(self) -> bool:
        """Whether it waits for an instant that is near, and hears nothing."""
        return any(
            not process.started and process.t0_ns is not None and process.t0_ns - self.local_ns < EARLY_NS
            for process in self.processes.values()
        )

    def _schedule(self, key: str, t0_ns: int) -> None:
        process = self.processes.get(key)
        if process is None or process.started:
            return
        process.t0_ns, process.turn = t0_ns, process.turn + 1
        turn = process.turn
        at_ns = max(t0_ns - self.skew_ns, self.world.now_ns)
        self.world.at(at_ns, lambda: self.launcher.take(lambda: self._release(process, turn)))

    def _release(self, process: Process, turn: int) -> None:
        if process.turn != turn or process.key not in self.processes:
            return
        process.started = True
        assert process.t0_ns is not None
        _, step, _ = process.key.split("|")
        self.starts.append((step.rsplit("/", 2)[0], self.world.now_ns, process.t0_ns - self.skew_ns))
        start = Start(1, self.local_ns, "release")
        self._tell(lambda executor: executor.started(process.key, start, self.local_ns))
        self.world.after(
            self.world.random.randrange(MS, 40 * MS),
            lambda: self.launcher.take(lambda: self._end(process.key, None)),
        )

    def _hold(self, key: str) -> None:
        process = self.processes.get(key)
        ok = process is not None and not process.started
        if process is not None and ok:
            process.t0_ns, process.turn = None, process.turn + 1
        self._tell(lambda executor: executor.held(key, ok, self.local_ns))

    def _end(self, key: str, signal: int | None) -> None:
        if self.processes.pop(key, None) is None:
            return
        end = Exit(None if signal else 0, signal, 0, 0, 0, self.local_ns)

        def over(executor: Executor) -> list[Effect]:
            now_ns = self.local_ns
            effects = executor.exited(key, end, now_ns) + executor.ended(key, (), False, now_ns)
            for stream in ("stdout", "stderr"):
                effects += executor.stream_ended(key, stream, 0, now_ns)
            return effects

        self._tell(over)
