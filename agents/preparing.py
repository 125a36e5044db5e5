"""PURE.  How a node answers a prepare."""

from agents.effects import Effect, Send
from agents.phase import PhasePart
from fabric.protocol.messages import Assign, Ready, Refused
from fabric.timing.offset import Estimate


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
