"""PURE.  What a node does for a prepare, and how it answers."""

from agents.effects import Drop, Effect, Send
from agents.phase import PhasePart
from agents.steps import Steps
from fabric.protocol.messages import Assign, Ready, Refused
from fabric.timing.offset import Estimate


def arm_firsts(part: PhasePart, steps: Steps) -> list[Effect]:
    """Arm the first step of every role."""
    effects: list[Effect] = []
    for lane in part.lanes.values():
        step = part.take_next(lane)
        if step is not None:
            lane.current, arm = steps.arm(step)
            effects.append(arm)
            part.arming.add(lane.current.key)
    return effects


def disarm_firsts(part: PhasePart, steps: Steps) -> list[Effect]:
    """Put the first steps back: the processes that waited at their gates are gone."""
    effects: list[Effect] = []
    for lane in part.lanes.values():
        if lane.current is not None:
            steps.forget(lane.current)
            effects.append(Drop(lane.current.key))
            lane.queue.appendleft(lane.current.step)
            lane.current = None
    part.state = "preparing"
    part.arming.clear()
    return effects


def answer(assign: Assign, part: PhasePart, clock: Estimate | None) -> list[Effect]:
    """Say that the phase is ready or refused; nothing while that is not known, or the clock is not."""
    if part.state == "refused" and part.refusal:
        return [refused(assign, part.phase, *part.refusal)]
    if part.state == "preparing" or clock is None:
        return []
    ready = Ready(
        run=assign.run,
        node=assign.node,
        phase=part.phase,
        clock_bound_ns=clock.bound_ns,
        rtt_ns=clock.rtt_ns,
    )
    return [Send(ready)]


def refused(assign: Assign, phase: str, step: str, sentence: str) -> Effect:
    """Return the refusal of a phase."""
    return Send(Refused(run=assign.run, node=assign.node, phase=phase, step=step, sentence=sentence))
