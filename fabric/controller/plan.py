"""PURE.  A trial, bound to nodes and their addresses: what a run asks it for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fabric.controller.puts import Puts, with_files
from fabric.controller.takeover import Source, remaining
from fabric.protocol.messages import NodeInfo, Step
from fabric.protocol.names import StepId
from fabric.trial.cells import Cell, Repeat, schedule
from fabric.trial.expanded import check_expanded
from fabric.trial.model import Trial, TrialStep
from fabric.trial.plan import check_stops, ends_with, phase_steps, reset_steps
from fabric.trial.resolve import Resolution, Roles

NodeSteps = Mapping[str, tuple[Step, ...]]
"""For each node its steps, a role's in their order."""

MADE: Final = 8
"""So many phases with their steps are kept: the present one, and those up to the next that has any.  They are
asked for at each turn of a phase, and to make them again took a seventh of a controller's time."""


@dataclass(slots=True)
class RunPlan:
    """What is to be done on which node.

    Args:
        trial: As read.
        addresses: For each node its addresses by network; "" is the default network.
        phases: That may come, in order, the reset last.
        repeats: In the order in which they are done; at least one.
        roles: For each cell's number the nodes of each role.
        absent: For each cell's number and role how many nodes it lacks, as the quorum allows.
        puts: The files of the steps that put some.
        missing: The nodes that it lacks, each with the reason.
        notes: What is to be said of that.
        seed: What every choice by chance follows from.
        known: What the broker has told of nodes before.
        resumes: The runs that it continues, the oldest first, with the repeats that it takes over from them.
        secrets: The values of those that its steps want, by name.
        takes_dirty: Whether dirty nodes do, too.
    """

    trial: Trial
    addresses: Mapping[str, Mapping[str, str]]
    phases: tuple[str, ...]
    repeats: tuple[Repeat, ...]
    roles: Mapping[int, Roles]
    absent: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    puts: Puts = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 0
    known: Mapping[str, NodeInfo] = field(default_factory=dict)
    resumes: tuple[Source, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    takes_dirty: bool = False
    _made: dict[tuple[str, str], NodeSteps] = field(default_factory=dict)
    _sources: dict[tuple[str, str, str], TrialStep] = field(default_factory=dict)
    _repeats: dict[tuple[int, int], Repeat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._repeats = {(repeat.cell.number, repeat.number): repeat for repeat in self.repeats}
        self._sources = {(step.phase, step.role, step.label): step for step in self.trial.steps}

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes of the run."""
        return tuple(
            dict.fromkeys(node for roles in self.roles.values() for nodes in roles.values() for node in nodes)
        )

    @property
    def remaining(self) -> tuple[Repeat, ...]:
        """Those of the repeats that this run does itself."""
        if not self.resumes:
            return self.repeats
        return remaining(self.repeats, self.resumes, self.phases, self.trial.cycle)

    @property
    def roles_by_node(self) -> Mapping[str, tuple[str, ...]]:
        """The roles that each node plays in any cell."""
        found: dict[str, dict[str, None]] = {}
        for roles in {id(roles): roles for roles in self.roles.values()}.values():
            for role, nodes in roles.items():
                for node in nodes:
                    found.setdefault(node, {})[role] = None
        return {node: tuple(roles) for node, roles in found.items()}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the run, in the order in which they first come."""
        return tuple({repeat.cell.number: repeat.cell for repeat in self.repeats}.values())

    def completed(self, info: NodeInfo) -> NodeInfo:
        """Return a node of the run with what a broker leaves out where they are very many."""
        known = self.known.get(info.name)
        if known is None or known.incarnation != info.incarnation or info.facts:
            return info
        return replace(info, facts=known.facts, labels=known.labels, addresses=known.addresses)

    def nodes_of(self, cell: Cell) -> tuple[str, ...]:
        """Return the nodes that take part in a cell."""
        return tuple(dict.fromkeys(node for nodes in self.roles[cell.number].values() for node in nodes))

    def steps(self, repeat: Repeat, phase: str) -> NodeSteps:
        """Return the steps of a phase for each node of the repeat's cell."""
        key = (repeat.id, phase)
        if key not in self._made:
            while len(self._made) >= MADE:
                del self._made[next(iter(self._made))]
            self._made[key] = self._make(repeat, phase)
        return self._made[key]

    def _make(self, repeat: Repeat, phase: str) -> NodeSteps:
        steps = phase_steps(self.trial, repeat, phase, self.roles[repeat.cell.number], self.addresses)
        return with_files(steps, self.puts)

    def reset_alone(self, cell: Cell) -> NodeSteps:
        """Return for each node of a cell the reset that it does without a controller."""
        steps = reset_steps(self.trial, cell, self.roles[cell.number], self.addresses)
        return with_files(steps, self.puts)

    def ends(self, step: TrialStep) -> tuple[str, ...]:
        """Return the phases at whose beginning a spawned step ends, whichever comes first."""
        return ends_with(self.trial, step, self.phases)

    def has_repeat(self, cell: int, number: int) -> bool:
        """Whether there is such a repeat of such a cell."""
        return (cell, number) in self._repeats

    def has_step(self, step: StepId) -> bool:
        """Whether the trial has such a step, in whatever repeat."""
        return (step.phase, step.role, step.label) in self._sources

    def source(self, step: str) -> TrialStep | None:
        """Return the step of the trial that a step id names, None if it has none."""
        wanted = StepId.parse(step)
        return self._sources.get((wanted.phase, wanted.role, wanted.label))

    def resolved(self, step: str, node: str) -> Step | None:
        """Return a step as a node got it; None if there is none."""
        wanted = StepId.parse(step)
        repeat = self._repeats.get((wanted.cell, wanted.repeat))
        steps = self.steps(repeat, wanted.phase).get(node, ()) if repeat else ()
        return next((found for found in steps if found.step == step), None)

    def describe(self, step: str, node: str) -> str:
        """Return ``trial.toml:12: run/client step client-1 on lab3``."""
        source = self.source(step)
        return self.trial.describe(source, node) if source else f"step {step} on {node}"


def make_plan(
    trial: Trial,
    cells: Sequence[Cell],
    found: Resolution,
    addresses: Mapping[str, Mapping[str, str]],
    *,
    phases: Sequence[str],
    repeats: int,
    seed: int,
) -> RunPlan:
    """Return the plan of a trial.

    Args:
        trial: As read.
        cells: That are gone through.
        found: Their nodes.
        addresses: For each node its addresses by network.
        phases: That are done, as `select_phases` returns them.
        repeats: That count, of each cell.
        seed: Of the run.

    Raises:
        UsageError: If they are too many repeats, a step is to be stopped where it was not spawned, or a path
            with `$names` means one that is refused.
    """
    planned = schedule(trial, cells, repeats, seed, phases)
    check_expanded(trial, planned, found.roles, addresses)
    if tuple(phases) == trial.phases:
        check_stops(trial, found.roles.values())
    return RunPlan(
        trial=trial,
        addresses=addresses,
        phases=tuple(phases),
        repeats=planned,
        roles=found.roles,
        absent=found.absent,
        missing=found.missing,
        notes=found.notes,
        seed=seed,
    )
