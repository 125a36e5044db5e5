"""A Run with a scripted broker and nodes, for its tests."""

import itertools
from typing import Any

from fabric.controller.effects import Effect, Note, Over, Tell
from fabric.controller.entry import Read
from fabric.controller.plan import RunPlan
from fabric.controller.run import Run, S
from fabric.protocol.messages import (
    Assign,
    Assigned,
    Freed,
    GoAborted,
    GoCommitted,
    NodeInfo,
    Prepare,
    Ready,
    RunClosed,
    RunOpened,
    StartPhase,
)
from fabric.protocol.records import (
    PhaseFinished,
    StepFinished,
    StepStarted,
)
from fabric.trial.load import parse_trial
from tests.plans import plain_plan

RUN = "20260301-102207-ping-k3f9"
T0_NS = 10**18

TRIAL = """
[trial]
name = "t"
[nodes]
a = ["n1", "n2"]
[run]
a = "work"
[collect]
a = "gather"
[reset]
a = "clean"
"""


class Lab:
    """A run, and a broker and nodes that do as the test says."""

    def __init__(
        self,
        trial: str = TRIAL,
        repeats: int = 1,
        phases: tuple[str, ...] = ("run", "collect"),
        *,
        plan: RunPlan | None = None,
        run: Run | None = None,
    ) -> None:
        plan = plan or plain_plan(parse_trial(trial, "t.toml"), {}, phases, repeats)
        self.run = run or Run(run=RUN, plan=plan, lease_s=20.0, document="{}", result=lambda _: "{}")
        self.now_ns = 5 * S
        self.told: list[Any] = []
        self.notes: list[Any] = []
        self.over = False
        self.assigned = 0
        self.numbers = itertools.count(1)
        self.reads: list[Read] = []  # the run's records, in their order
        self.do(self.run.start(self.now_ns))

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(message):
                    self.told.append(message)
                case Note(record):
                    self.notes.append(record)
                    self.read("", record)  # they come back by the feed
                case Over():
                    self.over = True

    def hear(self, message: Any) -> None:
        self.do(self.run.receive(message, self.now_ns))

    def read(self, node: str, record: Any, data: bytes = b"") -> None:
        self.reads.append(Read(next(self.numbers), node, record, data, 1))
        self.do(self.run.read(self.reads[-1], self.now_ns))

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * S)
        self.do(self.run.expire(self.now_ns))

    def last(self, kind: type) -> Any:
        return next(message for message in reversed(self.told) if isinstance(message, kind))

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.told)

    def open(self) -> None:
        infos = tuple(
            NodeInfo(
                name=name, state="busy", incarnation=1, labels=(), addresses={}, facts={}, run=RUN, heard_ns=1
            )
            for name in ("n1", "n2")
        )  # fmt: skip
        self.hear(RunOpened(request=1, run=RUN, nodes=infos))
        self.assign()

    def assign(self) -> None:
        """Have the nodes of the cell take their part."""
        asked = [message for message in self.told if isinstance(message, Assign)]
        for message in asked[self.assigned :]:
            self.hear(Assigned(run=RUN, node=message.node))
        self.assigned = len(asked)

    @property
    def phase(self) -> str:
        return str(self.last(Prepare).phase)

    def ready(self, *nodes: str) -> None:
        for node in nodes or ("n1", "n2"):
            self.hear(Ready(run=RUN, node=node, phase=self.phase, clock_bound_ns=1000, rtt_ns=2000))

    def commit(self) -> None:
        start = self.last(StartPhase)
        self.hear(GoCommitted(run=RUN, phase=start.phase, go=start.go, t0_ns=T0_NS, lead_ns=20_000_000))

    def abort(
        self, reasons: dict[str, str], started: tuple[str, ...] = (), *, late: bool = False, t0_ns: int = 0
    ) -> None:
        go = self.last(StartPhase)
        words = {"phase": go.phase, "go": go.go, "started": started, "late": late, "t0_ns": t0_ns}
        self.hear(GoAborted(run=RUN, reasons=reasons, **words))

    def start(self, *, late_ns: int = 0) -> None:
        self.ready()
        self.commit()
        for node, offset_ns in (("n1", 0), ("n2", late_ns)):
            self.read(node, started(f"{self.phase}/a/a-1", T0_NS + offset_ns))

    def finish(self, *nodes: str, **changes: Any) -> None:
        phase = self.phase
        for node in nodes or ("n1", "n2"):
            self.read(node, finished(f"{phase}/a/a-1", **changes))
            self.read(node, PhaseFinished(t_ns=0, bound_ns=0, phase=phase, failed=False))

    def go_through(self) -> None:
        """Take the present phase to its end."""
        self.start()
        self.finish()

    def come_free(self) -> None:
        """Set the nodes free; the run tells its verdict."""
        for node in ("n1", "n2"):
            self.hear(Freed(run=RUN, node=node, incarnation=1, records=0, reset_failed=False))

    def end(self) -> None:
        """Set the nodes free and close the run."""
        self.come_free()
        self.hear(RunClosed(request=2, run=RUN))

    @property
    def verdict(self) -> str:
        return self.run.findings.verdict

    @property
    def whys(self) -> str:
        return " | ".join(self.run.findings.whys)


def started(step: str, t_ns: int) -> StepStarted:
    return StepStarted(
        t_ns=t_ns, bound_ns=500, step=step, attempt=1, pid=1, event="exec", planned_ns=T0_NS, go=1
    )


def finished(step: str, **changes: Any) -> StepFinished:
    fields: dict[str, Any] = {
        "t_ns": 0, "bound_ns": 0, "step": step, "attempt": 1, "reason": "exited", "failed": False,
        "exit_code": 0, "signal": None, "message": "exit 0", "duration_ns": 2 * S, "stdout_bytes": 0,
        "stderr_bytes": 0, "user_s": 0.0, "system_s": 0.0, "max_rss_kib": 0, "pipe_held": False,
        "survivors": (),
    }  # fmt: skip
    return StepFinished(**(fields | changes))


def running(trial: str = TRIAL, **options: Any) -> Lab:
    lab = Lab(trial, **options)
    lab.open()
    lab.start()
    return lab


def through(lab: Lab) -> Lab:
    """Take a lab through everything that follows."""
    while lab.run.state == "phases":
        lab.go_through()
    lab.end()
    return lab
