"""PURE.  The next phase, prepared while the records of the present one are on their way.

A phase is over when the records of all nodes' ends were read, and those are read when they are durable.  The
nodes say that they are done before that: then the steps of the next phase can be armed, which changes
nothing.  Its go waits for the records.
"""

from copy import copy

from fabric.controller.desk import Desk
from fabric.controller.effects import Effect
from fabric.controller.phase import PhaseRun
from fabric.controller.script import Script
from fabric.protocol.messages import Message, Ready, Refused


class Ahead:
    """At most one phase that was prepared before its time.  Instants are local monotonic time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._next: PhaseRun | None = None
        self._words: list[tuple[Ready | Refused, int]] = []  # about it, and when they came
        self._present = ""  # behind which it was looked for

    def look(self, present: PhaseRun, script: Script, now_ns: int) -> list[Effect]:
        """Have the phase prepared that comes if nothing else does; once for each present one."""
        if self._present == present.id or not present.is_as_good_as_over:
            return []
        self._present = present.id
        if self._desk.is_last_repeat:
            return []  # trouble: what comes is not certain
        following = self._following(script)
        if following is None or not following.is_fit:
            return []
        self._next, self._words = following, []
        return following.begin(now_ns)

    def _following(self, script: Script) -> PhaseRun | None:
        """Return the next phase of this cell in which something is to be done."""
        then = copy(script)
        while then.advance() and then.repeat.cell == script.repeat.cell:
            following = PhaseRun(self._desk, then.repeat, then.phase)
            if not following.is_void:
                return following
        return None

    def heard(self, message: Message, now_ns: int) -> bool:
        """Keep an answer of a node, if it is to what was asked ahead."""
        is_its = self._next is not None and getattr(message, "phase", "") == self._next.id
        if is_its and isinstance(message, Ready | Refused):
            self._words.append((message, now_ns))
        return is_its

    def begin(self, script: Script, now_ns: int) -> tuple[PhaseRun, list[Effect]]:
        """Return the phase that the script has come to, begun; what was prepared is used if it is that."""
        phase = PhaseRun(self._desk, script.repeat, script.phase)
        if phase.is_void:
            return phase, phase.pass_over()
        following, self._next = self._next, None
        if following is None:
            return phase, phase.begin(now_ns)
        if following.id != phase.id or not following.is_fit:
            following.leave()
            return phase, phase.begin(now_ns)
        effects: list[Effect] = []
        for word, then_ns in self._words:
            if isinstance(word, Ready):
                effects += following.ready(word, then_ns)
            else:
                effects += following.refused(word, then_ns)
        return following, effects
