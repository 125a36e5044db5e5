"""Picks the records of a run that are wanted, and knows what was wanted in vain."""

from collections.abc import Iterable, Iterator

from fabric.controller.entry import Read
from fabric.report.events import step_of
from fabric.report.fold import folded
from fabric.report.views import Selection

_MAX_NAMES = 20
"""Most names of roles or steps in a sentence."""


class Picker:
    """Lets the wanted records of one run through.

    Args:
        wanted: Which ones.
        nodes: Of the run.
        since_ns: Fabric time before which none is wanted.
    """

    def __init__(self, wanted: Selection, nodes: Iterable[str], since_ns: int = 0) -> None:
        self._wanted = wanted
        self._since_ns = since_ns
        self._nodes = set(nodes)
        self._roles: set[str] = set()
        self._steps: set[str] = set()
        self._any = False

    def pick(self, reads: Iterable[Read]) -> Iterator[Read]:
        """Yield the records that are wanted."""
        for read in reads:
            self._look(read)
            if read in self._wanted and read.record.t_ns >= self._since_ns:
                self._any = True
                yield read

    def in_vain(self) -> Iterator[str]:
        """Yield what to say when all has been read: which names the run does not have."""
        wanted = self._wanted
        vain = [
            *_missing("node", wanted.nodes, self._nodes, folded(sorted(self._nodes))),
            *_missing("role", wanted.roles, self._roles, _listed(self._roles)),
            *_missing("step", wanted.steps, self._steps, _listed(self._steps)),
        ]
        yield from vain
        if not self._any and not vain:
            yield (
                "no record is left of what was read" if wanted != Selection() else "nothing is there to read"
            )

    def _look(self, read: Read) -> None:
        """Note who and what there is; it costs time, so only where names are wanted."""
        if self._wanted.nodes and read.node:
            self._nodes.add(read.node)
        if self._wanted.roles or self._wanted.steps:
            step = step_of(read.record)
            if step is not None:
                self._roles.add(step.role)
                self._steps.add(step.label)


def _missing(what: str, wanted: Iterable[str], known: set[str], names: str) -> Iterator[str]:
    for name in sorted(set(wanted) - known):
        yield f"no {what} {name!r:.80} in what was read" + (f"; {what}s: {names}" if names else "")


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:_MAX_NAMES]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
