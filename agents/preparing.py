"""PURE.  How a node answers a prepare."""

from collections.abc import Iterable

from agents.effects import Effect, Send
from agents.phase import PhasePart
from agents.stamp import Stamp
from fabric.errors import DecodeError
from fabric.protocol.messages import Assign, Ready, Refused, Step
from fabric.protocol.names import StepId


def answer(assign: Assign, part: PhasePart, stamp: Stamp, now_ns: int) -> list[Effect]:
    """Say that the phase is ready or refused; nothing while that is not known, or the clock is not.

    Who does not know the present clock of the broker cannot start at an instant of it.
    """
    if part.state == "refused" and part.refusal:
        return [refused(assign, part.phase, *part.refusal)]
    clock = stamp.at(now_ns)
    if part.state == "preparing" or not stamp.epoch or clock is None or clock.bound_ns < 0:
        return []
    ready = Ready(
        run=assign.run,
        node=assign.node,
        phase=part.phase,
        clock_bound_ns=clock.bound_ns,
        rtt_ns=clock.slow_rtt_ns,
    )
    return [Send(ready)]


def malformed(steps: Iterable[Step]) -> str:
    """Return why steps are none, "" if they are: a program of an operator may be of any making."""
    try:
        check(steps)
    except DecodeError as error:
        return str(error)
    return ""


def check(steps: Iterable[Step]) -> None:
    """Check that steps are some.

    Raises:
        DecodeError: If one is none.
    """
    for step in steps:
        StepId.parse(step.step)


def refused(assign: Assign, phase: str, step: str, sentence: str) -> Effect:
    """Return the refusal of a phase."""
    return Send(Refused(run=assign.run, node=assign.node, phase=phase, step=step, sentence=sentence))
