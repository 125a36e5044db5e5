"""PURE.  A trial, bound to the nodes' addresses: what a run asks it for."""

from collections.abc import Mapping
from dataclasses import dataclass

from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.trial.model import Trial, TrialStep
from fabric.trial.plan import node_names, phase_ends, phase_steps, reset_steps


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is to be done on which node.

    Args:
        trial: As read.
        addresses: For each node its addresses by network; "" is the default network.
        phases: That are done, in order, without the reset.
        repeats: How often.
    """

    trial: Trial
    addresses: Mapping[str, Mapping[str, str]]
    phases: tuple[str, ...]
    repeats: int

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes of the trial."""
        return node_names(self.trial)

    def steps(self, repeat: int, phase: str) -> Mapping[str, tuple[Step, ...]]:
        """Return each node's steps of a phase."""
        return phase_steps(self.trial, repeat, phase, self.addresses)

    def ends(self, repeat: int, phase: str) -> Mapping[str, tuple[str, ...]]:
        """Return for each node the spawned steps that end before a phase."""
        return phase_ends(self.trial, repeat, phase, (*self.phases, "reset"))

    def reset_alone(self) -> Mapping[str, tuple[Step, ...]]:
        """Return for each node the reset that it does without a controller."""
        return reset_steps(self.trial, self.addresses)

    def source(self, step: str) -> TrialStep | None:
        """Return the step of the trial that a step id names, None if it has none."""
        wanted = StepId.parse(step)
        try:
            return self.trial.step(wanted.phase, wanted.role, wanted.label)
        except KeyError:
            return None

    def describe(self, step: str, node: str) -> str:
        """Return ``trial.toml:12: run/client step client-1 on lab3``."""
        source = self.source(step)
        return self.trial.describe(source, node) if source else f"step {step} on {node}"
