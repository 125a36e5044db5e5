"""PURE.  How a node answers a go and an abort: it starts at t0, or it says why not; never both.

Instants are nanoseconds of the local monotonic clock.
"""

from typing import Final

from agents.effects import Effect, Hold, Release, Send
from agents.phase import PhasePart
from agents.stamp import Stamp
from agents.step_run import NANOSECONDS, StepRun
from fabric.protocol.messages import Abort, Aborted, Confirm, Declined, Go

LATE_NS: Final = 1_000_000
"""A go that leaves less than this to t0 is declined: the launcher could not keep it."""


def take_go(part: PhasePart | None, message: Go, stamp: Stamp, now_ns: int) -> list[Effect]:
    """Schedule the first steps for t0 and confirm, or decline.  The same go again is confirmed again."""
    why = _why_declined(part, message, stamp)
    late_ns = 0 if why or part is None or part.state != "ready" else _late_ns(message, stamp, now_ns)
    if late_ns > 0:
        why = f"the go came {late_ns / 1e6:.1f} ms too late"
    if why or part is None:
        declined = Declined(
            run=message.run, phase=message.phase, go=message.go, sentence=why, late=late_ns > 0
        )
        return [Send(declined)]
    confirm = Send(Confirm(run=message.run, phase=message.phase, go=message.go, t0_ns=message.t0_ns))
    if part.state != "ready":
        return [confirm]
    part.state, part.go, part.t0_ns = "scheduled", message.go, message.t0_ns
    part.t0_local_ns = stamp.local(message.t0_ns)
    return [*release_firsts(part), confirm]  # what is confirmed, the launcher has in hand


def _late_ns(message: Go, stamp: Stamp, now_ns: int) -> int:
    return now_ns + LATE_NS - stamp.local(message.t0_ns)


def _why_declined(part: PhasePart | None, message: Go, stamp: Stamp) -> str:
    if part is not None and part.phase == message.phase and part.refusal:
        return part.refusal[1]
    if part is None or part.phase != message.phase or part.state == "preparing":
        return "the phase is not prepared here"
    if message.go <= part.voided:
        return "this go was aborted"
    if message.epoch != stamp.epoch:
        return "the go is of another life of the broker"
    if part.state != "ready":
        is_same = (message.go, message.t0_ns) == (part.go, part.t0_ns) and part.state != "holding"
        return "" if is_same else "the phase has another go"
    return ""


def release_firsts(part: PhasePart) -> list[Effect]:
    """Have the launcher release what is armed: all that is due at one instant in one command.

    What the agent does by itself has its instant too; it begins when that has come.
    """
    groups: dict[int, list[str]] = {}
    for step in part.currents():
        if step.state != "armed":
            continue
        at_ns = round((step.step.at_s or 0.0) * NANOSECONDS)
        step.planned_ns = part.t0_local_ns + at_ns if part.t0_local_ns else 0
        step.state = "scheduled"
        if not step.is_own:
            step.go = part.go
            groups.setdefault(step.planned_ns, []).append(step.key)
    return [Release(tuple(keys), t0_ns) for t0_ns, keys in sorted(groups.items())]


def plan_in_turn(part: PhasePart, step: StepRun) -> None:
    """Plan a step that is not a first one: for its offset from t0, or for at once; so every later attempt."""
    if step.step.at_s is not None and part.t0_local_ns and step.attempt == 1:
        step.planned_ns = part.t0_local_ns + round(step.step.at_s * NANOSECONDS)


def release_in_turn(part: PhasePart | None, step: StepRun, now_ns: int) -> list[Effect]:
    """Release a step that is not a first one: now, or at its offset from t0."""
    if part is not None and not step.probe:
        plan_in_turn(part, step)
    step.state = "scheduled"
    return [Release((step.key,), step.planned_ns if step.planned_ns > now_ns else 0)]


def take_abort(part: PhasePart | None, message: Abort, stamp: Stamp) -> list[Effect]:
    """Take the go back; the answer comes when the launcher has said whether it could.

    A phase that has begun is said to have begun, even by an earlier go: that one was taken back, too, but
    the abort did not reach this node in time.
    """
    if part is None or part.phase != message.phase:
        return [_not_started(message)]
    if part.state in ("running", "done"):
        return [Send(_started(part, message.go, stamp))]
    part.voided = max(part.voided, message.go)
    if part.state == "holding":
        return []
    if part.state != "scheduled" or part.go != message.go:
        return [_not_started(message)]
    part.arming.clear()
    for step in part.currents():
        if step.is_own:
            step.state = "armed"  # t0 has not been, or this state would be another one
        else:
            part.arming.add(step.key)
    if not part.arming:
        part.state = "ready"
        return [_not_started(message)]
    part.state, part.kept = "holding", False
    return [Hold(tuple(sorted(part.arming)))]


def take_held(part: PhasePart, key: str, step: StepRun | None, stamp: Stamp, *, ok: bool) -> Aborted | None:
    """Note whether a release was taken back; return the answer to the abort once all are known.

    Where the abort was read late, the start has been heard of by now, and of a short step its end, too: then
    there is no ``step`` any more.
    """
    if step is not None and step.state == "scheduled" and ok:
        step.state = "armed"
    part.kept = part.kept or not ok
    part.arming.discard(key)
    if part.arming:
        return None
    part.state = "ready"
    if part.kept:
        return _started(part, part.go, stamp)
    return Aborted(run=part.run, phase=part.phase, go=part.go, started=False)


def _started(part: PhasePart, go: int, stamp: Stamp) -> Aborted:
    t0_ns, _ = stamp.fabric(part.t0_local_ns)
    return Aborted(run=part.run, phase=part.phase, go=go, started=True, t0_ns=t0_ns)


def _not_started(message: Abort) -> Send:
    return Send(Aborted(run=message.run, phase=message.phase, go=message.go, started=False))
