"""An Executor with a launcher that does what a test says, for tests of what a node does."""

from typing import Any

from agents.effects import Arm, Check, Effect, Report, Send
from agents.executor import Executor
from agents.step_run import Exit, Start
from fabric.protocol.messages import Assign, Go, Prepare, Step
from fabric.timing.offset import Estimate

RUN = "20260301-102207-ping-k3f9"
MS = 1_000_000
OFFSET_NS = 10**18


def step(label: str, phase: str = "1/run", **changes: Any) -> Step:
    fields: dict[str, Any] = {
        "step": f"{phase}/{label.split('-', maxsplit=1)[0]}/{label}",
        "verb": "cmd",
        "argv": ("true",),
        "env": {},
        "dir": None,
        "timeout_s": 10.0,
        "at_s": None,
        "ok": (0,),
        "on_fail": "stop",
        "when": "passed",
        "signal": 15,
        "grace_s": 5.0,
    }
    return Step(**(fields | changes))


def assign(*reset: Step, on_lost: str = "stop") -> Assign:
    return Assign(run=RUN, node="lab1", on_lost=on_lost, lease_s=20.0, reset=reset)  # type: ignore[arg-type]


class Node:
    """An executor and what it asked for, with a launcher that does at once what it is told."""

    def __init__(self, *reset: Step, on_lost: str = "stop") -> None:
        self.executor = Executor(assign(*reset, on_lost=on_lost))
        self.executor.clock_changed(1, Estimate(OFFSET_NS, 50_000, 100_000))
        self.now_ns = 1000 * MS
        self.sent: list[Any] = []
        self.records: list[Any] = []
        self.effects: list[Effect] = []
        self.bad_programs: set[str] = set()
        self.problem: tuple[str, str] | None = None  # a step of which is found that it cannot be done
        self.is_slow = False  # its launcher does not come to arming

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case Send(message):
                    self.sent.append(message)
                case Report(_, record):
                    self.records.append(record)
                case Arm(key, wanted) if wanted.argv[0] in self.bad_programs:
                    self.do(self.executor.arm_failed(key, "no such program", self.now_ns))
                case Arm(key, _) if not self.is_slow:
                    self.do(self.executor.armed(key, self.now_ns))
                case Check(_, phase):
                    self.do(self.executor.checked(phase, self.problem, self.now_ns))
                case _:
                    pass

    def prepare(self, *steps: Step, phase: str = "1/run", **changes: Any) -> None:
        fields: dict[str, Any] = {"end": (), "failed": False, "stopped": False}
        message = Prepare(run=RUN, node="lab1", phase=phase, steps=steps, **(fields | changes))
        self.do(self.executor.receive(message, self.now_ns))
        self.do(self.executor.clock_refreshed(self.now_ns))

    def go(self, go: int = 1, phase: str = "1/run", lead_ns: int = 20 * MS, epoch: int = 1) -> None:
        t0_ns = self.now_ns + lead_ns + OFFSET_NS
        message = Go(run=RUN, phase=phase, go=go, epoch=epoch, t0_ns=t0_ns)
        self.do(self.executor.receive(message, self.now_ns))

    def start_all(self) -> None:
        """Let t0 come, and the launcher release what is scheduled."""
        part = self.executor.phase
        assert part is not None
        self.now_ns = max(self.now_ns, part.t0_local_ns)
        for key, run in [(run.key, run) for run in self.executor.steps]:
            if run.state == "scheduled":
                self.do(self.executor.started(key, Start(42, self.now_ns, "exec"), self.now_ns))

    def finish(self, key: str, code: int | None = 0, signal: int | None = None) -> None:
        end = Exit(code, signal, 0.1, 0.2, 1000, self.now_ns)
        self.do(self.executor.exited(key, end, self.now_ns))
        self.do(self.executor.ended(key, (), False, self.now_ns))
        self.do(self.executor.stream_ended(key, "stdout", 5, self.now_ns))
        self.do(self.executor.stream_ended(key, "stderr", 0, self.now_ns))

    def key(self, label: str) -> str:
        return next(key for key in self.executor.steps.keys if key.split("|")[1].endswith("/" + label))

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    def wants(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def last(self) -> Any:
        return self.sent[-1]


def running(*steps: Step) -> Node:
    node = Node()
    node.prepare(*steps)
    node.go()
    node.start_all()
    return node


def owing(*steps: Step, on_lost: str = "stop") -> Node:
    """Return a node on which steps run, so that its reset is due: a-1 if nothing else is told."""
    node = Node(step("a-1", phase="0/reset", when="always"), on_lost=on_lost)
    node.prepare(*(steps or (step("a-1"),)))
    node.go()
    node.start_all()
    return node
