"""PURE.  Says which nodes a trial wants and the lab does not have, and why."""

from collections.abc import Collection, Sequence
from typing import Final

from fabric.errors import FabricError
from fabric.report.fold import folded
from fabric.trial.lab import NAMES_CHARS, Lab
from fabric.trial.nodespec import Names, Part, Some

_SHOWN: Final = 8  # roles that an error tells of


class LabError(FabricError):
    """The lab does not have the nodes that a trial wants.

    ``may_come`` says that it would have them if nobody else used them, so that waiting makes sense;
    ``lacking`` are the nodes that would have done.
    """

    def __init__(
        self,
        problems: Sequence[str],
        hint: str = "",
        *,
        may_come: bool = False,
        lacking: Collection[str] = (),
    ) -> None:
        shown = list(problems[:_SHOWN])
        if len(problems) > _SHOWN:
            shown.append(f"... and {len(problems) - _SHOWN} more")
        message = shown[0] if len(shown) == 1 else "\n  ".join(["the nodes cannot be had:", *shown])
        super().__init__(message, hint)
        self.problems = tuple(problems)
        self.may_come = may_come
        self.lacking = frozenset(lacking)


def shortage(lab: Lab, got: Sequence[tuple[Part, tuple[str, ...]]]) -> str:
    """Return why a role lacks nodes: ``lab9 is away; 3 of @etcd: only 2 free nodes fit: lab1, lab4``.

    Args:
        lab: As it is.
        got: The parts of the role's spec, each with the nodes that it has got.
    """
    named = [name for part, _ in got if isinstance(part, Names) for name in part.names]
    whys = [
        lab.reasons(named),
        *(_of_part(lab, part, len(nodes)) for part, nodes in got if isinstance(part, Some)),
    ]
    return "; ".join(filter(None, whys))


def _of_part(lab: Lab, part: Some, got: int) -> str:
    """Return what one part lacks, "" if nothing."""
    members = lab.members(part.pool) if part.count is not None else lab.all_of(part.pool)
    if not members:
        drained = lab.reasons(lab.members(part.pool))
        return _with(part.text, drained or "no node of the lab fits")
    if part.count is None:
        return _with(part.text, lab.reasons(members)) if got < len(members) else ""
    if got >= part.count:
        return ""
    free = [node for node in members if not lab.why_not(node)]
    listed = f": {folded(free, limit=NAMES_CHARS)}" if free else ""
    found = f"only {len(free)} free {'node fits' if len(free) == 1 else 'nodes fit'}{listed}"
    if not free:
        found = "no free node fits"
    if got < len(free):
        found += f", and {got or 'none'} of them {'is' if got == 1 else 'are'} left for it"
    reasons = lab.reasons(members)
    return _with(part.text, found + (f"; {reasons}" if reasons else ""))


def _with(text: str, why: str) -> str:
    return f"{text}: {why}"
