"""PURE.  What of a phase's steps is looked for before it begins anywhere.

The launcher looks at each lane's first step when it arms it.  Of the others that is looked for which no
earlier step of the lane can have made: a `cmd` may make everything but a user, a `put` what bears its name.
"""

import re
from collections.abc import Iterator, Sequence

from agents.effects import Wanted
from agents.phase import PhasePart
from agents.step_run import PROGRAMS, StepRun
from fabric.protocol.messages import Step


def wanted(part: PhasePart) -> tuple[Wanted, ...]:
    """Return what is to be looked for; the first steps of the phase are armed."""
    found: list[Wanted] = []
    for lane in part.lanes.values():
        armed = [lane.current.step] if lane.current else []
        found += _of_lane([*armed, *(step for step in lane.queue if part.why_not(step) is None)])
    return tuple(found)


def impossible(part: PhasePart) -> tuple[str, str] | None:
    """Return a step that no node could do, and why."""
    for step in (step for lane in part.lanes.values() for step in lane.queue):
        try:
            re.compile(step.ready.log if step.ready else "")
        except re.error as error:
            return step.step, f"ready.log is no regular expression here: {error}"
    return None


def blame(step: StepRun, sentence: str, *, lacks: bool) -> tuple[str, str]:
    """Return what a refusal is about and says: a step, or, if it ``lacks`` something, the node."""
    return ("", f"step {step.id.label}: {sentence}") if lacks else (step.step.step, sentence)


def _of_lane(steps: Sequence[Step]) -> Iterator[Wanted]:
    put: list[str] = []
    anything = freed = False  # whether an earlier step may have made anything, or freed a port
    for index, step in enumerate(steps):
        if step.verb in PROGRAMS:
            is_armed = index == 0
            port = not freed and step.ready is not None and step.ready.port is not None
            place = not is_armed and not anything and not _may_be_put(step, put)
            if port or place or not is_armed:
                yield Wanted(step, account=not is_armed and bool(step.user), place=place, port=port)
        anything = anything or step.verb == "cmd"
        freed = freed or step.verb in ("cmd", "stop")
        if step.verb == "put":
            put += [_joined(step.dir, file.path) for file in step.files]


def _may_be_put(step: Step, put: Sequence[str]) -> bool:
    """Whether a file that was put may be its program, its input, or in its directory."""
    if not put:
        return False
    names = {path.rpartition("/")[2] for path in put}
    where = step.dir or ""
    is_known = where.startswith("/") and not any(path.startswith(f"{where.rstrip('/')}/") for path in put)
    if where and not is_known:
        return True
    return bool({step.argv[0].rpartition("/")[2], step.stdin_file.rpartition("/")[2]} & names)


def _joined(where: str | None, path: str) -> str:
    return path if path.startswith("/") or not where else f"{where.rstrip('/')}/{path}"
