"""PURE.  Which files the nodes get: what was found beside the trial, bound to each node's step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fabric.protocol.messages import FileSource, Step
from fabric.protocol.names import StepId
from fabric.trial.shellnames import expand

Place = tuple[str, str, str]
"""Phase, role and label of a step."""


@dataclass(frozen=True, slots=True)
class PutFile:
    """A file beside the trial that a step puts."""

    path: str  # on the node, as written: `$name` is expanded for each; relative to the step's directory
    size: int  # bytes
    sha256: str
    mode: int


Puts = Mapping[Place, tuple[PutFile, ...]]


def with_files(nodes: Mapping[str, tuple[Step, ...]], puts: Puts) -> Mapping[str, tuple[Step, ...]]:
    """Return the steps of the nodes, those that put with what they put."""
    if not puts:
        return nodes
    return {node: tuple(_with_files(step, puts) for step in steps) for node, steps in nodes.items()}


def _with_files(step: Step, puts: Puts) -> Step:
    wanted = StepId.parse(step.step)
    files = puts.get((wanted.phase, wanted.role, wanted.label))
    if files is None:
        return step
    sources = tuple(
        FileSource(path=expand(file.path, step.env), size=file.size, sha256=file.sha256, mode=file.mode)
        for file in files
    )
    return replace(step, files=sources)
