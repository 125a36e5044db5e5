"""PURE.  What a run came to, told anew from its records: also if its controller is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric.controller.desk import SPARED, Desk
from fabric.controller.entry import Read
from fabric.controller.failures import judge, judge_checks, judge_metric
from fabric.controller.measures import Measured, metrics_of
from fabric.controller.phase_end import judge_skew
from fabric.controller.plan import RunPlan
from fabric.controller.takeover import sources_of
from fabric.controller.verdict import Findings
from fabric.protocol.messages import NodeInfo
from fabric.protocol.records import (
    Metric,
    MetricMissing,
    Notice,
    PhaseEnded,
    PhaseStarted,
    RepeatEnded,
    RepeatStarted,
    RunEnded,
    StepFinished,
)
from fabric.trial.cells import Cell, Repeat
from fabric.trial.diagnostics import TrialError
from fabric.trial.model import CheckSpec, Trial, TrialStep
from fabric.trial.parse import parse_trial


@dataclass(slots=True)
class Retelling:
    """Takes the records of a run in their order; `outcome.result_of` makes the result of it.

    Args:
        run: Its id.
        plan: What was to be done.
        nodes: That it has.
    """

    run: str
    plan: RunPlan
    nodes: Mapping[str, NodeInfo]
    desk: Desk = field(init=False)
    lost: Mapping[str, str] = field(default_factory=dict)
    ended: RunEnded | None = None
    _repeats: dict[tuple[int, int], Repeat] = field(init=False)
    _t0_ns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk = Desk(self.run, self.plan)
        self._repeats = {(repeat.cell.number, repeat.number): repeat for repeat in self.plan.repeats}

    @property
    def findings(self) -> Findings:
        """What was found."""
        return self.desk.findings

    def read(self, read: Read, *, is_own: bool = True) -> bool:
        """Take the next record; return whether it is one that may be, see `Belonging`."""
        if not self.desk.take(read, is_own=is_own):
            return False
        match read.record:
            case StepFinished():
                judge(self.desk, read.node, read.record)
            case Metric() | MetricMissing():
                self._measured(read.record)
            case PhaseStarted():
                self._t0_ns[read.record.phase] = read.record.t0_ns
            case PhaseEnded():
                judge_skew(self.desk, read.record.phase, self._t0_ns.get(read.record.phase, 0))
            case RepeatStarted():
                self._repeats.setdefault((read.record.cell, read.record.repeat), self._new(read.record))
            case RepeatEnded():
                repeat = self._repeats.get((read.record.cell, read.record.repeat))
                self.desk.done += [(repeat, read.record.failed)] if repeat else []
            case RunEnded():
                self.ended = read.record
            case Notice(message=message) if not read.node and message.endswith(SPARED):
                self.desk.spared.add(message.partition(" ")[0])
            case _:
                pass
        return True

    def take_over(self, desk: Desk) -> None:
        """Hand what was told so far to a run that continues here: only its own records follow."""
        desk.history, desk.measures, desk.findings = self.desk.history, self.desk.measures, self.desk.findings
        desk.done, desk.failed_phases = self.desk.done, self.desk.failed_phases
        desk.history.read_records.clear()  # nodes say how many records they have for the run that goes on

    def end(self, verdict: str, last: int) -> None:
        """Look at the checks, and at how the run ended.

        Args:
            verdict: That is stored; "" if none is.
            last: Number of the last record.
        """
        if len(self._repeats) > len(self.plan.repeats):  # the stored plan was shortened, or is of one command
            cells = {repeat.cell.number for repeat in self._repeats.values()}
            self.plan.roles = {cell: self.plan.roles.get(cell, self.plan.roles.get(0, {})) for cell in cells}
            self.plan.repeats = tuple(self._repeats.values())
        judge_checks(self.desk)
        if self.ended is not None:
            for why in self.ended.why:
                self.findings.add("error", why)
        elif not verdict:
            self.findings.add("error", f"the run was open when record {last} was its last one")

    def _measured(self, record: Metric | MetricMissing) -> None:
        for _, spec in metrics_of(self.plan.trial):
            if spec.name == record.name:
                value = record.value if isinstance(record, Metric) else None
                why = record.why if isinstance(record, MetricMissing) else ""
                judge_metric(self.desk, Measured(record.node, record.step, record.attempt, spec, value, why))

    def _new(self, record: RepeatStarted) -> Repeat:
        cell = Cell(record.cell, dict(record.variables))
        return Repeat(cell, record.repeat, is_warmup=record.warmup, phases=self.plan.phases)


def stored_plan(text: str, document: Mapping[str, Any]) -> RunPlan:
    """Return the plan of a run as far as its stored documents tell.

    Args:
        text: Of the trial.
        document: plan.json, perhaps shortened.
    """
    trial, phases = _trial(text, document), tuple(document.get("phases") or ())
    cells = [Cell(entry["cell"], entry["variables"]) for entry in document.get("cells") or ()]
    warmup = document.get("warmup") or 0
    numbers = range(1, warmup + (document.get("repeats") or 0) + 1) if cells else ()
    return RunPlan(
        trial=trial,
        addresses={},
        phases=phases,
        repeats=tuple(
            Repeat(cell, number, is_warmup=number <= warmup, phases=phases)
            for number in numbers
            for cell in cells
        ),
        roles=_roles(document),
        missing=document.get("missing") or {},
        seed=document.get("seed") or 0,
        resumes=sources_of(document),
    )


def _roles(document: Mapping[str, Any]) -> dict[int, dict[str, tuple[str, ...]]]:
    """Return for each cell the nodes of each role."""
    same = {role: tuple(nodes) for role, nodes in (document.get("roles") or {}).items()}
    cells: Sequence[Mapping[str, Any]] = document.get("cells") or ({"cell": 0},)
    groups: Sequence[Sequence[str]] = document.get("groups") or ()
    return {
        entry["cell"]: same
        | {role: tuple(groups[group]) for role, group in (entry.get("roles") or {}).items()}
        for entry in cells
    }


def _trial(text: str, document: Mapping[str, Any]) -> Trial:
    """Return the trial: read again; of one that was imported, or was not written, what the plan has of it."""
    told = document.get("trial") or {}
    path = str(told.get("file") or "trial.toml")
    steps, name = tuple(map(_step, document.get("steps") or ())), str(told.get("name") or "")
    checks: tuple[CheckSpec, ...] = ()
    wanted = {(step.phase, step.role, step.label) for step in steps}
    try:
        trial = parse_trial(text, path)
    except TrialError:
        trial = None
    if trial is not None and wanted <= {(step.phase, step.role, step.label) for step in trial.steps}:
        steps, checks, name = trial.steps, trial.checks, trial.name
    return Trial(
        path=path,
        text=text,
        name=name,
        repeat=document.get("repeats") or 1,
        timeout_s=told.get("timeout_s"),
        max_skew_s=told.get("max_skew_s"),
        lead_s=told.get("lead_s"),
        on_lost="stop",
        roles={},
        steps=steps,
        checks=checks,
        matrix={key: tuple(values) for key, values in (document.get("matrix") or {}).items()},
    )


def _step(entry: Mapping[str, Any]) -> TrialStep:
    """Return a step with what the plan has of it, and a report wants."""
    return TrialStep(
        phase=entry["phase"],
        role=entry["role"],
        label=entry["step"],
        line=entry.get("line") or 0,
        verb=entry.get("verb") or "cmd",
        argv=tuple(entry.get("argv") or ()),
        env={},
        dir=entry.get("dir"),
        timeout_s=entry.get("timeout_s"),
        at_s=entry.get("at_s"),
        until=None,
        ok=tuple(entry.get("ok") or (0,)),
        on_fail=entry.get("on_fail") or "stop",
        when=entry.get("when") or "passed",
        signal=entry.get("signal") or 15,
        grace_s=entry.get("grace_s") or 0.0,
        origin=entry.get("origin") or "",
    )
