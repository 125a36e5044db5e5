"""PURE.  The tries at a go of one execution of a phase: what is asked of the broker, and how often."""

from typing import Final

from fabric.controller.desk import Desk
from fabric.controller.effects import Effect
from fabric.protocol.limits import GO_ATTEMPTS, SILENCE_S
from fabric.protocol.messages import GoAborted, GoCommitted, StartPhase
from fabric.protocol.records import PhaseStarted, Then

S: Final = 1_000_000_000

SILENCE_NS: Final = round(SILENCE_S * S)

PAUSES_NS: Final = (S // 10, 2 * S, 6 * S)
"""Before the second and later tries at a go: what hindered the first may pass.

Together longer than a silence: a cut, or an agent that stands still, which a running phase would survive, is
to be survived here too.
"""

ALLOWANCES_NS: Final = (0, 20_000_000, 100_000_000, 100_000_000)
"""Added to the round trips for each try: whoever was too busy to confirm the last go may be so still."""


class Goes:
    """Says when a go is asked for, and which answer belongs to it.  Instants are local monotonic time."""

    def __init__(self, desk: Desk, phase_id: str) -> None:
        self._desk = desk
        self._phase_id = phase_id
        self._number = 0  # never comes twice, for the broker keeps the answers
        self.tries = 0
        self.again_ns = 0  # when the go is tried again; 0: it is under way
        self.t0_ns = 0  # of the go that stood
        self._rtt_ns = 0
        self._asked_ns = 0
        self._ready_ns = 0

    def asked(self, now_ns: int) -> None:
        """Note that the nodes were asked to be ready."""
        self.again_ns, self._asked_ns = 0, now_ns

    def ready(self, rtt_ns: int, now_ns: int) -> None:
        """Note that one of them is.

        One that tells of longer round trips than a node in reach can have would have all others wait for it.
        """
        self._rtt_ns = max(self._rtt_ns, min(rtt_ns, SILENCE_NS))
        self._ready_ns = now_ns - self._asked_ns

    def ask(self, nodes: tuple[str, ...], now_ns: int, *, is_reset: bool) -> list[Effect]:
        """Have the broker start these nodes.

        A lead of the trial's that is too short must not keep the nodes from cleaning up: of a reset it holds
        for the first try only.
        """
        self._number += 1
        self.tries += 1
        self.again_ns = 0
        message = StartPhase(
            run=self._desk.run,
            phase=self._phase_id,
            go=self._number,
            nodes=nodes,
            lead_s=None if is_reset and self.tries > 1 else self._desk.plan.trial.lead_s,
            max_rtt_ns=self._rtt_ns + ALLOWANCES_NS[self.tries - 1],
            ready_ns=self._ready_ns,
        )
        return self._desk.ask("start", message, now_ns)

    def is_answer(self, message: GoCommitted | GoAborted) -> bool:
        """Whether this is the answer that is waited for; then it is not any more."""
        is_present = (message.phase, message.go) == (self._phase_id, self._number)
        return is_present and self._desk.outbox.answered("start")

    def try_again(self, now_ns: int) -> bool:
        """Plan another try at ``again_ns``; False if there were enough."""
        if self.tries >= GO_ATTEMPTS:
            return False
        self.again_ns = now_ns + PAUSES_NS[self.tries - 1]
        return True

    def then(self, started: tuple[str, ...], *, is_reset: bool, told: object) -> Then:
        """Return what follows a go that was taken back, unless something else tells.

        Args:
            started: Nodes that had begun; then the phase is ended, unless it is a reset.
            is_reset: Whether the others have to go on in any case.
            told: Is true if something else ends the phase or begins it anew.
        """
        if told or (started and not is_reset):
            return ""
        if self.tries < GO_ATTEMPTS:
            return "again"
        return "without" if is_reset else "given_up"

    def start_over(self, now_ns: int) -> None:
        """Plan tries as if there had been none: without the nodes that hindered the last ones."""
        self.tries, self.again_ns = 0, now_ns

    def stood(self, message: GoCommitted) -> PhaseStarted:
        """Return the record of a go that all nodes have confirmed."""
        self.t0_ns = message.t0_ns
        return PhaseStarted(
            t_ns=message.t0_ns,
            bound_ns=0,
            phase=self._phase_id,
            go=message.go,
            t0_ns=message.t0_ns,
            lead_ns=message.lead_ns,
            confirm_ns=message.confirm_ns,
        )
